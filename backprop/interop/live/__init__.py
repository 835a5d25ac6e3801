"""Bridges between models in memory: those of Keras and modules of PyTorch."""
