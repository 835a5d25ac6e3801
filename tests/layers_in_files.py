"""Which layers a file of Keras can hold: all but those that are named here or in `OURS`."""

from backprop.interop.keras_configs import OURS
from backprop.layers import registry

# mended here: one sums to 1, and one gives images the size that it declares in inference too
OTHER_NUMBERS = {"RandomCrop", "Sparsemax"}
WITHIN = {"GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}  # they stand in a layer
# Keras' Equalization, called on a symbol, returns it: no model there can hold one
ELSEWHERE = {"Equalization", "Graph", "InputLayer", "Threshold"}
# Keras' need TensorFlow: test_keras_assets.py has files that it wrote
STRINGS = {"HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"}
WRITTEN = sorted(set(registry.classes) - set(OURS) - OTHER_NUMBERS - WITHIN - ELSEWHERE - STRINGS)
