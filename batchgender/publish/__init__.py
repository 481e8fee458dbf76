"""Sharing a model: its card, and the upload to the Hugging Face Hub.

For others: `publication.prepare_publication` and `publication.write_publication`; `upload.upload`; `card` for the texts
that other cards share.
"""
