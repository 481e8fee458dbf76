"""A model file's metadata: what a program that opens it must know, checked field by field."""

import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from batchgender.errors import UserError

METADATA_KEY = "batchgender"
# The name of the metadata in formats that are archives.
EXTRA_FILE = "batchgender.json"
SCHEMA = 1
LARGEST_INPUT = 16_384
# Bytes of the metadata in an archive; files of ours have a thousandth of it.
_LARGEST_JSON = 2**26
# Pictures of a self-check: files of ours have two.
_PICTURES = 100
# The report counts each pair of them.
_CLASSES = 1000
# Fields whose names in files are older than those in the code.
_NAMES_IN_FILES = {"self_check": "golden", "self_check_tolerance": "golden_tolerance"}

Interval = tuple[float, float]


@dataclass(frozen=True)
class ClassFigures:
    """One class on labelled photos: shares in 0..1, None where nothing was counted; `support` is its photos."""

    precision: float | None
    recall: float | None
    recall_interval_95: Interval | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class SplitFigures:
    """A model on its test split: accuracy, AUROC, expected calibration error, and the figures of each class."""

    accuracy: float | None
    labelled: int
    unreadable: int
    classes: dict[str, ClassFigures]
    auroc: float | None
    ece: float | None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SplitFigures | None":
        """Read plain data that holds these figures, and perhaps others; None where it does not."""
        try:
            classes = {
                str(name): ClassFigures(**{key: each[key] for key in ClassFigures.__dataclass_fields__})
                for name, each in data["classes"].items()
            }
            shares = [data["accuracy"], *(each.recall for each in classes.values())]
            counts = [data["labelled"], *(each.support for each in classes.values())]
            if not all(value is None or (_is_number(value) and 0 <= value <= 1) for value in shares):
                return None
            if not all(isinstance(value, int) and value >= 0 for value in counts):
                return None
            # Files of other versions may lack the last two.
            return cls(
                data["accuracy"], data["labelled"], data["unreadable"], classes, data.get("auroc"), data.get("ece")
            )
        except (KeyError, TypeError, AttributeError, OverflowError):
            return None


@dataclass(frozen=True)
class CalibrationFit:
    """What the temperature was fitted on, and the expected calibration error there, before and after."""

    photos: int
    ece_before: float | None
    ece_after: float | None
    temperature: float

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CalibrationFit | None":
        """Read plain data; None where it does not hold a fit."""
        known = {key: data[key] for key in cls.__dataclass_fields__ if _is_number(data.get(key))}
        known |= {key: None for key in ("ece_before", "ece_after") if key not in known}
        return cls(**known) if known.keys() >= {"photos", "temperature"} else None


@dataclass(frozen=True)
class Compression:
    """How a file was made smaller (low rank, fewer bits), and what that costs on validation photos; None: not so."""

    rank: int | None = None
    rank_photos: int | None = None
    int8_calibration: str | None = None
    int8_photos: int | None = None
    validation_photos: int | None = None
    validation_accuracy_float32: float | None = None
    validation_accuracy_exported: float | None = None
    flips: int | None = None
    largest_difference: float | None = None
    mean_difference: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Compression | None":
        """Read plain data; None where it holds nothing of this."""
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__ and _is_plain(value)}
        return cls(**known) if known else None


@dataclass(frozen=True)
class ModelInfo:
    """A model file's metadata; `mean` and `std` are over RGB in 0..1, `input_size` is in pixels."""

    classes: list[str]
    input_size: int
    mean: list[float]
    std: list[float]
    temperature: float = 1.0
    # By class, added to the logits over the temperature; empty: none.
    bias: list[float] = field(default_factory=list)
    # By class, of calibrated probabilities; empty: the largest probability decides.
    thresholds: dict[str, float] = field(default_factory=dict)
    calibration: CalibrationFit | None = None
    architecture: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    metrics: SplitFigures | None = None
    # How its training photos are framed around the face (see `faces.framing`); empty: not known.
    framing: dict[str, float] = field(default_factory=dict)
    # Whether the logits are the mean over the photo and its mirror image.
    flip: bool = False
    precision: str = "float32"
    compression: Compression | None = None
    # Small pictures, PNG in base64, each with the probabilities that the file gives for it (see `self_check`).
    self_check: list[dict[str, Any]] = field(default_factory=list)
    self_check_tolerance: float = 0.0
    created: str = ""
    package_version: str = ""
    license: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The metadata as plain data, under the names that it has in files."""
        data = {_NAMES_IN_FILES.get(key, key): value for key, value in asdict(self).items()}
        compression = {key: value for key, value in (data["compression"] or {}).items() if value is not None}
        absent: dict[str, Any] = {"calibration": data["calibration"] or {}, "metrics": data["metrics"] or {}}
        return {"schema": SCHEMA, **data, **absent, "compression": compression}

    def to_json(self) -> str:
        """The metadata as a model file holds it."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, file: str) -> "ModelInfo":
        """Read the metadata of `file`; raises UserError where it is damaged, naming the field, or of a newer schema."""
        try:
            data = json.loads(text)
            newer = int(data.get("schema", 0)) > SCHEMA
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"{file}: its batchgender metadata is damaged; export the model again") from error
        if newer:
            raise UserError(f"{file}: written by a newer batchgender; upgrade this one")
        given = {key: data[name] for key in cls.__dataclass_fields__ if (name := _NAMES_IN_FILES.get(key, key)) in data}
        if problem := wrong_field(given):
            raise UserError(f"{file}: its batchgender metadata is damaged: {problem}; export the model again")
        for key, kind in (("calibration", CalibrationFit), ("metrics", SplitFigures), ("compression", Compression)):
            if key in given:
                given[key] = kind.from_dict(given[key])
        return cls(**given)


def wrong_field(given: Mapping[str, Any]) -> str:
    """Which of these fields of a ModelInfo, as plain data, is missing or damaged, and what it wants; "" for none."""
    for key, (sound, wants) in _FIELDS.items():
        if key in given or key in _REQUIRED:
            try:
                right = key in given and sound(given[key], given)
            except (TypeError, ValueError, OverflowError, KeyError):
                right = False
            if not right:
                return f"the field {_NAMES_IN_FILES.get(key, key)} wants {wants}"
    return ""


def read_archive_metadata(file: str) -> ModelInfo | None:
    """The metadata of a TorchScript, torch.export or LiteRT file, without its runtime; None where it has none."""
    # A pipe would be waited for.
    if not os.path.isfile(file):
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            found = [entry for entry in archive.infolist() if entry.filename.endswith(f"extra/{EXTRA_FILE}")]
            if not found or found[0].file_size > _LARGEST_JSON:
                return None
            return ModelInfo.from_json(archive.read(found[0]).decode("utf-8"), file)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, UnicodeDecodeError):
        return None


def metadata_of_archive(file: str) -> ModelInfo:
    """The metadata of a TorchScript, torch.export or LiteRT file; raises UserError where it has none."""
    if info := read_archive_metadata(file):
        return info
    if not os.path.exists(file):
        raise UserError(f"{file}: no such model file; make one with `batchgender export`")
    raise UserError(f"{file}: damaged, or not from batchgender: it holds no {EXTRA_FILE}; export the model again")


def _numbers(values: Any, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(map(_is_number, values))


def _is_number(value: Any) -> bool:
    # JSON's true and false are whole numbers to Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value)


def _text(value: Any, _: Mapping[str, Any]) -> bool:
    return isinstance(value, str)


def _table(value: Any, _: Mapping[str, Any]) -> bool:
    return isinstance(value, dict)


def _classes(value: Any, _: Mapping[str, Any]) -> bool:
    few = isinstance(value, list) and len(value) <= _CLASSES
    named = few and all(isinstance(name, str) and name for name in value)
    # JSON may hold half a surrogate pair, which is no UTF-8: to encode it raises a ValueError.
    return named and len(value) == len(set(value)) >= 2 and bool("".join(value).encode())


def _thresholds(value: Any, given: Mapping[str, Any]) -> bool:
    known = isinstance(value, dict) and set(value) <= set(given["classes"])
    return known and _numbers(list(value.values()), len(value))


def _framing(value: Any, _: Mapping[str, Any]) -> bool:
    if value == {}:
        return True
    margin, share = value["margin"], value["face_share"]
    return _numbers([margin, share], 2) and 0 <= margin <= 5 and 0 < share <= 2


_Sound = Callable[[Any, Mapping[str, Any]], bool]
_REQUIRED = ("classes", "input_size", "mean", "std")
# What each field wants: a test of its value, beside the fields before it, and the words of the error.
_FIELDS: dict[str, tuple[_Sound, str]] = {
    "classes": (_classes, f"a list of two or more different names, up to {_CLASSES:,}"),
    "input_size": (
        lambda value, _: isinstance(value, int) and _is_number(value) and 0 < value <= LARGEST_INPUT,
        f"a whole number from 1 to {LARGEST_INPUT:,}",
    ),
    "mean": (lambda value, _: _numbers(value, 3), "three numbers"),
    "std": (lambda value, _: _numbers(value, 3) and min(value) > 0, "three numbers above 0"),
    "temperature": (lambda value, _: _numbers([value], 1) and value > 0, "a number above 0"),
    "bias": (lambda value, given: value == [] or _numbers(value, len(given["classes"])), "a number for each class"),
    "thresholds": (_thresholds, "a number for each class that it names"),
    "self_check": (
        lambda value, _: isinstance(value, list) and len(value) <= _PICTURES,
        f"a list of up to {_PICTURES} pictures",
    ),
    "self_check_tolerance": (lambda value, _: _numbers([value], 1) and 0 <= value <= 1, "a number from 0 to 1"),
    "framing": (_framing, "a margin from 0 to 5 and a face_share above 0, up to 2"),
    "flip": (lambda value, _: isinstance(value, bool), "true or false"),
    **dict.fromkeys(("calibration", "recipe", "metrics", "compression"), (_table, "a table")),
    **dict.fromkeys(("architecture", "dataset", "precision", "created", "package_version", "license"), (_text, "text")),
}
