"""A model opened to be explained: what classifies the photos, and what explains its answers."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from batchgender.classify.pipeline import Classifier, load_classifier
from batchgender.errors import UserError
from batchgender.explanation.occlusion import OCCLUSION, Occlusion
from batchgender.extras import missing_modules, require_extra
from batchgender.io import Notify
from batchgender.model import tolerances
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.open_model import Model, default_model, named_model
from batchgender.model.session import Session
from batchgender.photos.generated import generated_pictures
from batchgender.photos.resize import resize

if TYPE_CHECKING:
    from batchgender.explanation.grad_cam import GradCam
    from batchgender.training.networks.deployed import Deployed

# Not in the module `grad_cam`, which needs PyTorch.
GRAD_CAM = "grad-cam"
METHODS = (GRAD_CAM, OCCLUSION)
# Pictures on which a network that was rebuilt is held against its file.
_COMPARED = 4


class Method(Protocol):
    """A way to explain an answer; `title` names it with its source."""

    @property
    def name(self) -> str:
        """One of METHODS."""

    @property
    def title(self) -> str:
        """The name of the method and the paper it comes from."""

    def map(self, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
        """How much each pixel of uint8 [height, width, 3] RGB, of the model's size, speaks for the class `target`.

        float32 [height, width], below 0 where it speaks against the class.
        """


def open_explained(
    name: str | os.PathLike[str] | None, methods: Sequence[str], foreign: ForeignOptions, notify: Notify
) -> tuple[Classifier, list[Method]]:
    """Open a checkpoint or an ONNX file, and those of METHODS that explain it.

    Raises UserError as `load_classifier` does, where a method can't explain this model, and where the file is of
    another kind.
    """
    if unknown := next((each for each in methods if each not in METHODS), None):
        raise UserError(f"method: {unknown!r} is none of {', '.join(METHODS)}")
    file = str(default_model()) if name is None else named_model(os.fspath(name), notify)
    kind = kind_of_file(file)
    if kind is FileKind.CHECKPOINT:
        if given := foreign.given():
            raise UserError(f"{file}: no ONNX file; leave {', '.join(given)} out")
        require_extra("explain", f"{file}: a checkpoint, and explaining one")
        classifier, module = _open_checkpoint(file)
        return classifier, [
            Occlusion(classifier) if method == OCCLUSION else _grad_cam(module, classifier) for method in methods
        ]
    if kind is not FileKind.ONNX:
        raise UserError(
            f"{file}: a {kind.value} file, which can't be explained; give the ONNX file or the checkpoint of the model"
        )
    classifier = load_classifier(file, notify=notify, **vars(foreign))
    return classifier, [method_for(classifier, method) for method in methods]


def possible_methods(model: Model) -> list[str]:
    """The METHODS that may explain an ONNX file that is open, the one first that needs no extra. Imports no PyTorch."""
    return [OCCLUSION, *([] if model.foreign or missing_modules("explain") else [GRAD_CAM])]


def method_for(classifier: Classifier, method: str) -> Method:
    """The method of METHODS for an ONNX file that is open; raises UserError where it can't explain this model."""
    return Occlusion(classifier) if method == OCCLUSION else _grad_cam(_rebuilt(classifier.model), classifier)


def _open_checkpoint(file: str) -> tuple[Classifier, "Deployed"]:
    """A checkpoint as a classifier of the same answers as its ONNX file, and the module that computes them."""
    from batchgender.training import checkpoint as checkpoints
    from batchgender.training.networks.deployed import probabilities_of

    module, info = (loaded := checkpoints.load(file)).deployed(), loaded.info()
    predict = probabilities_of(module)

    def run(outputs: list[str] | None, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return [predict(feeds["image"])]

    @dataclass(frozen=True)
    class Value:
        name: str

    session = Session([Value("image")], [Value("probabilities")], {}, "PyTorch on the CPU", run)
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    # PyTorch has threads of its own.
    return Classifier(Model(file, session, digest, info), workers=1), module


def _rebuilt(model: Model) -> "Deployed":
    """The network of an ONNX file of ours in PyTorch, of the photo alone; raises UserError where there is none."""
    if model.foreign:
        raise UserError(f"{model.file}: not from batchgender, so its network can't be rebuilt in PyTorch")
    require_extra("explain", "Grad-CAM")
    from batchgender.training.networks.deployed import Deployed
    from batchgender.training.networks.registry import build
    from batchgender.training.weights.from_onnx import exported_state

    info = model.info
    network = build(info.architecture, len(info.classes))
    state, _ = exported_state(model.file, info.architecture, network)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{model.file}: its weights are not those of {info.architecture}") from error
    module = Deployed(network, info.input_size, info.mean, info.std, info.temperature, info.bias)
    return module.eval().requires_grad_(False)


def _grad_cam(module: "Deployed", classifier: Classifier) -> "GradCam":
    """Grad-CAM by a module; raises UserError where it answers otherwise than the classifier does."""
    import torch

    from batchgender.explanation.grad_cam import GradCam

    model = classifier.model
    images = np.stack([resize(picture, model.size) for picture in generated_pictures(_COMPARED)])
    with torch.inference_mode():
        logits = module(torch.from_numpy(images))[1]
        if model.info.flip:
            logits = (logits + module(torch.from_numpy(images[:, :, ::-1].copy()))[1]) / 2
        scores = logits / module.temperature + (0 if module.bias is None else module.bias)
        apart = float(np.abs(scores.softmax(1).numpy() - model.predict(images)).max())
    # NaN is far apart, too.
    if not apart <= tolerances.SELF_CHECK.get(model.info.precision, 0.0):
        raise UserError(
            f"{model.file}: its network, rebuilt in PyTorch, answers otherwise (probabilities differ by {apart:.3f});"
            " give the checkpoint it was made of, or --method occlusion"
        )
    return GradCam(module, model.file, model.info.flip)
