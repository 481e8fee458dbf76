"""The command line: the group of commands, and how a command ends."""

import io
import os
import sys
import traceback
from typing import Any

import click

from batchgender.cli.audit import audit
from batchgender.cli.bench import bench
from batchgender.cli.calibrate import calibrate
from batchgender.cli.classify import classify
from batchgender.cli.compare import compare
from batchgender.cli.evaluate import evaluate
from batchgender.cli.explain import explain
from batchgender.cli.export import export
from batchgender.cli.fetch_detector import fetch_detector
from batchgender.cli.inspect import inspect
from batchgender.cli.merge import merge
from batchgender.cli.options import show_traceback, traceback_option
from batchgender.cli.prevalence import prevalence
from batchgender.cli.publish import publish
from batchgender.cli.report import report
from batchgender.cli.sort import sort
from batchgender.cli.train import train
from batchgender.cli.tune import tune
from batchgender.cli.ui import ui
from batchgender.errors import UserError, os_reason
from batchgender.io import bytes_shown, one_line
from batchgender.version import __version__


def _prepare_streams() -> None:
    """Have stdout be UTF-8 and keep line ends as they are, whatever the locale and system; no character is an error."""
    # Neither is one where it is closed, or where a program that calls this one has put a stream of its own.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    if isinstance(sys.stderr, io.TextIOWrapper):
        # In the encoding of its terminal, which shows what it can.
        sys.stderr.reconfigure(errors="backslashreplace")
        # A console of Windows is no file of bytes.
        if sys.stderr is sys.__stderr__ and os.name == "posix":
            stream = io.BufferedWriter(_Unfailing(sys.stderr.fileno(), "wb", closefd=False))
            sys.stderr = io.TextIOWrapper(stream, sys.stderr.encoding, "backslashreplace", line_buffering=True)


class _Unfailing(io.FileIO):
    """A file whose writes never fail: notices that a full disk has no room for cost no run."""

    def write(self, data: Any, /) -> int:
        """Write what can be written."""
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


class _Group(click.Group):
    """Commands in the order of use; an error that a user can cause ends in one line."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _prepare_streams()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Of --help and the like, which no command prints.
            if error.filename is not None:
                raise
            click.echo(f"Error: can't write to stdout ({os_reason(error)})", err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            if show_traceback():
                traceback.print_exception(error, file=sys.stderr)
            raise click.ClickException(one_line(bytes_shown(str(error)))) from error
        except click.ClickException as error:
            # It may quote what was given.
            vars(error)["message"] = one_line(bytes_shown(error.message))
            raise
        except MemoryError as error:
            raise click.ClickException("not enough memory; close other programs, or try --workers 1") from error
        except OSError as error:
            # Of an open stream, which has no name: stdout on a disk that is full. Named files are answered elsewhere.
            if error.filename is not None or isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(f"can't write to stdout ({os_reason(error)}); files are written") from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)


_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={**_HELP, "max_content_width": 100},
)
@click.version_option(__version__, prog_name="batchgender")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Folders of face photos in, a CSV with Female or Male, confidence and accuracy out.

    \b
    Example:
      batchgender classify ./photos --out results.csv

    The model predicts how a photo's subject was labelled in its training data, not a person's identity.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


# The metavars of options that take a file or a folder.
_FILES = ("FILE", "FILE.csv", "FOLDER", "SRC")


def _complete_files(command: click.Command) -> None:
    """Have shells complete the names of files where arguments and options take them; nothing is checked."""
    for param in command.params:
        if param.type is click.STRING and (isinstance(param, click.Argument) or param.metavar in _FILES):
            param.type = click.Path(readable=False)


main.params.append(traceback_option())
for command in (
    classify,
    ui,
    explain,
    sort,
    merge,
    report,
    compare,
    prevalence,
    audit,
    inspect,
    bench,
    fetch_detector,
    evaluate,
    train,
    calibrate,
    tune,
    export,
    publish,
):
    command.params.append(traceback_option())
    # Stated for each: click keeps the help option of the first context, which may be one without the group.
    command.context_settings = {**_HELP, **command.context_settings}
    _complete_files(command)
    main.add_command(command)
