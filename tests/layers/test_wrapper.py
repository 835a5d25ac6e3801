import numpy as np
import pytest
from finite_differences import assert_gradients
from inputs import drawn

import backprop as bp
from backprop.arguments import argument
from backprop.layer import INFERENCE
from backprop.layers import (
    LSTM,
    BatchNormalization,
    Dense,
    Embedding,
    Input,
    SpectralNormalization,
    TimeDistributed,
    Wrapper,
)
from backprop.models import Sequential
from backprop.testing import layer_laws, sequences, shapes


@bp.saving.register_keras_serializable("tests")
class Doubled(Wrapper):
    """y = k layer(x)."""

    k: float = argument(default=2.0, after="layer")

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        return self.k * y, cache

    def backward(self, dy, cache):
        return super().backward(self.k * dy, cache)


test_wrapper = layer_laws(
    lambda: Wrapper(Dense(3, "tanh")), inputs=shapes(), reference=lambda x, layer: layer.layer(x)
)
test_a_subclass = layer_laws(
    lambda k: Doubled(Dense(3, "tanh"), k=k),
    configs={"k": [2.0, -0.5]},
    inputs=shapes(),
    reference=lambda x, layer, k: k * layer.layer(x),
    profile="quick",
)
test_with_a_mask = layer_laws(
    lambda: Doubled(LSTM(2)), inputs=sequences(masked=True, allow_empty=True), profile="quick"
)
test_with_statistics = layer_laws(
    lambda: Doubled(BatchNormalization()),
    inputs=shapes(1, 1),
    tags=["couples_rows"],
    profile="quick",
)


def test_the_first_layer_of_a_model_has_the_gradients_of_the_subclass():
    """Its backward_params is not that of the layer within, which would forget the factor."""
    x = drawn((5, 3), dtype=np.float32)
    layer = Doubled(Dense(2))
    layer(x)
    y, cache = layer.forward(x)
    layer.backward(y, cache)
    wanted = layer.layer.dkernel.copy()
    layer.layer.dkernel[:] = np.nan
    layer.backward_params(y, cache)

    np.testing.assert_array_equal(layer.layer.dkernel, wanted)


def test_penalties_on_the_layers_output_and_kernel_count():
    inner = Dense(3, "tanh", kernel_regularizer="l2", activity_regularizer="l2")
    assert_gradients(Sequential([Input((4,)), Doubled(inner), Dense(1)]), drawn((5, 4)))


def test_integers_and_masks_go_through():
    model = Sequential(
        [Input((3,), dtype="int32"), Wrapper(Embedding(7, 2, mask_zero=True)), LSTM(4)]
    )
    x = np.array([[1, 2, 0], [3, 0, 0]])
    with_padding = model.predict(x, verbose=0)

    alone = model.layers[0].layer
    np.testing.assert_array_equal(model.layers[0].compute_mask(x), x != 0)
    np.testing.assert_array_equal(with_padding, model.layers[1](alone(x), mask=x != 0))


def test_it_is_saved_and_configured(tmp_path):
    model = Sequential([Input((4,)), Doubled(Dense(3), k=3.0, name="three"), Wrapper(Dense(2))])
    model.save(tmp_path / "model.npz")
    read = bp.models.load_model(tmp_path / "model.npz")
    x = drawn((5, 4), dtype=np.float32)

    np.testing.assert_array_equal(read.predict(x, verbose=0), model.predict(x, verbose=0))
    assert repr(read.layers[0]) == "Doubled(Dense(3), k=3.0, name='three')"


def test_ours_are_wrappers_as_in_keras():
    assert issubclass(TimeDistributed, Wrapper) and issubclass(SpectralNormalization, Wrapper)
    with pytest.raises(TypeError, match=r"Doubled expects a layer, got 7: Doubled\(Dense\(8\)\)"):
        Doubled(7)
