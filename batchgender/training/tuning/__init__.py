"""Search for a better recipe: what is varied, the study, its report."""
