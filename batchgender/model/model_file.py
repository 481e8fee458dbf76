"""The model file's contract: its metadata, and how pixels go in and probabilities come out."""

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.session import Session, open_session
from batchgender.photos.labels import canonical_name

METADATA_KEY = "batchgender"
EXTRA_FILE = "batchgender.json"
SCHEMA = 1
DEFAULT_MODEL = Path("exports/batchgender.onnx")
PACKAGED_MODEL = Path(__file__).parent.parent / "assets" / "default.onnx"
# In an 8-bit file: the first layer's weights, for bytes, and the number that is taken off the bytes before it.
KERNEL, BIAS, ZERO = "kernel_of_pixels", "bias_of_pixels", "pixel_zero_byte"
_LARGEST_INPUT = 16_384
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself; `mean` and `std` are over RGB in 0..1, `input_size` is in pixels."""

    classes: list[str]
    input_size: int
    mean: list[float]
    std: list[float]
    temperature: float = 1.0
    # By class, added to the logits over the temperature; empty where nothing is.
    bias: list[float] = field(default_factory=list)
    # By class, of calibrated probabilities; empty where the largest decides.
    thresholds: dict[str, float] = field(default_factory=dict)
    # What the temperature was fitted on, and the calibration error before and after.
    calibration: dict[str, Any] = field(default_factory=dict)
    architecture: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    # Whether the logits are the mean over the photo and its mirror image.
    flip: bool = False
    precision: str = "float32"
    # How the file was made smaller, and what that costs on validation photos; empty where it was not.
    compression: dict[str, Any] = field(default_factory=dict)
    # Small pictures, PNG in base64, with the probabilities that the file shall give (see `golden`).
    golden: list[dict[str, Any]] = field(default_factory=list)
    golden_tolerance: float = 0.0
    created: str = ""
    package_version: str = ""
    license: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The metadata as plain data."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_json(self) -> str:
        """The metadata as a model file holds it."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, file: str) -> "ModelInfo":
        """Read the metadata of `file`; raises UserError where it is damaged or of a newer schema."""
        try:
            data = json.loads(text)
            if int(data.get("schema", 0)) > SCHEMA:
                raise UserError(f"{file}: written by a newer batchgender; upgrade this one")
            info = cls(**{key: value for key, value in data.items() if key in cls.__dataclass_fields__})
            if not info._sound():
                raise ValueError
            return info
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"{file}: its batchgender metadata is damaged; export the model again") from error

    def _sound(self) -> bool:
        """Whether all that a program goes by is of its type and range; raises TypeError where a part has none."""
        count = len(self.classes)
        names = isinstance(self.classes, list) and all(isinstance(name, str) and name for name in self.classes)
        words = (self.architecture, self.dataset, self.precision, self.created, self.package_version, self.license)
        tables = (self.thresholds, self.calibration, self.recipe, self.metrics, self.compression)
        return (
            names
            and count == len(set(self.classes)) >= 2
            and isinstance(self.input_size, int)
            and 0 < self.input_size <= _LARGEST_INPUT
            and all(_numbers(values, 3) for values in (self.mean, self.std))
            and min(self.std) > 0
            and _numbers([self.temperature, self.golden_tolerance], 2)
            and self.temperature > 0
            and 0 <= self.golden_tolerance <= 1
            and (self.bias == [] or _numbers(self.bias, count))
            and all(isinstance(word, str) for word in words)
            and all(isinstance(table, dict) for table in tables)
            and isinstance(self.golden, list)
            and set(self.thresholds) <= set(self.classes)
            and _numbers(list(self.thresholds.values()), len(self.thresholds))
        )


def _numbers(values: Any, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(math.isfinite(value) for value in values)


class Model:
    """An open model: `predict` turns uint8 [B, H, W, 3] RGB into float32 [B, classes] probabilities.

    Made by `open_model`. Safe to call from several threads, each of which computes on one core. `digest` is the
    SHA-256 of the file, in hex.
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

    def on(self, session: Session) -> "Model":
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
) -> Model:
    """Open an ONNX model file; with none given, `exports/batchgender.onnx`, else the one in the package.

    Our own files describe themselves; a foreign classifier (float input, channels first or last) needs
    `classes`, `mean` and `std`. Raises UserError where the file is missing, damaged or no image classifier.
    """
    name = str(default_model() if file is None else file)
    # The file is hashed on a core that is idle while the session is made.
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(_digest, name)
        session = open_session(name)
    digest = hashed.result()
    shape, dtype = session.inputs[0].shape, session.inputs[0].type
    info = _info(session, name)
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
    names = [canonical_name(name) for name in classes]
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


def describe_onnx(file: str) -> dict[str, Any]:
    """Inputs and outputs of an ONNX file with their types and shapes, and its metadata, None where foreign."""
    session = open_session(file)
    info = _info(session, file)
    sides = {"inputs": session.inputs, "outputs": session.outputs}
    named = {side: {v.name: f"{v.type} {v.shape}" for v in values} for side, values in sides.items()}
    return {**named, METADATA_KEY: info.as_dict() if info else None}


def read_extra(file: str) -> ModelInfo | None:
    """The metadata of a TorchScript or torch.export file, read without torch; None where it has none."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = [name for name in archive.namelist() if name.endswith(f"extra/{EXTRA_FILE}")]
            return ModelInfo.from_json(archive.read(found[0]).decode("utf-8"), file) if found else None
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError):
        return None


def _info(session: Session, name: str) -> ModelInfo | None:
    text = session.metadata.get(METADATA_KEY)
    return None if text is None else ModelInfo.from_json(text, name)


def _digest(name: str) -> str:
    with open(name, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
