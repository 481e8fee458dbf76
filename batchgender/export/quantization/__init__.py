"""ONNX files in fewer bits.

For others: `int8.write_int8`, `float16.write_float16`.
"""
