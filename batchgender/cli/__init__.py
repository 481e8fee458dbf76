"""The command line: parse, call, print; a module a command. For others: `main`."""

from batchgender.cli.group import main

__all__ = ["main"]
