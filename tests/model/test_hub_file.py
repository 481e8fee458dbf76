"""`--model hf:OWNER/NAME`, by processes against a server: fetched, cached, and each way in which that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer, Repository, run_lines
from object_server import serving

from batchgender.errors import UserError
from batchgender.model.hub_file import parse_hub_name
from batchgender.model.open_model import PACKAGED_MODEL


@pytest.fixture
def hub(red_or_blue: Path) -> Iterator[HubServer]:
    """A Hub with models of `acme`: `one` and `one@v1`, `two` with two, `none`, `private` and `gated`."""
    # The packaged model is large enough for the store of large files.
    model, large = red_or_blue.read_bytes(), PACKAGED_MODEL
    repositories = {
        "one": Repository({"main": {"README.md": b"#", "nets/model.onnx": model}, "v1": {"old.onnx": model}}),
        "large": Repository({"main": {"model.onnx": large.read_bytes()}}),
        "two": Repository({"main": {"a.onnx": model, "b.onnx": model}}),
        "none": Repository({"main": {"model.safetensors": b"0", "config.json": b"{}"}}),
        "private": Repository({"main": {"model.onnx": large.read_bytes()}}, private=True),
        "gated": Repository({"main": {"model.onnx": model}}, gated=True),
    }
    with serving(HubServer({f"models/acme/{name}": each for name, each in repositories.items()})) as server:
        yield server


def test_a_model_of_the_hub_answers_as_its_file_does_and_once_fetched_without_a_network(
    hub: HubServer, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    def line(model: object) -> list[object]:
        return ["classify", photos, "--faces", "off", "--out", "-", "--model", model]

    online = hub.environment(tmp_path / "home")
    local, fetched, chosen, old, measured = run_lines(
        online,
        line(red_or_blue),
        line("hf:acme/one"),
        line("hf:acme/two/b.onnx"),
        line("hf:acme/one@v1"),
        ["evaluate", "hf:acme/one", "--data", photos, "--split", "all"],
    )
    assert local.exit_code == 0 and len(local.stdout.splitlines()) == 81
    assert fetched.stdout == chosen.stdout == old.stdout == local.stdout
    # No path of the cache stands in what is told.
    assert (
        "model: hf:acme/one (red or blue, float32)" in fetched.stderr and str(tmp_path / "home") not in fetched.stderr
    )
    assert "old.onnx of revision" in old.stderr
    assert measured.exit_code == 0 and "accuracy" in measured.stdout
    assert sum("GET /acme/one/resolve/main" in each for each in hub.asked) == 1
    asked = len(hub.asked)
    offline, missing = run_lines({**online, "HF_HUB_OFFLINE": "1"}, line("hf:acme/one"), ["inspect", "hf:acme/large"])
    assert (
        offline.stdout == local.stdout and "HF_HUB_OFFLINE is set; nets/model.onnx is taken from the" in offline.stderr
    )
    assert "HF_HUB_OFFLINE is set, and there is no copy in the cache" in missing.error
    assert len(hub.asked) == asked
    hub.broken = 503
    out_of_order, never = run_lines(online, line("hf:acme/one@v1"), ["inspect", "hf:acme/gated"])
    assert out_of_order.stdout == local.stdout and "answers HTTP 503" in out_of_order.stderr
    assert "answers HTTP 503, and there is no copy in the cache" in never.error
    nobody = {**online, "HF_ENDPOINT": "http://127.0.0.1:9"}
    unreachable, never = run_lines(nobody, line("hf:acme/one"), ["inspect", "hf:acme/gated"])
    assert unreachable.stdout == local.stdout and "no answer from 127.0.0.1" in never.error


def test_what_can_not_be_fetched_is_said_in_a_line(hub: HubServer, tmp_path: Path) -> None:
    expected = {
        "acme/missing": "no such model on 127.0.0.1, or a private one",
        "acme/private": "no such model on 127.0.0.1, or a private one: check the name, or log in",
        "acme/gated": "is gated",
        "acme/none": "holds no ONNX file; its files: config.json, model.safetensors",
        "acme/two": "holds 2 ONNX files; name one of them, as in hf:acme/two/a.onnx",
        "acme/two/c.onnx": "no such file in this repository; ONNX files: a.onnx, b.onnx",
        "acme/one@v2": "no such revision",
        "acme": "names no model of the Hugging Face Hub",
        "acme/..": "names no model of the Hugging Face Hub",
    }
    ended = run_lines(hub.environment(tmp_path / "home"), *(["inspect", f"hf:{name}"] for name in expected))
    for (name, said), each in zip(expected.items(), ended, strict=True):
        assert f"hf:{name}: {said}" in each.error


def test_a_token_opens_what_is_private_and_goes_nowhere_else(hub: HubServer, tmp_path: Path) -> None:
    # The server of large files refuses requests that come with a token.
    private, gated = run_lines(
        hub.environment(tmp_path / "home", TOKEN), ["inspect", "hf:acme/private"], ["inspect", "hf:acme/gated"]
    )
    assert private.exit_code == gated.exit_code == 0, private.stderr
    (wrong,) = run_lines(hub.environment(tmp_path / "other", "hf_wrong"), ["inspect", "hf:acme/private"])
    assert "does not know the token that is set" in wrong.error
    told = "".join(each.stdout + each.stderr for each in (private, gated, wrong))
    assert TOKEN not in told and "hf_wrong" not in told
    assert not any(TOKEN.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_download_that_breaks_off_leaves_no_model(hub: HubServer, tmp_path: Path) -> None:
    environment = hub.environment(tmp_path / "home")
    hub.truncated = True
    (cut,) = run_lines(environment, ["inspect", "hf:acme/large"])
    assert "no answer from 127.0.0.1" in cut.error and "no copy in the cache" in cut.error
    hub.truncated = False
    (whole,) = run_lines(environment, ["inspect", "hf:acme/large"])
    assert whole.exit_code == 0 and "self-check" in whole.stdout


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf:acme/one", ("acme/one", "", "")),
        ("hf:acme/one@v1.0", ("acme/one", "v1.0", "")),
        ("hf:acme/one/onnx/model.onnx", ("acme/one", "", "onnx/model.onnx")),
        ("hf:acme/one@refs%2Fpr%2F1/model.onnx", ("acme/one", "refs/pr/1", "model.onnx")),
    ],
)
def test_names_are_read(text: str, parts: tuple[str, str, str]) -> None:
    name = parse_hub_name(text)
    assert (name.repository, name.revision, name.file) == parts


@pytest.mark.parametrize("text", ["hf:", "hf:one", "hf://acme/one", "hf:acme/one/", "hf:acme/one@", "hf:acme/o ne"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="they are named hf:OWNER/NAME"):
        parse_hub_name(text)
