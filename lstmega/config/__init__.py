"""Options: what a model is, how it is trained, how it generates."""
