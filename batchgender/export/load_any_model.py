"""Any model file or checkpoint, opened for evaluation: the same figures whatever the format."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.model_file import METADATA_KEY, ModelInfo, open_model, read_extra
from batchgender.model.session import first_line
from batchgender.photos.resize import resize
from batchgender.training import checkpoint as checkpoints
from batchgender.training.evaluation import Predict, predictor


def open_any(
    file: str,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    flip: bool = False,
) -> tuple[Predict, ModelInfo]:
    """Open a checkpoint, or an exported model in any format but Core ML; raises UserError where it is none.

    `classes`, `mean` and `std` are for an ONNX file that is not from batchgender; `flip` makes a checkpoint look at
    the mirror image too, which an exported file does or does not of itself.
    """
    if flip and (file.endswith((".onnx", ".xml")) or read_extra(file)):
        raise UserError(f"{file}: an exported model; it looks at mirror images where `export --flip` made it")
    if file.endswith(".onnx"):
        model = open_model(file, classes, mean, std)
        return model.predict, model.info
    if file.endswith(".xml"):
        return _openvino(file)
    if file.endswith(".mlmodel"):
        raise UserError(f"{file}: Core ML runs on macOS alone; evaluate the ONNX file, or the checkpoint")
    info = read_extra(file)
    if info is None:
        checkpoint = replace(checkpoints.load(file), flip=flip)
        return predictor(checkpoint.deployed()), checkpoint.info()
    if file.endswith(".tflite"):
        return _tflite(file, info)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript's deprecation is said once, by `export`.
            module = torch.export.load(file).module() if file.endswith(".pt2") else torch.jit.load(file, "cpu")
    except Exception as error:  # Damaged archives raise whatever the loader meets.
        raise UserError(f"{file}: damaged or cut short ({str(error).splitlines()[0]})") from error
    return predictor(module), info


def _tflite(file: str, info: ModelInfo) -> tuple[Predict, ModelInfo]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(f"{file}: a LiteRT file needs the extra batchgender[tflite]") from error
    try:
        interpreter = Interpreter(file)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{file}: damaged or cut short ({first_line(error)})") from error
    (given,), first = interpreter.get_input_details(), interpreter.get_output_details()[0]

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = []
        for image in images:
            # It takes one photo, of the model's size.
            interpreter.set_tensor(given["index"], resize(image, info.input_size)[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(first["index"])[0])
        return np.array(answers, np.float32)

    return predict, info


def _openvino(file: str) -> tuple[Predict, ModelInfo]:
    try:
        import openvino
    except ImportError as error:
        raise UserError(f"{file}: an OpenVINO file needs the extra batchgender[openvino]") from error
    core = openvino.Core()
    try:
        model = core.read_model(file)
        info = ModelInfo.from_json(model.get_rt_info([METADATA_KEY]).value, file)
    except RuntimeError as error:
        raise UserError(f"{file}: damaged, or no OpenVINO file from batchgender ({first_line(error)})") from error
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.array(compiled(images)["probabilities"]), info
