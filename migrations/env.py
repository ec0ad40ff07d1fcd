"""What Alembic runs: on the connection the program hands over, or, from the command line, on a database of its own.

The command line takes the database from `-x url=URL`, else DATABASE_URL, else the default workdir.
"""

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from pipeline.errors import PipelineError
from pipeline.queue.database import open_for_migration
from pipeline.queue.tables import metadata

DEFAULT_URL = "sqlite:///workdir/.whisper/queue.db"


def migrate(connection: Connection) -> None:
    """Run all migrations in one transaction: a killed migration leaves the old schema."""
    context.configure(
        connection=connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=True
    )
    with context.begin_transaction():
        context.run_migrations()


def from_command_line() -> None:
    """Own the database for as long as the command runs; what forbids that becomes Alembic's one line."""
    url = (
        context.get_x_argument(as_dictionary=True).get("url") or os.environ.get("DATABASE_URL") or DEFAULT_URL
    )
    try:
        with open_for_migration(url) as connection:
            migrate(connection)
    except PipelineError as error:
        raise CommandError(str(error)) from error


connection = context.config.attributes.get("connection")
if connection is None:
    from_command_line()
else:
    migrate(connection)
