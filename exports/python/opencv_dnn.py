"""Photos to probabilities with OpenCV 5 alone, its DNN module: python opencv_dnn.py MODEL.onnx PHOTO...

MODEL is a float32 file: the module can't run int8 ones, as the packaged one is.
"""

import sys

import cv2
import numpy as np
from embedded import answer, model_file, onnx_about, resized

file = model_file(".onnx")
about = onnx_about(file)
if about.get("precision", "float32") == "int8":
    sys.exit(f"{file}: an int8 file, which OpenCV's DNN module can't run; give a float32 one")
# The engine that is new in OpenCV 5: the classic one takes no file whose sides are free.
network = cv2.dnn.readNetFromONNX(file, cv2.dnn.ENGINE_NEW)


def probabilities(image: np.ndarray) -> np.ndarray:
    # OpenCV's Resize doesn't antialias, so it is given nothing to resize.
    network.setInput(resized(image, about["input_size"])[None], "image")
    return network.forward("probabilities")[0]


answer(about, probabilities)
