"""A search for a better recipe: what is varied, the study, what it found.

For others: `search.tune`.
"""
