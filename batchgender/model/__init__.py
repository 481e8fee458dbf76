"""The model file: its metadata, opening it, sessions and execution providers, its self-check.

For others: `open_model.open_model` and `open_model.Model`; `metadata.ModelInfo`; `file_kind.kind_of_file`;
`agreement` and `tolerances`; `thresholds.decide`; `inspection.inspect_model_file`.
"""
