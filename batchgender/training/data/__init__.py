"""Labelled photos to train and to measure on: sources, splits, batches."""
