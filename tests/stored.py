"""All that the database holds, as text to search for what must not be there."""

from flask import Flask
from sqlalchemy import select

from database import db
from models import Base


def everything_stored(app: Flask, *, without: str = "") -> str:
    """Every row of every table, but for one that is named."""
    with app.app_context(), db.reading() as session:
        return repr(
            [session.execute(select(table)).all() for table in Base.metadata.sorted_tables if table.name != without]
        )
