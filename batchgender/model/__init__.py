"""The model file: its metadata, opening it, sessions and execution providers, its self-check."""
