"""Photos to probabilities with onnxruntime and NumPy (Pillow decodes): python classify.py MODEL.onnx PHOTO..."""

import json
import os
import sys

import numpy as np
from embedded import answer, model_file

# Without this, set before the import, onnxruntime reports its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

file = model_file(".onnx")
try:
    session = onnxruntime.InferenceSession(file)
    about = json.loads(session.get_modelmeta().custom_metadata_map["batchgender"])
except Exception as error:
    sys.exit(f"{file}: no ONNX file from batchgender ({type(error).__name__})")


def probabilities(image: np.ndarray) -> np.ndarray:
    # At its own size: the file does the rest.
    return session.run(["probabilities"], {"image": image[None]})[0][0]


answer(about, probabilities)
