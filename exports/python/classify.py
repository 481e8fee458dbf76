"""Photos to probabilities with onnxruntime and NumPy (Pillow decodes): python classify.py MODEL.onnx PHOTO..."""

import base64
import io
import json
import os
import sys

import numpy as np
from PIL import Image, ImageOps

# Without this, set before the import, onnxruntime reports its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

if len(sys.argv) < 3:
    sys.exit("usage: python classify.py MODEL.onnx PHOTO...")
for path in sys.argv[1:]:
    if not os.path.isfile(path):
        sys.exit(f"{path}: no such file")
try:
    session = onnxruntime.InferenceSession(sys.argv[1])
    about = json.loads(session.get_modelmeta().custom_metadata_map["batchgender"])
except Exception as error:
    sys.exit(f"{sys.argv[1]}: no ONNX file from batchgender ({type(error).__name__})")


def probabilities(data: bytes, name: str) -> np.ndarray:
    """RGB, upright, on white where it is transparent, at its own size: the file does the rest."""
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if image.mode.startswith("I"):
            # Gray in 16 bits, of which Pillow would keep the darkest.
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("RGBA")
    except Exception:  # Pillow's formats each raise their own.
        sys.exit(f"{name}: no photo that Pillow can read")
    white = Image.new("RGBA", image.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    return session.run(["probabilities"], {"image": pixels[None]})[0][0]


# The self-check: pictures in the file, with the answers that it gives for them.
for check in about.get("golden", []):
    apart = np.abs(probabilities(base64.b64decode(check["png"]), "self-check") - check["probabilities"]).max()
    if not apart <= about["golden_tolerance"]:
        sys.exit(f"{sys.argv[1]}: self-check failed: probabilities differ by {apart:.4f}")
print("path", "prediction", *("p_" + name.lower() for name in about["classes"]), sep=",")
for path in sys.argv[2:]:
    with open(path, "rb") as stream:
        found = probabilities(stream.read(), path)
    print(path, about["classes"][found.argmax()], *(f"{p:.6f}" for p in found), sep=",")
