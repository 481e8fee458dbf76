"""An ONNX classifier that is not from batchgender: how it is fed and read."""

import shlex
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify, one_line
from batchgender.model.foreign_options import NOTHING_SAID, ForeignOptions
from batchgender.model.foreign_output import (
    ForeignOutput,
    choose_output,
    described,
    fitting_outputs,
    is_scores,
    values_a_photo,
)
from batchgender.model.metadata import LARGEST_INPUT, ModelInfo
from batchgender.model.score_kind import ScoreKind, score_kind
from batchgender.model.session import Session

# Of a file whose input has free sides.
USUAL_SIDE = 224
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class ForeignInput:
    """A float input [batch, 3, height, width], or channels last; `batch` None: any; `assumed`: no size in the file."""

    name: str
    dtype: Any
    channels_first: bool
    batch: int | None
    size: tuple[int, int]
    assumed: bool

    @classmethod
    def of(cls, session: Session, file: str) -> "ForeignInput":
        """Read the input of an open file; raises UserError where it takes no pictures."""
        first, shape = session.inputs[0], list(session.inputs[0].shape)
        # A free number of channels is 3, and stands where PyTorch has it.
        axis = next((axis for axis in (1, 3) if shape[axis:] and shape[axis] == 3), None) or next(
            (axis for axis in (1, 3) if shape[axis:] and not isinstance(shape[axis], int)), None
        )
        if len(session.inputs) != 1 or len(shape) != 4 or axis is None or first.type not in _DTYPES:
            raise UserError(
                f"{file}: no image classifier: wants one float input of three channels, has"
                f" {', '.join(f'{each.type} {described([each])}' for each in session.inputs)}"
            )
        sides = shape[2:] if axis == 1 else shape[1:3]
        fixed = [side for side in sides if isinstance(side, int)]
        if not all(0 < side <= LARGEST_INPUT for side in fixed):
            raise UserError(f"{file}: no image classifier: its input has {described([first])} pixels")
        height, width = (side if isinstance(side, int) else (*fixed, USUAL_SIDE)[0] for side in sides)
        batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        return cls(first.name, _DTYPES[first.type], axis == 1, batch, (height, width), len(fixed) < 2)

    def tensor(self, pixels: NDArray[np.float32]) -> NDArray[Any]:
        """Normalised pixels [B, height, width, 3] as the input takes them."""
        if self.channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels, self.dtype)


@dataclass(frozen=True)
class ForeignModel:
    """A foreign file with what the user says of it; `info` is the metadata that it would have."""

    file: str = field(repr=False)
    input: ForeignInput
    output: ForeignOutput
    info: ModelInfo
    bgr: bool

    def predict(self, images: NDArray[np.uint8], session: Session) -> NDArray[np.float32]:
        """Probabilities float32 [B, classes] of uint8 [B, height, width, 3] RGB images of the input's size."""
        mean, std = (np.float32(255) * np.array(values, np.float32) for values in (self.info.mean, self.info.std))
        pixels = (images - mean) / std
        tensor = self.input.tensor(pixels[..., ::-1] if self.bgr else pixels)
        size = self.input.batch or len(tensor)
        values = []
        for at in range(0, len(tensor), size):
            chunk = tensor[at : at + size]
            # A file exported for a fixed batch takes no other; the rows added are cut off again.
            padded = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), 0)])
            found = session.run([self.output.name], {self.input.name: padded})[0]
            if size > 1 and (not found.ndim or len(found) != size):
                raise UserError(
                    f"{self.file}: gives values of shape {list(found.shape)} for {size} photos; try --batch-size 1"
                )
            # Sides of 1 are left out, and the batch where it is one photo.
            values.append(found.reshape(size, -1)[: len(chunk)].astype(np.float32))
        try:
            return self.output.probabilities(np.concatenate(values), len(self.info.classes))
        except UserError as error:
            raise UserError(f"{self.file}: {error}") from error


def open_foreign(session: Session, file: str, options: ForeignOptions, notify: Notify) -> ForeignModel:
    """Fit what the user says to an open file; `notify` gets what is assumed.

    Raises UserError where it is no image classifier, or the options are too few, wrong, or do not fit.
    """
    given = ForeignInput.of(session, file)
    if missing := _missing(session, given, options):
        raise UserError(f"{file}: not from batchgender and does not describe itself; give {' '.join(missing)} too")
    classes, (mean, std, over_bytes), bgr = options.class_names(), options.pixels(), options.bgr
    columns = options.checked_columns(len(classes))
    chosen = choose_output(session.outputs, file, given.batch, options, columns)
    output = ForeignOutput(chosen.name, columns, score_kind(file, chosen.name, columns))
    if given.assumed:
        height, width = given.size
        notify(f"{file}: leaves the size of its input open; photos become {width} x {height} pixels")
    if over_bytes:
        notify("--mean and --std: taken as over pixels in 0..255, for one of them is above 1")
    if options.output is None and len(session.outputs) > 1:
        notify(f"{file}: the classes are read from its output {one_line(chosen.name)} (--output names another)")
    if (values_a_photo(chosen, given.batch) if columns is None else len(columns)) == 1:
        what = "probability" if output.kind is ScoreKind.PROBABILITIES else "logit"
        notify(f"{file}: its one value is read as the {what} of {classes[1]}")
    # Of an oblong input the longer side stands for its size.
    info = ModelInfo(classes, max(given.size), mean, std)
    return ForeignModel(file, given, output, info, bgr)


def what_is_needed(session: Session, file: str) -> str:
    """The command line that classifies with an open foreign file, what only its user knows in capitals.

    Raises UserError where it is no image classifier.
    """
    given = ForeignInput.of(session, file)
    if not any(is_scores(output) for output in session.outputs):
        raise UserError(f"{file}: no image classifier: no output of floats, only {described(session.outputs)}")
    missing = _missing(session, given, NOTHING_SAID)
    line = f"batchgender classify PHOTOS --out FILE --model {shlex.quote(file)} {' '.join(missing)}"
    return f"{line}; --channels bgr where its first channel is blue; its outputs: {described(session.outputs)}"


def _missing(session: Session, given: ForeignInput, options: ForeignOptions) -> list[str]:
    """The options without which the file can't be used, with what to fill in; none where all that must be is there."""
    forms = {"classes": "A,B", "mean": "N,N,N", "std": "N,N,N"}
    missing = [f"--{name} {form}" for name, form in forms.items() if getattr(options, name) is None]
    if not missing:
        return []
    outputs = [output for output in session.outputs if options.output in (None, output.name)]
    # Two classes, where none are named yet.
    fitting = fitting_outputs(outputs, given.batch, None, 2 if options.classes is None else len(options.classes))
    if len(outputs) > 1:
        missing.append(f"--output {shlex.quote(fitting[0].name) if len(fitting) == 1 else 'NAME'}")
    if not fitting and options.columns is None:
        missing.append("--columns I,J")
    return missing
