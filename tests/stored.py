"""All that the database holds, as text to search for what must not be there."""

from flask import Flask
from sqlalchemy import select

from database import db
from models import Base


def everything_stored(app: Flask) -> str:
    """Every row of every table."""
    with app.app_context(), db.reading() as session:
        return repr([session.execute(select(table)).all() for table in Base.metadata.sorted_tables])
