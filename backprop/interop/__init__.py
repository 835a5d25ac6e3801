"""Formats of other libraries: Keras' own files."""
