"""float16 ONNX files: half the size, for GPUs of phones and pages; on a CPU the numbers are widened again."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from batchgender.export.agreement import Judge
from batchgender.export.formats.onnx import OPSET, Format, save_onnx, write_onnx
from batchgender.export.load_any_model import open_any
from batchgender.export.quantization.int8 import outside
from batchgender.io import Notify
from batchgender.model.model_file import ModelInfo
from batchgender.model.self_check import with_golden
from batchgender.training.networks.alexnet import Deployed

# In probability: sixteen bits carry three digits, and each layer takes a little of the third.
_TOLERANCE = 0.02


def float16_format(judge: Judge, notify: Notify, opset: int = OPSET) -> Format:
    """The ONNX format with the layers in float16; pixels before them and the last layer stay in float32.

    Writing raises UserError where accuracy falls by more than half a point.
    """

    def write(module: Deployed, info: ModelInfo, path: Path) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "float16.onnx"
            write_onnx(module, info, file, opset)
            whole = onnx.load(file)
            model = convert_float_to_float16(whole, keep_io_types=True, node_block_list=outside(whole.graph.node))
            onnx.save_model(model, file)
            predict, _ = open_any(str(file))
            kept = judge.compare(predict)
            notify(f"float16: {kept}")
            kept.check()
            info = replace(info, precision="float16", compression={**info.compression, **kept.as_dict()})
            save_onnx(model, with_golden(info, predict), path)

    return Format(".onnx", write, _TOLERANCE)
