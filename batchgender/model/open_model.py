"""A model file opened: pixels go in, probabilities come out."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model.metadata import METADATA_KEY, ModelInfo
from batchgender.model.session import Session, open_session
from batchgender.photos.labels import DEFAULT_NAMES
from batchgender.version import __version__

DEFAULT_MODEL = Path("exports/batchgender.onnx")
PACKAGED_MODEL = Path(__file__).parent.parent / "assets" / "default.onnx"
# What names the packaged model wherever a model file is named.
PACKAGED = "packaged"
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Model:
    """An open model: `predict` turns uint8 [B, H, W, 3] RGB into float32 [B, classes] probabilities.

    Made by `open_model`. Several threads may call it, each of which computes on one core. `digest` is the SHA-256 of
    the file, in hex.
    """

    def __init__(self, file: str, session: Session, digest: str, info: ModelInfo, foreign: bool) -> None:
        self.file, self.digest, self.info, self.foreign = file, digest, info, foreign
        self.session = session
        given = session.inputs[0]
        self._input, self._dtype = given.name, _FLOATS.get(given.type)
        self._channels_first = foreign and given.shape[1] == 3
        self._batch = given.shape[0] if isinstance(given.shape[0], int) else None
        self._mean = np.float32(255) * np.array(info.mean, np.float32)
        self._std = np.float32(255) * np.array(info.std, np.float32)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities float32 [B, classes] of uint8 [B, H, W, 3] RGB images; foreign models want their own size."""
        return self._foreign(images) if self.foreign else self._run(["probabilities"], images)

    @property
    def title(self) -> str:
        """The model in a few words: its file, but for the packaged one, and what it is."""
        if Path(self.file) == PACKAGED_MODEL:
            return f"packaged model {__version__}"
        kind = ", ".join(word for word in (self.info.architecture, self.info.precision) if word)
        return f"{self.file} (not from batchgender)" if self.foreign else f"{self.file} ({kind})"

    def with_session(self, session: Session) -> "Model":
        """The same model, computed by another session over its file."""
        return Model(self.file, session, self.digest, self.info, self.foreign)

    def _run(self, outputs: list[str] | None, pixels: NDArray[Any]) -> NDArray[Any]:
        return self.session.run(outputs, {self._input: pixels})[0]

    def _foreign(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = ((images - self._mean) / self._std).astype(self._dtype)
        if self._channels_first:
            pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        size = self._batch or len(pixels)
        scores = []
        for at in range(0, len(pixels), size):
            chunk = pixels[at : at + size]
            # A file exported for a fixed batch takes no other; the rows added are cut off again.
            padded = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), 0)])
            scores.append(self._run(None, padded)[: len(chunk)])
        found = np.concatenate(scores).astype(np.float32)
        if found.ndim != 2 or found.shape[1] != len(self.info.classes):
            shape = list(found.shape[1:])
            raise UserError(
                f"{self.file}: gives {shape} values a photo for {len(self.info.classes)} classes; check --classes"
            )
        if (found >= 0).all() and np.allclose(found.sum(1), 1, atol=1e-3):
            return found
        powers = np.exp(found - found.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


def open_model(
    file: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    session: Session | None = None,
) -> Model:
    """Open an ONNX model file; with none given, `exports/batchgender.onnx`, else the packaged one, named "packaged".

    Our own files describe themselves; a foreign classifier (float input, channels first or last) needs
    `classes`, `mean` and `std`. `session` is one that is open over the file already. Raises UserError where the file is
    missing, damaged or no image classifier.
    """
    name = str(default_model()) if file is None else named_model(os.fspath(file))
    # The file is hashed on a core that is idle while the session is made.
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(_digest, name)
        session = session or open_session(name)
    digest = hashed.result()
    shape, dtype = session.inputs[0].shape, session.inputs[0].type
    info = session_metadata(session, name)
    if info:
        if classes or mean or std:
            raise UserError(f"{name}: describes itself; leave --classes, --mean and --std out")
        outputs = {value.name for value in session.outputs}
        if len(shape) != 4 or dtype != "tensor(uint8)" or "probabilities" not in outputs:
            raise UserError(f"{name}: says it is batchgender's but has other inputs or outputs; export it again")
        width = next(value.shape[-1] for value in session.outputs if value.name == "probabilities")
        if isinstance(width, int) and width != len(info.classes):
            raise UserError(f"{name}: names {len(info.classes)} classes and answers for {width}; export it again")
        return Model(name, session, digest, info, foreign=False)
    if len(session.inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or dtype not in _FLOATS:
        raise UserError(
            f"{name}: no image classifier: wants one float input of three channels, has {dtype} {list(shape)}"
        )
    given = {"--classes": classes, "--mean": mean, "--std": std}
    if missing := [option for option, value in given.items() if not value]:
        raise UserError(f"{name}: not from batchgender and does not describe itself; give {', '.join(missing)} too")
    assert classes and mean and std
    sides = shape[2:] if shape[1] == 3 else shape[1:3]
    size = next((side for side in sides if isinstance(side, int)), 224)
    names = [DEFAULT_NAMES.canonical_name(name) for name in classes]
    if len(names) != len(set(names)):
        raise UserError(f"--classes {','.join(classes)}: two of them are the same class ({', '.join(names)})")
    if not np.isfinite([*mean, *std]).all() or min(std) <= 0:
        raise UserError("--mean and --std are numbers over pixels in 0..1, --std above 0: 0.5,0.5,0.5")
    return Model(name, session, digest, ModelInfo(names, size, list(mean), list(std)), foreign=True)


def default_model() -> Path:
    """The model that is taken where none is named; raises UserError where there is none."""
    for model in (DEFAULT_MODEL, PACKAGED_MODEL):
        if model.is_file():
            return model
    raise UserError(
        f"no model: {DEFAULT_MODEL} is not there, and none came with the package; train and export one"
        " (`batchgender train`, `batchgender export --format onnx`) or name one with --model"
    )


def named_model(name: str) -> str:
    """The file that a model's name stands for: the packaged one for "packaged", else the name itself."""
    return str(PACKAGED_MODEL) if name == PACKAGED else name


def session_metadata(session: Session, file: str) -> ModelInfo | None:
    """The metadata in an ONNX file, None where it is not from batchgender."""
    text = session.metadata.get(METADATA_KEY)
    return None if text is None else ModelInfo.from_json(text, file)


def _digest(name: str) -> str:
    with open(name, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def notify_default_model(asked: str | None, model: Model, notify: Notify) -> None:
    """Name the model; where it was found in the current folder, say how to have the packaged one instead."""
    found = asked is None and model.file == str(DEFAULT_MODEL)
    notify(
        f"model: {model.title}" + ("; found in this folder: --model packaged takes the packaged one" if found else "")
    )
