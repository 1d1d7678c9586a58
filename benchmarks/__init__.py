"""Measurements of what we claim: ratios of two ways in one run, never absolute times."""
