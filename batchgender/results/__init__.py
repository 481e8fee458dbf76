"""Rows to files and back: CSV, JSON Lines, Parquet; resuming."""
