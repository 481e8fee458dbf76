"""Labelled photos to train and to measure on. Needs no torch.

For others: `open_source.open_source`, `splits.LabelledSource`, `labelled_photos.LabelledPhotos`, `batches.Batches`.
"""
