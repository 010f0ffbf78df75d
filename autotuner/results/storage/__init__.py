"""The store: SQLite or PostgreSQL, and Parquet files of raw requests and telemetry."""
