"""Transactions over connections that are kept, from one to the next.

SQLAlchemy's pool and sessions begin a transaction in some 150 function calls and end it in as many, and ask PostgreSQL
six times more than a question takes. So connections are kept here, outside of the pool, and transactions are begun and
ended by the driver. To SQLAlchemy each of these connections is in one transaction without an end, in which the
session of each unit of work or reading has a part.

``sessions.py`` has what a unit of work writes with, ``sqlite.py`` and ``postgresql.py`` have the connections, and
``turns.py`` lets the writers of a SQLite file take turns.
"""
