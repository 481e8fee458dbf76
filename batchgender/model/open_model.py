"""A model file opened: pixels go in, probabilities come out."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify, silent
from batchgender.model.foreign_options import NOTHING_SAID, ForeignOptions
from batchgender.model.hub_file import fetch_hub_file, is_hub_name
from batchgender.model.metadata import METADATA_KEY, ModelInfo
from batchgender.model.session import CPU, Session, check_model_file, open_session, provider_named, session_over
from batchgender.model.trial import try_model
from batchgender.version import __version__

if TYPE_CHECKING:
    from batchgender.model.foreign_model import ForeignModel

DEFAULT_MODEL = Path("exports/batchgender.onnx")
PACKAGED_MODEL = Path(__file__).parent.parent / "assets" / "default.onnx"
# What names the packaged model wherever a model file is named.
PACKAGED = "packaged"
# Bytes of a file from which on a second session over it would take much memory.
_LARGE = 2**24


class Model:
    """An open model: `predict` turns uint8 [B, H, W, 3] RGB into float32 [B, classes] probabilities.

    Made by `open_model`. Several threads may call it, each of which computes on one core. `digest` is the SHA-256 of
    the file, in hex; `foreign` is how a file that is not from batchgender is fed and read; `name` is what a user calls
    it, which is not its file where it came from the Hub.
    """

    def __init__(
        self,
        file: str,
        session: Session,
        digest: str,
        info: ModelInfo,
        foreign: "ForeignModel | None" = None,
        name: str = "",
    ) -> None:
        self.file, self.digest, self.info, self.foreign = file, digest, info, foreign
        self.session, self.name = session, name or file

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that it takes; our own files take others, too."""
        return self.foreign.input.size if self.foreign else (self.info.input_size, self.info.input_size)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities float32 [B, classes] of uint8 [B, H, W, 3] RGB images; foreign models want their own size."""
        if self.foreign:
            return self.foreign.predict(images, self.session)
        return self.session.run(["probabilities"], {self.session.inputs[0].name: images})[0]

    @property
    def title(self) -> str:
        """The model in a few words: its file, but for the packaged one, and what it is."""
        if Path(self.file) == PACKAGED_MODEL:
            return f"packaged model {__version__}"
        kind = ", ".join(word for word in (self.info.architecture, self.info.precision) if word)
        return f"{self.name} (not from batchgender)" if self.foreign else f"{self.name} ({kind})"

    @property
    def description(self) -> str:
        """The model in a line: its file, and what goes in and comes out."""
        height, width = self.size
        classes = ", ".join(self.info.classes)
        return f"{self.file}, SHA-256 {self.digest[:12]}; {width} x {height} pixels; classes {classes}"

    @property
    def fingerprint(self) -> str:
        """What decides its answers: the file, and how a foreign one is fed and read."""
        return f"{self.digest} {self.foreign}" if self.foreign else self.digest

    def at_its_size(self) -> "Model":
        """The same model for pictures of its size alone, on onnxruntime's CPU provider: it need not resize them.

        The answers are the same, to the last bit. It is this one where it has another provider, or would gain little.
        """
        if self.foreign or provider_named(self.session.provider) != CPU:
            return self
        # Here: onnx takes as long as to open a file.
        from batchgender.model.sized_graph import without_resize

        try:
            small = os.path.getsize(self.file) <= _LARGE
            graph = without_resize(self.file, self.info.input_size) if small else None
            if not graph:
                return self
            cut = self.with_session(session_over(graph, self.file))
            picture = np.random.default_rng(0).integers(0, 256, (1, *self.size, 3), np.uint8)
            return cut if np.array_equal(cut.predict(picture), self.predict(picture)) else self
        except (OSError, UserError):
            # The file is gone, or the memory is full: what is open goes on.
            return self

    def with_session(self, session: Session) -> "Model":
        """The same model, computed by another session over its file."""
        return Model(self.file, session, self.digest, self.info, self.foreign, self.name)


def open_model(
    file: str | os.PathLike[str] | None = None,
    foreign: ForeignOptions = NOTHING_SAID,
    session: Session | None = None,
    notify: Notify = silent,
) -> Model:
    """Open an ONNX model file; with none given, `exports/batchgender.onnx`, else the packaged one, named "packaged".

    `hf:OWNER/NAME` is one of the Hugging Face Hub (see `hub_file`). Our own files describe themselves; a foreign
    classifier (float input, channels first or last) needs `foreign`, and `notify` gets what is assumed of it. `session`
    is one that is open over the file already. Raises UserError where the file is missing, damaged or no image
    classifier.
    """
    asked = str(default_model()) if file is None else os.fspath(file)
    name = named_model(asked, notify)
    check_model_file(name)
    if not session and Path(name) != PACKAGED_MODEL:
        try_model(name)
    # The file is hashed on a core that is idle while the session is made.
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(_digest, name)
        session = session or open_session(name)
    digest = hashed.result()
    shown = asked if is_hub_name(asked) else name
    info = session_metadata(session, name)
    if info is None:
        # Here: with onnx, which reads foreign graphs, they take as long as to open a file of ours.
        from batchgender.model.foreign_model import open_foreign

        adapted = open_foreign(session, name, foreign, notify)
        return Model(name, session, digest, adapted.info, adapted, shown)
    if given := foreign.given():
        raise UserError(f"{name}: describes itself; leave {', '.join(given)} out")
    outputs = {value.name for value in session.outputs}
    if len(session.inputs[0].shape) != 4 or session.inputs[0].type != "tensor(uint8)" or "probabilities" not in outputs:
        raise UserError(f"{name}: says it is batchgender's but has other inputs or outputs; export it again")
    width = next(value.shape[-1] for value in session.outputs if value.name == "probabilities")
    if isinstance(width, int) and width != len(info.classes):
        raise UserError(f"{name}: names {len(info.classes)} classes and answers for {width}; export it again")
    return Model(name, session, digest, info, name=shown)


def default_model() -> Path:
    """The model that is taken where none is named; raises UserError where there is none."""
    for model in (DEFAULT_MODEL, PACKAGED_MODEL):
        if model.is_file():
            return model
    raise UserError(
        f"no model: {DEFAULT_MODEL} is not there, and none came with the package; train and export one"
        " (`batchgender train`, `batchgender export --format onnx`) or name one with --model"
    )


def named_model(name: str, notify: Notify = silent) -> str:
    """The file that a model's name stands for: the packaged one for "packaged", else the name itself.

    What `hf:OWNER/NAME` names is fetched; raises UserError where it can't be.
    """
    if is_hub_name(name):
        return fetch_hub_file(name, notify)
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
