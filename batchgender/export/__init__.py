"""A checkpoint to files for other programs, each checked against PyTorch.

For others: `export_checkpoint.export_checkpoint`; `load_any_model.load_any_model`; `size_table.measure_variants`.
"""
