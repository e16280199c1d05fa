"""Weights for novelty, fitted to a model: `python -m reference_model.reweight CHECKPOINT DATA.h5`."""
