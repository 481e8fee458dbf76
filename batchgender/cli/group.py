"""The command line: the group of commands, and how it ends."""

from typing import Any

import click

from batchgender import __version__
from batchgender.cli.bench import bench
from batchgender.cli.calibrate import calibrate
from batchgender.cli.classify import classify
from batchgender.cli.compare import compare
from batchgender.cli.evaluate import evaluate
from batchgender.cli.export import export
from batchgender.cli.inspect import inspect
from batchgender.cli.train import train
from batchgender.cli.tune import tune
from batchgender.errors import UserError, os_reason

_GO_ON = {
    "classify": "; rows written to a file are kept, go on with --resume",
    "train": "; each whole epoch is kept, go on from the last with --resume",
    "tune": "; each whole trial is kept, go on with --resume",
}


class _Group(click.Group):
    """Commands in the order of the work; what a user can cause ends in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error).replace("\n", "\\n")) from error
        except MemoryError as error:
            raise click.ClickException("not enough memory; close other programs, or try --workers 1") from error
        except OSError as error:
            # Of an open stream, which has no name: stdout on a disk that is full. Named files are answered elsewhere.
            if error.filename is not None or isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(f"can't write to stdout ({os_reason(error)}); files are written") from error
        except KeyboardInterrupt:
            click.echo(f"interrupted{_GO_ON.get(ctx.invoked_subcommand or '', '')}", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Folders of face photos in, a CSV with Female or Male, confidence and accuracy out.

    \b
    Example:
      batchgender classify ./photos --out results.csv

    It predicts how a photo's subject was labelled in the training data, not a person's identity.
    """


for command in (train, tune, evaluate, calibrate, export, classify, compare, bench, inspect):
    main.add_command(command)
