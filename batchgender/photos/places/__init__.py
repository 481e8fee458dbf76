"""Places that hold photos, a module a kind: each gives its photos in order, and reads none before it is asked.

For others: `place.Place`, what such a module offers, and `place.Findings`, what it notes beside the photos.
"""
