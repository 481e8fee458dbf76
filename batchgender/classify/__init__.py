"""Photos to rows.

For others: `pipeline.load_classifier` and `pipeline.Classifier`; `run.classify_photos`, one whole run with its results
and reports.
"""
