"""Completion in shells: Click's protocol, and real shells where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from batchgender.__main__ import run
try:
    run()
finally:
    heavy = {"torch", "cv2", "onnxruntime", "numpy", "pandas", "datasets", "rich"} & set(sys.modules)
    print(*heavy, file=sys.stderr, end="")
"""


def completions(words: str) -> list[str]:
    """What bash is answered where the last of these words is to be completed."""
    environment = {**os.environ, "_BATCHGENDER_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    # Nothing heavy is loaded: a key would wait for it.
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("batchgender so", ["plain,sort"]),
        ("batchgender classify --prov", ["plain,--provider"]),
        ("batchgender classify --provider op", ["plain,openvino"]),
        ("batchgender sort pho", ["file,pho"]),
        ("batchgender sort photos --into so", ["file,so"]),
        ("batchgender evaluate exp", ["file,exp"]),
    ],
)
def test_commands_options_values_and_files_are_completed(words: str, answers: list[str]) -> None:
    assert completions(words) == answers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_take_the_script_that_they_are_given(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "batchgender"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batchgender "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    asked = {
        "bash": "COMP_WORDS=(batchgender so); COMP_CWORD=1; _batchgender_completion batchgender; echo ${COMPREPLY[@]}",
        "zsh": "(( ${+_comps[batchgender]} )) && _BATCHGENDER_COMPLETE=zsh_complete COMP_WORDS='batchgender so'"
        " COMP_CWORD=1 batchgender",
        "fish": "complete -C 'batchgender so'",
    }[shell]
    source = f'eval "$(_BATCHGENDER_COMPLETE={shell}_source batchgender)"'
    if shell == "fish":
        source = "_BATCHGENDER_COMPLETE=fish_source batchgender | source"
    if shell == "zsh":
        source = f"autoload -Uz compinit; compinit -u; {source}"
    done = subprocess.run([shell, "-c", f"{source}\n{asked}"], capture_output=True, text=True, env=environment)
    assert "sort" in done.stdout.split(), done.stderr
