"""Why a model answers as it does: maps of the parts of a photo that speak for and against its class.

For others: `explain.explain`, `explain.explanations`, `picture.heat_map`, `picture.explanation_picture`.
"""
