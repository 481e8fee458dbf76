"""Torchvision's networks by name, and weights from ImageNet or a file."""

import gc
import hashlib
import os
import pickle
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.networks.registry import build
from batchgender.training.networks.torchvision_networks import torchvision_names
from batchgender.training.recipe import Recipe
from batchgender.training.weights import imagenet
from batchgender.training.weights.load_weights import load_weights

SMALL = "shufflenet_v2_x0_5"  # 1.4 M weights.


class Shapes(TorchFunctionMode):
    """Networks are built without memory for their weights; regnet and swin compute with numbers while they are."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})})


def shape_only(name: str, classes: int) -> nn.Module:
    with Shapes():
        network = build(name, classes)
    return network.to("meta")


def scrambled(network: nn.Module) -> nn.Module:
    """The network with no weight, and no statistic of a batch norm, at what a new one has."""
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.01, 0.05)
    return network


def small(classes: int = 2) -> nn.Module:
    return scrambled(build(SMALL, classes))


def saved(data: Any, path: Path, **options: Any) -> str:
    torch.save(data, path, **options)
    return str(path)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def refusal(source: str, architecture: str = SMALL, network: nn.Module | None = None) -> str:
    """The one line with which weights are refused."""
    with pytest.raises(UserError) as caught:
        load_weights(network or build(architecture, 2), architecture, source, silent)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_torchvision_network_is_built_for_two_classes() -> None:
    names = torchvision_names()
    assert {"resnet18", "resnet50", "efficientnet_b0", "mobilenet_v3_large", "vit_b_16", "swin_t"} <= set(names)
    assert "alexnet" not in names
    for name in names:
        assert list(shape_only(name, 2).parameters())[-1].shape[0] == 2, name


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf", "vit_b_16", "maxvit_t"],
)
def test_a_torchvision_network_gives_one_logit_a_class_in_training_too(name: str) -> None:
    logits = shape_only(name, 2).train()(torch.empty(2, 3, 224, 224, device="meta"))
    assert logits.shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "closest"),
    [("ResNet-18", "resnet18"), ("efficientnet", "efficientnet_b"), ("alexnetbn", "alexnet_bn"), ("?", "alexnet")],
)
def test_an_unknown_name_is_told_the_closest(name: str, closest: str) -> None:
    with pytest.raises(UserError, match="unknown architecture") as caught:
        build(name, 2)
    assert closest in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(("name", "head"), [("resnet18", "fc"), ("mobilenet_v3_large", "classifier.3")])
def test_weights_of_a_file_give_the_same_features_under_a_new_head(name: str, head: str, tmp_path: Path) -> None:
    theirs = scrambled(models.get_model(name, weights=None)).eval()
    ours, log = build(name, 2).eval(), list[str]()
    before = ours.get_parameter(f"{head}.weight").clone()
    load_weights(ours, name, saved(theirs.state_dict(), tmp_path / "weights.pth"), log.append)
    assert torch.equal(ours.get_parameter(f"{head}.weight"), before)
    (line,) = log
    assert f"{head} is left at random weights" in line and "[2," in line and "[1000," in line
    for network in (ours, theirs):
        network.set_submodule(head, nn.Identity())
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(pixels), theirs(pixels))


FORMS: dict[str, Callable[[nn.Module], Any]] = {
    "bare": lambda network: network.state_dict(),
    "state_dict": lambda network: {"state_dict": network.state_dict(), "recipe": {"mean": 0.4}},
    "model": lambda network: {"model": network.state_dict(), "args": {"lr": 0.1}},
    "data parallel": lambda network: nn.DataParallel(network).state_dict(),
    "two wrappers": lambda network: {f"model.module.{name}": value for name, value in network.state_dict().items()},
    "before torch 0.4": lambda network: {
        name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_found_where_others_put_it(form: str, zipped: bool, tmp_path: Path) -> None:
    theirs, ours, log = small(), build(SMALL, 2), list[str]()
    path = saved(FORMS[form](theirs), tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    load_weights(ours, SMALL, path, log.append, (Recipe().mean, Recipe().std))
    assert same(ours.state_dict(), theirs.state_dict())
    assert not log  # The head fits, so nothing is left at random weights.


def test_a_checkpoint_of_ours_is_a_file_of_weights(tmp_path: Path) -> None:
    theirs, ours = small(), build(SMALL, 2)
    recipe = Recipe(architecture=SMALL)
    checkpoints.save(Checkpoint(theirs.state_dict(), ["Female", "Male"], recipe, ""), tmp_path / "best.pt")
    load_weights(ours, SMALL, str(tmp_path / "best.pt"), silent)
    assert same(ours.state_dict(), theirs.state_dict())


def test_safetensors_are_read(tmp_path: Path) -> None:
    theirs, ours = small(), build(SMALL, 2)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    load_weights(ours, SMALL, str(tmp_path / "model.safetensors"), silent)
    assert same(ours.state_dict(), theirs.state_dict())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "model.safetensors").read_bytes()[:-1000])
    assert "damaged" in refusal(str(cut))


def test_without_the_package_a_line_says_what_safetensors_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert "a file .safetensors needs the extra batchgender[train]" in refusal(str(tmp_path / "model.safetensors"))


def test_the_spelling_of_torchvisions_older_files_is_known(tmp_path: Path) -> None:
    def densenet() -> nn.Module:
        return scrambled(models.DenseNet(8, (2, 1), 16, num_classes=2))

    def vit() -> nn.Module:
        return scrambled(models.VisionTransformer(32, 16, 2, 2, 16, 32, num_classes=2))

    replacements = {"norm1.": "norm.1.", "norm2.": "norm.2.", "conv1.": "conv.1.", "conv2.": "conv.2."}
    for make, old in (
        (densenet, {f".{new}": f".{old}" for new, old in replacements.items()}),
        (vit, {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}),
    ):
        theirs, ours = make(), make()
        renamed = {}
        for name, value in theirs.state_dict().items():
            for new, spelling in old.items():
                name = name.replace(new, spelling)
            renamed[f"module.{name}"] = value
        assert all(any(spelling in name for name in renamed) for spelling in old.values())
        load_weights(ours, "old", saved(renamed, tmp_path / "old.pth"), silent)
        assert same(ours.state_dict(), theirs.state_dict())
        # And today's, whose layers name their version beside the tensors.
        load_weights(make(), "new", saved(nn.DataParallel(theirs).state_dict(), tmp_path / "new.pth"), silent)


def test_weights_of_another_architecture_say_how_many_tensors_fit(tmp_path: Path) -> None:
    path = saved(build("mobilenet_v3_small", 1000).state_dict(), tmp_path / "mobile.pth")
    line = refusal(path, "resnet18")
    assert line.startswith(f"{path}: not weights of resnet18 (0 of 122 tensors fit; first that does not: conv1.weight")
    shapes = build(SMALL, 2).state_dict()
    shapes["conv1.0.weight"] = torch.ones(12, 3, 3, 3)
    line = refusal(saved(shapes, tmp_path / "other.pth"))
    assert f"{len(shapes) - 1} of {len(shapes)} tensors fit" in line
    assert line.endswith("first that does not: conv1.0.weight [24,3,3,3], file has [12,3,3,3])")


def test_weights_of_a_deeper_network_are_not_taken_for_a_shallower_ones(tmp_path: Path) -> None:
    # Every layer of resnet18 is in resnet34, by name and shape.
    line = refusal(saved(build("resnet34", 2).state_dict(), tmp_path / "deep.pth"), "resnet18")
    assert "not weights of resnet18 (122 of 122 tensors fit; the file has" in line and "layer1.2." in line


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def damage_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def damage_text(path: Path) -> None:
    path.write_text("<html>Not found</html>")


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_cut, damage_flipped, damage_text, damage_empty])
def test_a_damaged_file_is_one_line(damage: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    saved(small().state_dict(), path)
    damage(path)
    assert refusal(str(path)).startswith(f"{path}: damaged, cut short")


def test_what_is_no_file_of_weights_is_one_line(tmp_path: Path) -> None:
    assert "no such file" in refusal(str(tmp_path / "missing.pth"))
    assert "not a file of weights" in refusal(str(tmp_path))
    for data in ({"epoch": 3}, [1, 2], {}, torch.zeros(3), {"state_dict": {"layer": [1.0]}}):
        assert "holds no weights" in refusal(saved(data, tmp_path / "other.pth"))
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "exported.pt")
    assert "an exported model is none" in refusal(str(tmp_path / "exported.pt"))


def test_tensors_that_cant_be_copied_are_one_line(tmp_path: Path) -> None:
    state = small().state_dict()
    state["conv5.0.weight"] = state["conv5.0.weight"].to_sparse()
    assert f"not weights of {SMALL} (some of its tensors are sparse" in refusal(saved(state, tmp_path / "sparse.pth"))


class Program:
    """Runs a command when it is unpickled in the usual way."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def test_a_file_that_holds_code_is_refused_and_none_of_it_is_run(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    state = {**small().state_dict(), "extra": Program(marker)}
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"extra": Program(marker)}, protocol=2))
    for path in (saved(state, tmp_path / "program.pth"), str(tmp_path / "plain.pth")):
        assert "mkdir" in refusal(path) and "never run" in refusal(path)
    assert "state_dict()" in refusal(saved(small(), tmp_path / "whole.pth"))
    assert not marker.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    state = small().state_dict()
    state["conv5.1.running_var"][7] = value
    assert "conv5.1.running_var holds NaN or infinite" in refusal(saved(state, tmp_path / "diverged.pth"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, empty, where torchvision keeps what it has downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def weights_of(name: str) -> Any:
    return models.get_model_weights(name).DEFAULT


def test_imagenet_weights_come_from_torchvisions_cache(cache: Path) -> None:
    theirs, ours, log = small(1000), build(SMALL, 2), list[str]()
    saved(theirs.state_dict(), cache / Path(weights_of(SMALL).url).name)
    load_weights(ours, SMALL, "imagenet", log.append)
    assert torch.equal(ours.get_parameter("conv5.0.weight"), theirs.get_parameter("conv5.0.weight"))
    assert len(log) == 1 and "fc is left at random weights" in log[0]


def test_a_damaged_file_in_the_cache_says_what_to_delete(cache: Path) -> None:
    path = cache / Path(weights_of(SMALL).url).name
    saved(small(1000).state_dict(), path)
    damage_cut(path)
    line = refusal("imagenet")
    assert line.startswith(f"{path}: damaged, cut short") and "delete it" in line


def test_alexnet_bn_has_no_imagenet_weights() -> None:
    assert "alexnet_bn: torchvision has no ImageNet weights" in refusal("imagenet", "alexnet_bn", small())


def test_an_unreachable_server_is_one_line_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # No one listens there.
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(urllib.request, "_opener", None)  # It keeps the proxies of the process's first request.
    started = time.monotonic()
    line = refusal("imagenet")
    assert "Connection refused" in line and weights_of(SMALL).url in line and "--weights" in line
    assert time.monotonic() - started < 5
    assert not list(cache.iterdir())


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server's address, and the files it serves: name to bytes. A name with "slow" is answered late."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "slow" in self.path:
                time.sleep(2)
            data = files.get(self.path[1:])
            self.send_response(200 if data else 404)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", files
    http.shutdown()
    http.server_close()


def test_a_download_is_checked_against_the_hash_in_its_name(
    cache: Path,
    server: tuple[str, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address, files = server
    theirs = small(1000)
    data = Path(saved(theirs.state_dict(), tmp_path / "served.pth")).read_bytes()
    name = f"small-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr(weights_of(SMALL).value, "url", f"{address}/{name}")

    assert "404" in refusal("imagenet")
    gc.collect()  # A connection that was left open is a warning now, and so an error.
    files[name] = data[:-1000]
    assert "broken" in refusal("imagenet") and not list(cache.iterdir())
    files[name] = data
    ours = build(SMALL, 2)
    load_weights(ours, SMALL, "imagenet", silent)
    assert torch.equal(ours.get_parameter("conv5.0.weight"), theirs.get_parameter("conv5.0.weight"))
    assert [file.name for file in cache.iterdir()] == [name]
    assert capsys.readouterr().out == ""  # Results alone go there.


def test_a_server_that_says_nothing_is_not_waited_for(
    cache: Path, server: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr(weights_of(SMALL).value, "url", f"{server[0]}/slow-12345678.pth")
    monkeypatch.setattr(imagenet, "_SECONDS", 0.2)
    assert "timed out" in refusal("imagenet")


def test_a_cache_that_cant_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    line = refusal("imagenet")
    assert "can't keep the ImageNet weights" in line and "TORCH_HOME" in line
