"""Photos to probabilities with OpenCV 5 alone, its DNN module: python opencv_dnn.py MODEL.onnx PHOTO..."""

import sys

import cv2
import numpy as np
from embedded import answer, onnx_about, resized

about = onnx_about(sys.argv[1])
# The engine that is new in OpenCV 5: the classic one takes no file whose sides are free.
network = cv2.dnn.readNetFromONNX(sys.argv[1], cv2.dnn.ENGINE_NEW)


def probabilities(image: np.ndarray) -> np.ndarray:
    # OpenCV's Resize doesn't antialias, so it is given nothing to resize.
    network.setInput(resized(image, about["input_size"])[None], "image")
    return network.forward("probabilities")[0]


answer(about, probabilities)
