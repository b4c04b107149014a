"""Alembic migrations; make one with `alembic revision --autogenerate` semantics through `backends/store/migrate.py`."""
