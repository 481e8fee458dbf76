"""The formats of `export`: a module a format."""
