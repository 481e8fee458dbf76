"""Explanations as files: a picture and its figures for each answer, in folders as the photos lie."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from batchgender.classify.pipeline import Classifier
from batchgender.errors import UserError, os_reason
from batchgender.explanation.explain import COVERED, Explanation
from batchgender.explanation.picture import explanation_picture, sides
from batchgender.io import check_writable, written_whole
from batchgender.photos.places.archive import member_path
from batchgender.report.text import LIMIT
from batchgender.version import __version__


def check_folder(folder: str, overwrite: bool) -> None:
    """Raise UserError where explanations can't be written into a folder, or others lie in it already."""
    if os.path.lexists(folder):
        if not os.path.isdir(folder):
            raise UserError(f"{folder}: is a file; give --out the name of a folder")
        if not overwrite and os.listdir(folder):
            raise UserError(f"{folder}: is not empty; choose another --out, or replace what is there with --overwrite")
    check_writable(os.path.join(folder, "picture.png"), "--out")


class ExplanationFiles:
    """Writes NAME.png and NAME.json for each explanation; names that two photos share are numbered.

    `inputs` are what the photos are found in: the folder that several of them share is left out of the names.
    """

    def __init__(self, folder: str, classifier: Classifier, inputs: Sequence[str]) -> None:
        self._folder, self._model = Path(folder), classifier.model
        self._shared = _shared_folder(inputs)
        self._names: set[str] = set()

    def write(self, explanation: Explanation) -> Path:
        """Write the two files of one explanation, whole or not at all; gives the picture's. Raises UserError."""
        row = explanation.row
        path = row.path.removeprefix(self._shared)
        name = member_path(path.replace(os.sep, "/").replace(":", "_")) or "photo"
        if row.time is not None:
            name += f".{row.time:.3f}s"
        if row.face and row.face.number > 1:
            name += f".face{row.face.number}"
        picture = self._folder / f"{self._free(name)}.png"
        pixels = explanation_picture(explanation)[..., ::-1]
        data = json.dumps(self._figures(explanation), indent=2, ensure_ascii=False)
        try:
            with written_whole(picture, "wb") as stream:
                stream.write(cv2.imencode(".png", pixels)[1].tobytes())
            with written_whole(picture.with_suffix(".json")) as stream:
                stream.write(data + "\n")
        except OSError as error:
            raise UserError(f"{picture}: can't write the explanation ({os_reason(error)})") from error
        return picture

    def _free(self, name: str) -> str:
        """The name, or with a number where another photo has it: a/b.jpg and /a/b.jpg are written alike."""
        found, number = name, 1
        # Not told apart everywhere.
        while found.lower() in self._names:
            number += 1
            found = f"{name}.{number}"
        self._names.add(found.lower())
        return found

    def _figures(self, explanation: Explanation) -> dict[str, Any]:
        row, found = explanation.row, explanation.map
        low, high = sides(explanation.classes, explanation.explained)
        return {
            "schema": 1,
            "path": row.path,
            **({"face": asdict(row.face)} if row.face else {}),
            **({} if row.time is None else {"time": row.time}),
            "label": row.label,
            "prediction": row.prediction,
            "probabilities": dict(zip(explanation.classes, row.probabilities, strict=True)),
            "explained": explanation.explained,
            "method": explanation.method.name,
            "source": explanation.method.title,
            "colours": {"blue": low, "red": high},
            "covered_share": COVERED,
            "probability_covered": round(explanation.covered, 6),
            "map": {
                "rows": found.shape[0],
                "columns": found.shape[1],
                "largest": round(float(found.max()), 6),
                "smallest": round(float(found.min()), 6),
                "strongest_for": _place(found),
                "strongest_against": _place(-found),
            },
            "model": {"file": Path(self._model.file).name, "sha256": self._model.digest},
            "package_version": __version__,
            "note": LIMIT,
        }


def _shared_folder(inputs: Sequence[str]) -> str:
    """The folder that several inputs lie in, with a `/` at its end; "" of one input, and where there is none."""
    try:
        shared = os.path.commonpath([os.path.dirname(each) for each in inputs]) if len(inputs) > 1 else ""
    except ValueError:
        return ""  # Some are absolute, some not.
    return shared and shared.rstrip("/") + "/"


def _place(found: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, float]:
    """Where the largest value lies, as shares of the width and the height of what is explained."""
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return {"x": round((column + 0.5) / found.shape[1], 3), "y": round((row + 0.5) / found.shape[0], 3)}
