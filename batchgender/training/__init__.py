"""Training: data, networks, weights, recipes, the loop, checkpoints, calibration, tuning. Nothing that `classify` runs.

For others: `train.train` and `run_plan`; `checkpoint.Checkpoint`; `data.open_source.open_source`;
`evaluation.evaluate`; `predictions.predict_split`; `calibration.calibrate`.
"""
