"""What a model is published as: the files that are uploaded, made and checked before anything leaves this machine."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.extras import require_extra
from batchgender.io import Notify, one_line
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.hub_file import HubName, parse_hub_name
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import named_model, open_model, session_metadata
from batchgender.model.self_check import run_self_check
from batchgender.model.session import open_session
from batchgender.publish.card import card_body
from batchgender.publish.card_head import LICENSE_FILE, card_head, listed_license
from batchgender.publish.dataset_named import dataset_named

# Always the same, so that a model that is published again takes the place of the one before.
MODEL_FILE = "model.onnx"
CHECKPOINT_FILE = "checkpoint.safetensors"
CARD_FILE = "README.md"


@dataclass(frozen=True)
class Publication:
    """The model's name on the Hub, and the files by their names there: bytes, or files of this machine."""

    name: HubName
    files: Mapping[str, bytes | Path]


def prepare_publication(model: str, name: str, checkpoint: str | None, notify: Notify) -> Publication:
    """Make the card of an ONNX file of batchgender, and gather what is published with it.

    `checkpoint` is that of the model, of which a copy without paths of this machine is published, too. Raises UserError
    where the file is another one, or fails its self-check, and where the checkpoint is another model's.
    """
    target = parse_hub_name(name)
    if target.revision or target.file:
        raise UserError(f"{name}: give hf:OWNER/NAME, without a revision and a file")
    require_extra("hub", "batchgender publish")
    file = named_model(model, notify)
    info = _checked(file, model)
    body = card_body(info, os.path.getsize(file), name, MODEL_FILE)
    files: dict[str, bytes | Path] = {
        CARD_FILE: (card_head(info, target.repository.partition("/")[2]) + "\n" + body).encode("utf-8", "replace"),
        MODEL_FILE: Path(file),
    }
    if not info.license:
        notify(f"{model}: states no licence, so nobody else may use it; `export --license` states one")
    elif not listed_license(info.license):
        files[LICENSE_FILE] = f"{one_line(info.license)}\n".encode("utf-8", "replace")
    if re.search(r"[/\\]", info.dataset) and not dataset_named(info.dataset)[0]:
        notify(f"{model}: its metadata names the folder {info.dataset}, and is published so")
    if checkpoint:
        files[CHECKPOINT_FILE] = _portable(checkpoint, info)
    return Publication(target, files)


def write_publication(publication: Publication, folder: str | Path) -> None:
    """Write the files into a folder that is made; raises UserError where it is there already, or can't be written."""
    try:
        Path(folder).mkdir(parents=True)
        for name, content in publication.files.items():
            if isinstance(content, bytes):
                Path(folder, name).write_bytes(content)
            else:
                shutil.copyfile(content, Path(folder, name))
    except FileExistsError as error:
        raise UserError(f"{folder}: is there already; give --out another folder, or delete it") from error
    except OSError as error:
        raise UserError(f"{error.filename or folder}: can't write ({os_reason(error)})") from error


def _checked(file: str, model: str) -> ModelInfo:
    if not os.path.isfile(file):
        raise UserError(f"{model}: no such model file; make one with `batchgender export`")
    if kind_of_file(file) is not FileKind.ONNX:
        raise UserError(f"{model}: no ONNX file; publish what `export --format onnx` wrote (--checkpoint adds that)")
    session = open_session(file)
    info = session_metadata(session, file)
    if info is None:
        raise UserError(f"{model}: not from batchgender, so it has no metadata for a card")
    run_self_check(open_model(file, session=session))
    return info


def _portable(checkpoint: str, info: ModelInfo) -> bytes:
    """A checkpoint as bytes, without the paths of this machine; raises UserError where it is not that of the file."""
    require_extra("train", "publish --checkpoint")
    from batchgender.training import checkpoint as checkpoints

    found = checkpoints.load(checkpoint)
    # As a file holds it: JSON knows lists alone.
    own = ModelInfo.from_json(found.info().to_json(), checkpoint)
    if (own.architecture, own.classes, own.recipe) != (info.architecture, info.classes, info.recipe):
        raise UserError(f"{checkpoint}: the checkpoint of another model, of another recipe or other classes")
    files = {key: own.recipe[key] for key in ("weights", "also_learn", "sources")}
    cleaned = replace(
        found,
        source=own.dataset,
        recipe=replace(found.recipe, **files, teacher=tuple(own.recipe["teacher"])),
        run=found.run.without_training(),
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.save(cleaned, Path(folder, CHECKPOINT_FILE))
        return Path(folder, CHECKPOINT_FILE).read_bytes()
