"""Alembic migrations of `schema.py`, in a version table of their own: the database may be the pools'."""
