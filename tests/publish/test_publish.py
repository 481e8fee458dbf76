"""`batchgender publish`, by processes against a server: what is uploaded, who may, and what is refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import tiny_networks
import yaml
from hub_server import TOKEN, Ended, HubServer, Repository, run_lines
from object_server import serving

from batchgender.model.metadata import METADATA_KEY, ClassFigures, ModelInfo, SplitFigures
from batchgender.model.open_model import PACKAGED_MODEL, open_model
from batchgender.model.self_check import self_check_pictures, with_self_check
from batchgender.publish.card import as_text
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint, RunState
from batchgender.training.recipe import Recipe

SECRET_FOLDER = "/a-folder/nobody-should-know"


@dataclass(frozen=True)
class Made:
    """A model file, the checkpoint that it was exported from, and its metadata."""

    model: Path
    checkpoint: Path
    info: ModelInfo


@pytest.fixture(scope="module")
def made(red_or_blue: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A tiny model with figures, trained on a dataset of the Hub, by a teacher in a folder of the maker's."""
    folder = tmp_path_factory.mktemp("made")
    classes = {"Female": (0.9, 100), "Male": (0.8, 100)}
    figures = SplitFigures(
        accuracy=0.85,
        labelled=200,
        unreadable=0,
        classes={name: ClassFigures(0.85, recall, (0.7, 0.95), 0.85, n) for name, (recall, n) in classes.items()},
        auroc=0.91,
        ece=0.02,
    )
    recipe = Recipe(
        architecture="tiny", input_size=224, mean=(0.5,) * 3, std=(0.25,) * 3, teacher=(f"{SECRET_FOLDER}/t.onnx",)
    )
    source = "myvision/gender-classification"
    state = RunState(3, optimizer={"step": 1})
    found = Checkpoint(
        tiny_networks.tiny().state_dict(), ["Female", "Male"], recipe, source, state, metrics=figures, license="MIT"
    )
    checkpoints.save(found, folder / "best.pt")
    # In the place of its export, which takes long: a file of another network that says the same of itself.
    predict = open_model(red_or_blue).predict
    info = with_self_check(found.info(), predict, self_check_pictures(predict))
    model = onnx.load(red_or_blue)
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, folder / "batchgender.onnx")
    return Made(folder / "batchgender.onnx", folder / "best.pt", info)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """An empty Hub, where `somebody` has TOKEN."""
    with serving(HubServer()) as server:
        yield server


def head_of(card: str) -> dict[str, Any]:
    """The YAML at the head of a card."""
    start, head, _ = card.split("---\n", 2)
    assert not start
    return yaml.safe_load(head)


def test_a_dry_run_writes_what_would_be_uploaded_and_asks_nobody(hub: HubServer, made: Made, tmp_path: Path) -> None:
    line = ["publish", made.model, "hf:somebody/faces", "--dry-run", "--out", tmp_path / "out"]
    written, again = run_lines(hub.environment(tmp_path / "home"), line, line)
    assert written.exit_code == 0 and written.stdout.strip() == str(tmp_path / "out") and not hub.asked
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"README.md", "model.onnx"}
    assert (tmp_path / "out" / "model.onnx").read_bytes() == made.model.read_bytes()
    assert "is there already" in again.error
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert SECRET_FOLDER not in card
    head = head_of(card)
    assert (head["license"], head["pipeline_tag"], head["library_name"]) == ("mit", "image-classification", "onnx")
    assert head["datasets"] == ["myvision/gender-classification"] and "accuracy" in head["metrics"]
    ((result,),) = [model["results"] for model in head["model-index"]]
    assert result["dataset"]["type"] == "myvision/gender-classification"
    assert made.info.metrics
    measured = {each["name"]: each["value"] for each in result["metrics"]}
    recalls = {f"Recall {name}": each.recall for name, each in made.info.metrics.classes.items()}
    assert measured == {"Accuracy": made.info.metrics.accuracy, "AUROC": made.info.metrics.auroc, **recalls}
    for words in ("not a person's identity", "--model hf:somebody/faces", "recall Female", "## Limits", "200 photos"):
        assert words in card
    # The example in the card is a program.
    (program,) = [block.split("```")[0] for block in card.split("```python\n")[1:]]
    compile(program, "card", "exec")


def test_a_model_that_is_published_is_fetched_by_its_name(
    hub: HubServer, made: Made, photos: Path, tmp_path: Path
) -> None:
    def classified(model: object) -> list[object]:
        return ["classify", photos, "--faces", "off", "--out", "-", "--model", model]

    environment = hub.environment(tmp_path / "home", TOKEN)
    published, again, fetched, local = run_lines(
        environment,
        ["publish", made.model, "hf:somebody/faces"],
        ["publish", made.model, "hf:somebody/faces", "--checkpoint", made.checkpoint],
        classified("hf:somebody/faces"),
        classified(made.model),
    )
    assert published.exit_code == 0 and published.stdout.strip() == f"{hub.url}/somebody/faces"
    assert published.stderr.splitlines() == ["published, public: README.md, model.onnx"]
    assert fetched.exit_code == 0 and fetched.stdout == local.stdout
    assert again.exit_code == 0, again.stderr
    files = hub.repositories["models/somebody/faces"].revisions["main"]
    assert set(files) == {"README.md", "model.onnx", "checkpoint.safetensors"}
    assert files["model.onnx"] == made.model.read_bytes()
    assert TOKEN not in "".join(each.stdout + each.stderr for each in (published, again, fetched))
    # The checkpoint has the weights, but neither paths of this machine nor what only a training needs.
    copy = tmp_path / "checkpoint.safetensors"
    copy.write_bytes(files[copy.name])
    assert SECRET_FOLDER.encode() in made.checkpoint.read_bytes()
    assert SECRET_FOLDER.encode() not in files[copy.name]
    shared, own = checkpoints.load(copy), checkpoints.load(made.checkpoint)
    assert own.run.optimizer and not shared.run.optimizer and shared.info().recipe == own.info().recipe
    assert all(weights.equal(own.weights[name]) for name, weights in shared.weights.items())


def test_private_is_private(hub: HubServer, made: Made, tmp_path: Path) -> None:
    hub.repositories["models/somebody/public"] = Repository({"main": {"other.onnx": b"0"}})
    private, refused, beside = run_lines(
        hub.environment(tmp_path / "home", TOKEN),
        ["publish", made.model, "hf:somebody/faces", "--private"],
        ["publish", made.model, "hf:somebody/public", "--private"],
        ["publish", made.model, "hf:somebody/public"],
    )
    assert "published, private" in private.stderr and hub.repositories["models/somebody/faces"].private
    assert "hf:somebody/public: is public already" in refused.error
    assert "holds other ONNX files, too (other.onnx): hf:somebody/public/model.onnx names this one" in beside.stderr


def test_terms_that_the_hub_does_not_list_are_a_file(hub: HubServer, tmp_path: Path) -> None:
    (done,) = run_lines(hub.environment(tmp_path / "home", TOKEN), ["publish", PACKAGED_MODEL, "hf:somebody/faces"])
    assert done.exit_code == 0, done.stderr
    files = hub.repositories["models/somebody/faces"].revisions["main"]
    head = head_of(files["README.md"].decode())
    assert head["license"] == "other" and head["license_link"] == "LICENSE" and "datasets" not in head
    assert b"non-commercial" in files["LICENSE"]
    # Its figures are of what it was made of.
    assert {each["name"] for each in head["model-index"][0]["results"][0]["metrics"]} >= {"Accuracy of the checkpoint"}


def test_who_may_not_publish_is_told_so_and_nothing_is_there(hub: HubServer, made: Made, tmp_path: Path) -> None:
    line = ["publish", made.model, "hf:somebody/faces"]
    (nobody,) = run_lines(hub.environment(tmp_path / "home"), line)
    assert "log in first" in nobody.error and not hub.asked
    (wrong,) = run_lines(hub.environment(tmp_path / "home", "hf_wrong"), line)
    assert "does not know the token that is set" in wrong.error and "hf_wrong" not in wrong.stderr
    environment = hub.environment(tmp_path / "home", TOKEN)
    (others,) = run_lines(environment, ["publish", made.model, "hf:acme/faces"])
    assert "the token that is set does not allow this" in others.error
    (offline,) = run_lines({**environment, "HF_HUB_OFFLINE": "1"}, line)
    assert "HF_HUB_OFFLINE is set; nothing is published" in offline.error
    hub.broken = 503
    (down,) = run_lines(environment, line)
    assert "answers HTTP 503; nothing is published" in down.error
    assert not hub.repositories


def test_what_is_no_model_to_share_is_refused_before_anyone_is_asked(
    hub: HubServer, made: Made, tmp_path: Path
) -> None:
    model = onnx.load(made.model)
    about = json.loads(made.info.to_json())
    about["golden"][0]["probabilities"] = [0.0, 1.0]
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(about)})
    onnx.save(model, tmp_path / "spoiled.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    other = checkpoints.load(made.checkpoint)
    checkpoints.save(replace(other, recipe=replace(other.recipe, lr=0.5)), tmp_path / "other.pt")
    name = "hf:somebody/faces"
    refused: dict[str, list[object]] = {
        "no such model file": [tmp_path / "none.onnx", name],
        "no ONNX file; publish what": [made.checkpoint, name],
        "not from batchgender": [tmp_path / "foreign.onnx", name],
        "self-check": [tmp_path / "spoiled.onnx", name],
        "the checkpoint of another model": [made.model, name, "--checkpoint", tmp_path / "other.pt"],
        "without a revision and a file": [made.model, "hf:somebody/faces/model.onnx"],
        "names no model of the Hugging Face Hub": [made.model, "somebody/faces"],
    }
    ended: list[Ended] = run_lines(
        hub.environment(tmp_path / "home", TOKEN), *(["publish", *line] for line in refused.values())
    )
    for said, each in zip(refused, ended, strict=True):
        assert said in each.error
    assert not hub.asked


def test_names_of_classes_are_text_in_a_card() -> None:
    assert as_text("<b>a</b>|*x*\n") == r"&lt;b&gt;a&lt;/b&gt;\|\*x\*\\n"
