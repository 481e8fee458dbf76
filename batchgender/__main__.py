"""The program's beginning: `batchgender` and `python -m batchgender`. Ctrl-C ends it in one line from here on."""

import signal
import sys
from types import FrameType


def run() -> None:
    """Run the command line; an interrupt, even while modules are imported, ends in one line and exit code 130."""
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    # A process whose parent had it ignore Ctrl-C goes on ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        from batchgender.cli import main

        main(prog_name="batchgender")
    except (KeyboardInterrupt, ImportError):
        # An extension module may turn the interrupt of its import into an error of its own.
        if not interrupted:
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()
