"""Photos to rows. For others: `pipeline.Classifier`, `pipeline.load_classifier`, and one whole run, `run`."""
