"""What the libraries below would report to their makers, unless they are told not to."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Seconds: onnxruntime looks up its maker's address 9 s after its import.
ALIVE = 20
_PROGRAM = f"""
import sys, time
from batchgender.cli import main

for provider in sys.argv[3:]:
    try:
        main(["classify", sys.argv[1], "--provider", provider, "--out", f"{{sys.argv[2]}}/{{provider}}.csv"])
    except SystemExit as end:
        assert not end.code
time.sleep({ALIVE})
"""


def test_a_run_opens_no_socket_and_leaves_nothing_in_the_home(portraits: Path, tmp_path: Path) -> None:
    if not shutil.which("strace") or subprocess.run(["strace", "-o", os.devnull, "true"]).returncode:
        pytest.skip("needs strace, and a machine that lets it trace")
    home, out, log = tmp_path / "home", tmp_path / "out", tmp_path / "log"
    for folder in (home, out):
        folder.mkdir()
    providers = ["cpu", *(["openvino"] if importlib.util.find_spec("openvino") else [])]
    ours = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
    # Some of the libraries report nothing where they take the machine for one that runs tests.
    switches = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "CI", "TF_BUILD", "JENKINS_URL")
    environment = {**{key: value for key, value in os.environ.items() if key not in switches}, **ours}
    traced = ["strace", "-f", "-e", "trace=network,openat", "-o", str(log)]
    done = subprocess.run(
        [*traced, sys.executable, "-c", _PROGRAM, str(portraits / "test"), str(out), *providers], env=environment
    )
    assert done.returncode == 0 and len(list(out.glob("*.csv"))) == len(providers)
    lines = log.read_text(errors="replace").splitlines()
    assert any("onnxruntime_pybind11_state" in line for line in lines)
    loopback = ('"127.0.0.1"', '"::1"')
    assert [line for line in lines if "AF_INET" in line and not any(each in line for each in loopback)] == []
    assert [file for file in home.rglob("*") if file.is_file()] == []


def test_importing_the_package_alone_sets_what_stops_the_reports() -> None:
    switches = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED")
    program = (
        "import os, sys, batchgender\n"
        f"print(*(os.environ[name] for name in {switches}), 'onnxruntime' in sys.modules)\n"
        "try: import openvino_telemetry\n"
        "except ImportError: print('not there')"
    )
    environment = {key: value for key, value in os.environ.items() if key not in switches}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout.split("\n")[:2] == ["1 1 0 False", "not there"]
