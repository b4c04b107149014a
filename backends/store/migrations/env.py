"""Alembic's entry: it runs on the connection that `migrate()` hands over, inside its transaction."""

from alembic import context

from backends.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
