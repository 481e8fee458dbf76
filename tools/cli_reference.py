"""The command-line reference, docs/cli.md, made from `--help` of every command."""

from pathlib import Path

import click

from batchgender.cli import main as program

_WIDTH = 100
_HEAD = """\
# Commands

Made from `--help` by `make docs`; a test holds that it is up to date. The [manual](README.md) shows them at work.
"""


def reference() -> str:
    """The page as Markdown."""
    parts = [_HEAD, _section("batchgender", program, None)]
    root = click.Context(program, info_name="batchgender")
    parts += [_section(f"batchgender {name}", command, root) for name, command in program.commands.items()]
    return "\n".join(parts)


def _section(title: str, command: click.Command, parent: click.Context | None) -> str:
    settings = {**program.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, parent=parent, info_name=title.split()[-1], **settings)
    return f"## {title}\n\n```\n{command.get_help(context)}\n```\n"


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def main(out: Path) -> None:
    """Write the reference to OUT."""
    out.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
