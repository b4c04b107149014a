"""Alembic's entry: it runs on the connection that `prepare()` hands over, inside its transaction."""

from alembic import context

from backends.operators.cpo.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="csms_version",
    render_as_batch=True,
)
context.run_migrations()
