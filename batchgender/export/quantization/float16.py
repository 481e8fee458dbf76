"""float16 ONNX files: half the size, for GPUs of phones and pages; on a CPU the numbers are widened again."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from batchgender.export.agreement import Reference
from batchgender.export.formats import onnx as onnx_format
from batchgender.export.quantization.compression import merged
from batchgender.export.quantization.layers import nodes_outside_layers
from batchgender.io import Notify
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import open_model
from batchgender.model.self_check import with_self_check
from batchgender.training.networks.deployed import Deployed


def write_float16(
    module: Deployed, info: ModelInfo, path: Path, reference: Reference, notify: Notify, opset: int
) -> None:
    """Write an ONNX file with its layers in float16; pixels before them and the last layer stay in float32.

    Raises UserError where accuracy falls by more than half a point.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "float16.onnx"
        onnx_format.write(module, info, file, opset)
        whole = onnx.load(file)
        outside = nodes_outside_layers(whole.graph.node)
        model = convert_float_to_float16(whole, keep_io_types=True, node_block_list=outside)
        onnx.save_model(model, file)
        predict = open_model(file).predict
        agreement = reference.compare(predict, "float16")
        notify(f"float16: {agreement}")
        agreement.check_points_lost()
        info = replace(info, precision="float16", compression=merged(info.compression, agreement.compression()))
        onnx_format.save_onnx(model, with_self_check(info, predict), path)
