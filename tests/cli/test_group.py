import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from batchgender.cli import main

Cli = Callable[..., Any]


def test_help_lists_the_commands_in_the_order_of_the_work(cli: Cli) -> None:
    shown = cli("--help").stdout
    places = [shown.index(f"\n  {name} ") for name in ("classify", "inspect", "evaluate", "train", "export")]
    assert places == sorted(places)
    assert "not a person's identity" in " ".join(shown.split())


@pytest.mark.parametrize("name", list(main.commands))
def test_each_commands_help_has_an_example_that_parses(cli: Cli, name: str) -> None:
    shown = cli(name, "--help").stdout
    joined = shown.replace("\\\n", " ")
    examples = [line.split()[2:] for line in joined.splitlines() if line.startswith(f"    batchgender {name}")]
    assert examples
    for example in examples:
        # Parsing alone: raises where an option is not there or ill-formed.
        main.commands[name].make_context(name, list(example))


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from batchgender.cli import main\n"
        "try: main(['classify', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(' '.join({'torch', 'cv2', 'onnxruntime', 'numpy', 'pandas', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "--threshold" in done.stdout and done.stderr.strip() == ""


def test_version_is_the_packages(cli: Cli) -> None:
    from importlib.metadata import version

    assert version("batchgender") in cli("--version").stdout
