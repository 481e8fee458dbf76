"""`train` on a dataset of the Hub, by processes against a server that speaks its API: as it comes, offline, and not."""

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import datasets
import pytest
from drawn_faces import draw_portrait
from hub_server import HubServer, Repository, run_lines
from numpy.random import default_rng
from object_server import serving

DEFAULT = "myvision/gender-classification"
CARD = """---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': female
          '1': male
  splits:
  - name: train
    num_bytes: 100000
    num_examples: 40
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
---
"""


def parquet(image: str = "image", label: str = "label") -> bytes:
    """Forty drawn portraits with labels, as `Dataset.push_to_hub` writes them."""
    rng = default_rng(0)
    names = ["female", "male"]
    drawn = [cv2.resize(draw_portrait(names[index % 2], rng), (64, 64)) for index in range(40)]
    cells = [{"bytes": cv2.imencode(".jpg", each[..., ::-1])[1].tobytes(), "path": None} for each in drawn]
    columns = {image: cells, label: [index % 2 for index in range(40)]}
    features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=names)})
    stream = io.BytesIO()
    datasets.Dataset.from_dict(columns, features=features).to_parquet(stream)
    return stream.getvalue()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub with the default dataset, and some of `acme` that can't be loaded."""

    def repository(data: bytes, gated: bool = False) -> Repository:
        return Repository(
            {"main": {"README.md": CARD.encode(), "data/train-00000-of-00001.parquet": data}}, False, gated
        )

    sound = parquet()
    repositories = {
        DEFAULT: repository(sound),
        "acme/gated": repository(sound, gated=True),
        "acme/changed": repository(parquet("photo", "kind")),
        "acme/cut": repository(sound[:3000]),
        "acme/empty": Repository({"main": {"README.md": b"# photos"}}),
    }
    with serving(HubServer({f"datasets/{name}": each for name, each in repositories.items()})) as server:
        yield server


def test_train_takes_the_default_dataset_of_the_hub_and_its_copy_without_a_network(
    hub: HubServer, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text('architecture = "shufflenet_v2_x0_5"\ninput_size = 64\nbatch_size = 16\nepochs = 1\n')
    environment = hub.environment(tmp_path / "home")
    (trained,) = run_lines(environment, ["train", "--recipe", recipe, "--device", "cpu", "--out", tmp_path / "run"])
    assert trained.exit_code == 0, trained.stderr
    assert f"{DEFAULT}: 30 photos to train (Female 16, Male 14), 4 to validate, 6 to test" in trained.stderr
    assert "Generating" not in trained.stderr
    asked = len(hub.asked)
    measure = ["evaluate", tmp_path / "run" / "best.pt"]
    measured, missing = run_lines({**environment, "HF_HUB_OFFLINE": "1"}, measure, [*measure, "--data", "acme/gated"])
    assert len(hub.asked) == asked
    assert "HF_HUB_OFFLINE is set: looking for a copy in the cache" in measured.stderr
    # The same photos: the same figures.
    report = trained.stdout.partition("\n")[2]
    assert measured.exit_code == 0 and measured.stdout.partition("\n")[2] in report
    assert "HF_HUB_OFFLINE is set, and no copy in the cache" in missing.error


def test_datasets_that_can_not_be_loaded_are_said_in_a_line(hub: HubServer, tmp_path: Path) -> None:
    expected = {
        "acme/gated": "gated",
        "acme/missing": "doesn't exist on the Hub or cannot be accessed",
        "acme/changed": "its files have the columns photo, kind, and its card states image, label",
        "acme/cut": "Parquet magic bytes not found",
        "acme/empty": "doesn't contain any data files",
    }
    environment = hub.environment(tmp_path / "home")
    ended = run_lines(environment, *(["evaluate", "packaged", "--data", name] for name in expected))
    for (name, said), each in zip(expected.items(), ended, strict=True):
        assert f"{name}: can't load it from the Hugging Face Hub (" in each.error and said in each.error
    (wrong,) = run_lines({**environment, "HF_TOKEN": "hf_wrong"}, ["evaluate", "packaged", "--data", "acme/gated"])
    assert "does not know the token that is set" in wrong.error and "hf_wrong" not in wrong.stderr
