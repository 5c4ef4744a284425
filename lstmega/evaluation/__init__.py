"""Measures of a run, and its predictions and units."""
