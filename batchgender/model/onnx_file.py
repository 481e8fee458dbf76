"""An ONNX file as a graph, without a runtime; and the names of constants in files of ours."""

import onnx

from batchgender.errors import UserError, os_reason

# In an int8 file the resized bytes go into the first layer as they are: its weights and bias for bytes, and the zero
# point of the bytes.
KERNEL, BIAS, ZERO_POINT = "kernel_of_pixels", "bias_of_pixels", "pixel_zero_byte"


def load_onnx(file: str) -> onnx.ModelProto:
    """Read an ONNX file, without external weights; raises UserError where it is none."""
    try:
        return onnx.load(file, load_external_data=False)
    except OSError as error:
        raise UserError(f"{file}: can't read the model ({os_reason(error)})") from error
    except Exception as error:  # Protobuf's own.
        raise UserError(f"{file}: damaged, cut short, or no ONNX model") from error
