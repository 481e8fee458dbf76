"""Weights to begin a training with.

For others: `load_weights.load_weights`, `batch_norm.restore_batch_norm`, `licenses.combined_license`.
"""
