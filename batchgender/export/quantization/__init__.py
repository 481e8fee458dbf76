"""ONNX files in fewer bits: int8 and float16."""
