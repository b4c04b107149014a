"""Where the servers keep things: SQLAlchemy Core on SQLite (default) or PostgreSQL, with migrations."""
