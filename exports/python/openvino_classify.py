"""Photos to probabilities with OpenVINO (Pillow decodes): python openvino_classify.py MODEL.onnx PHOTO..."""

import sys

import numpy as np
from embedded import answer, model_file, onnx_about, resized

# By this package, which it can do without, OpenVINO reports its use to its maker as it is imported.
sys.modules["openvino_telemetry"] = None
import openvino  # noqa: E402

file = model_file(".onnx")
about = onnx_about(file)
# Its own choice may be bfloat16, which moves the answers.
model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def probabilities(image: np.ndarray) -> np.ndarray:
    # OpenVINO's Resize doesn't antialias, so it is given nothing to resize.
    return model(resized(image, about["input_size"])[None])["probabilities"][0]


answer(about, probabilities)
