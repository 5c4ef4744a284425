"""Trained arrays -> text and classes, in NumPy."""
