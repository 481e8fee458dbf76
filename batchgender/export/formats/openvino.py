"""OpenVINO's own format: .xml and .bin."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from batchgender.errors import UserError
from batchgender.export.formats import onnx as onnx_format
from batchgender.export.formats.registry import LoadedModel
from batchgender.extras import require_extra
from batchgender.io import first_line
from batchgender.model.metadata import METADATA_KEY, ModelInfo
from batchgender.training.networks.deployed import Deployed


def write(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write OpenVINO's two files, .xml and .bin, metadata in the first."""
    import openvino

    with TemporaryDirectory() as folder:
        onnx_format.write(module, info, Path(folder) / "model.onnx")
        model = openvino.Core().read_model(Path(folder) / "model.onnx")
        # What it makes of ONNX's Resize leaves out the antialiasing; Pillow's is the same filter.
        for resize in [node for node in model.get_ops() if node.get_type_name() == "Interpolate"]:
            image, sizes = (value.get_source_output() for value in resize.inputs()[:2])
            pillow = openvino.opset11.interpolate(image, sizes, "bilinear_pillow", "sizes", [0] * 4, [0] * 4)
            resize.output(0).replace(pillow.output(0))
        model.set_rt_info(info.to_json(), [METADATA_KEY])
        # Halved weights, its default, would cost half of the digits.
        openvino.save_model(model, path, compress_to_fp16=False)


def read(file: str) -> LoadedModel:
    """Open an OpenVINO file of ours, computing in float32."""
    require_extra("openvino", f"{file}: an OpenVINO file")
    import openvino

    core = openvino.Core()
    try:
        model = core.read_model(file)
        info = ModelInfo.from_json(model.get_rt_info([METADATA_KEY]).value, file)
    except RuntimeError as error:
        raise UserError(f"{file}: damaged, or no OpenVINO file from batchgender ({first_line(error)})") from error
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return LoadedModel(lambda images: np.array(compiled(images)["probabilities"]), info, computed_by="OpenVINO")
