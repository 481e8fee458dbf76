"""docs/cli.md is what --help says today."""

from pathlib import Path

from cli_reference import reference

ROOT = Path(__file__).parent.parent.parent


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), "run `make docs`"
