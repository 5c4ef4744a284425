"""Layers and models; needs TensorFlow."""
