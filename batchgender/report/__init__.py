"""Labelled rows to figures: counts, statistics, groups, a comparison of two results, text and pages."""
