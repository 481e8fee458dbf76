"""Training: imports torch, and is imported by nothing that `classify` runs."""
