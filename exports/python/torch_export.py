"""Photos to probabilities with torch.export (OpenCV decodes): python torch_export.py MODEL.pt2 PHOTO..."""

import json
import sys

import numpy as np
import torch
from embedded import answer

extra = {"batchgender.json": ""}
module = torch.export.load(sys.argv[1], extra_files=extra).module()


def probabilities(image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(torch.from_numpy(image)[None])[0][0].numpy()


answer(json.loads(extra["batchgender.json"]), probabilities)
