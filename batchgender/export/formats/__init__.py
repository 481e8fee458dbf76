"""The formats of `export`: a module a format, which writes and reads it, and a line in `registry.FORMATS`."""
