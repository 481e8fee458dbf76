"""`python -m batchgender`: the command line."""

from batchgender.cli import main

main(prog_name="python -m batchgender")
