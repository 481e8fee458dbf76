"""Photos to probabilities with torch.export (Pillow decodes): python torch_export.py MODEL.pt2 PHOTO...

torch.export.load runs what the file holds: give it files alone whose maker you know.
"""

import json
import sys
import zipfile

import numpy as np
import torch
from embedded import answer, model_file

extra = {"batchgender.json": ""}
file = model_file(".pt2")
# torch prints a traceback of its own for a file that is no archive.
if not zipfile.is_zipfile(file):
    sys.exit(f"{file}: no torch.export file")
try:
    module = torch.export.load(file, extra_files=extra).module()
except Exception as error:
    sys.exit(f"{file}: no torch.export file ({type(error).__name__})")


def probabilities(image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(torch.from_numpy(image)[None])[0][0].numpy()


answer(json.loads(extra["batchgender.json"]), probabilities)
