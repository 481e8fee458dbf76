"""Photos to probabilities with onnxruntime and NumPy (OpenCV decodes): python classify.py MODEL.onnx PHOTO..."""

import base64
import json
import sys

import cv2
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["batchgender"])


def probabilities(data: bytes) -> np.ndarray:
    """RGB, upright, at its own size: the file does the rest."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return session.run(["probabilities"], {"image": image[None]})[0][0]


for golden in about.get("golden", []):
    apart = np.abs(probabilities(base64.b64decode(golden["png"])) - golden["probabilities"]).max()
    if not apart <= about["golden_tolerance"]:
        sys.exit(f"{sys.argv[1]}: answers its own pictures wrongly here, {apart:.4f} apart")
print("path", "prediction", *("p_" + name.lower() for name in about["classes"]), sep=",")
for path in sys.argv[2:]:
    with open(path, "rb") as stream:
        found = probabilities(stream.read())
    print(path, about["classes"][found.argmax()], *(f"{p:.6f}" for p in found), sep=",")
