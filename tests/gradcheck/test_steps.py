"""`gradcheck` of a compiled model certifies what a step of training computes."""

import numpy as np
import pytest
from small_layers import Scale

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE
from backprop.layers import Activation, BatchNormalization, Dense, Dropout
from backprop.linalg import sum_rows
from backprop.losses import CategoricalCrossentropy, MeanSquaredError

rng = np.random.default_rng(0)
x, y = rng.standard_normal((8, 4)), rng.standard_normal((8, 2))
classes = np.eye(3)[rng.integers(0, 3, 8)]


class WrongFirst(Scale):
    def backward_params(self, dy, x):
        self.dgamma = sum_rows(dy * x) / len(x)


class WrongFirstEntry(Scale):
    def backward_params(self, dy, x):
        self.dgamma = sum_rows(dy * x)
        self.dgamma[0] *= 1 + 1e-6


class NoFirst(Scale):
    def backward_params(self, dy, x):
        pass


class FrozenStops(Scale):
    def backward(self, dy, x):
        dx = super().backward(dy, x)
        return dx if self.trainable else np.zeros_like(dx)


class WrongLogits(Dense):
    def backward_logits(self, dz, cache, *, dx=True):
        return super().backward_logits(dz / 2, cache, dx=dx)


class WrongLogitsAlone(Dense):
    def backward_logits(self, dz, cache, *, dx=True):
        return super().backward_logits(dz if dx else 2 * dz, cache, dx=dx)


class SecretPenalty(Scale):
    """It adds to the loss, and no trainer asks for that, as it does not say so."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.penalties is not None:
            ctx.penalties.append(float((x**2).sum()))
        return super().forward(x, ctx)

    def backward(self, dy, x):
        return super().backward(dy, x) + 2 * x


class LeanModel(bp.Sequential):
    """Its way of training forgets the last layer's half."""

    def backward_params(self, dy, caches):
        super().backward_params(dy / 2, caches)


class OwnLoss(bp.Sequential):
    factor = 2.0

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return float(((y - y_pred) ** 2).sum())

    def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
        return self.factor * (y_pred - y)


class WrongOwnLoss(OwnLoss):
    factor = 1.0


class HalfAfterSoftmax(CategoricalCrossentropy):
    def after_softmax(self):
        short = super().after_softmax()
        backward = short.backward
        short.backward = lambda cache, dvalues=None: backward(cache, dvalues) / 2
        return short


def compiled(*layers, loss="mse", model=bp.Sequential, **options):
    made = model([bp.Input((4,)), *layers])
    made.compile("sgd", loss, **options)
    return made


@pytest.mark.parametrize("layer", [WrongFirst, WrongFirstEntry, NoFirst])
def test_a_wrong_backward_params_of_the_first_layer_fails(layer):
    report = gradcheck(compiled(layer(), Dense(2)), x, y)

    assert report.verdict == "fail"
    assert "backward_params" in str(report)
    assert gradcheck(compiled(Dense(4), layer(), Dense(2)), x, y)  # nobody asks it there


@pytest.mark.parametrize(("before", "layer"), [([Dense(5)], WrongLogits), ([], WrongLogitsAlone)])
def test_a_wrong_backward_logits_of_the_last_layer_fails(before, layer):
    model = compiled(*before, layer(3, "softmax"), loss="categorical_crossentropy")

    assert gradcheck(model, x, classes).verdict == "fail"
    model.compile("sgd", "mse")
    assert gradcheck(model, x, classes)


def test_a_loss_with_a_wrong_short_way_fails():
    model = compiled(Dense(3, "softmax"), loss=HalfAfterSoftmax())

    assert gradcheck(model, x, classes).verdict == "fail"


def test_a_frozen_layer_that_passes_nothing_back_fails():
    model = compiled(Dense(4), FrozenStops(trainable=False), Dense(2))

    assert gradcheck(model, x, y).verdict == "fail"


def test_a_penalty_that_training_does_not_ask_for_fails():
    report = gradcheck(compiled(Dense(4), SecretPenalty(), Dense(2)), x, y)

    assert report.verdict == "fail"
    assert "loss (in training)" in str(report)


def test_a_model_with_a_wrong_way_of_training_fails():
    assert gradcheck(compiled(Dense(3), Dense(2), model=LeanModel), x, y).verdict == "fail"


def test_a_loss_of_the_models_own_is_certified():
    assert gradcheck(compiled(Dense(3, "tanh"), Dense(2), model=OwnLoss, loss=None), x, y)
    wrong = compiled(Dense(3, "tanh"), Dense(2), model=WrongOwnLoss, loss=None)
    assert gradcheck(wrong, x, y).verdict == "fail"


def test_y_without_a_loss_is_an_error():
    with pytest.raises(ValueError, match="has no loss for y"):
        gradcheck(compiled(Dense(2), loss=None), x, y)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        lambda: compiled(Scale(), Dense(2), loss=MeanSquaredError("sum")),
        lambda: compiled(Dense(5, use_bias=True), BatchNormalization(), Dense(2)),
        lambda: compiled(Dense(5, "relu"), Dropout(0.5, seed=1), Dense(2), loss_weights=[0.25]),
        lambda: compiled(
            Dense(5, "tanh", kernel_regularizer="l2", activity_regularizer="l2"), Dense(2)
        ),
        lambda: compiled(Dense(5), Scale(trainable=False), Dense(2)),
    ],
)
def test_a_model_that_is_right_passes(model, training):
    assert gradcheck(model(), x, y, training=training)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "kl_divergence", "mse"])
def test_a_model_that_ends_in_a_softmax_passes(loss):
    assert gradcheck(compiled(Dense(3, "softmax"), loss=loss), x, classes)
    assert gradcheck(compiled(Dense(3), Activation("softmax"), loss=loss), x, classes)
    # nearly all of the softmax is on one class
    assert gradcheck(compiled(Dense(3, "softmax"), loss=loss), 12 * x, classes)


def test_several_outputs_are_certified_as_training_has_them():
    def drawn(first, last):
        a = bp.Input((4,), name="a")
        h = first()(a)
        outputs = [last(3, "softmax", name="p")(h), Dense(2, name="q")(h), Dense(1, name="r")(h)]
        model = bp.Model(a, outputs)
        model.compile("sgd", ["categorical_crossentropy", "mse", None], loss_weights=[0.5, 2.0, 0])
        return model

    targets = [classes, y, None]

    assert gradcheck(drawn(Scale, Dense), x, targets)
    assert gradcheck(drawn(WrongFirst, Dense), x, targets).verdict == "fail"
    assert gradcheck(drawn(Scale, WrongLogits), x, targets).verdict == "fail"


def test_the_model_and_its_trainer_are_not_touched():
    model = compiled(Dense(3, "softmax"), loss=CategoricalCrossentropy(dtype="float32"))
    before = model.get_weights()

    assert gradcheck(model, x, classes)

    assert all(map(np.array_equal, model.get_weights(), before))
    assert model.trainer.loss.dtype == np.float32
    assert model.trainer.model is model
    assert np.isfinite(model.train_on_batch(x, classes))


def test_a_step_agrees_where_a_gradient_is_what_rounding_left():
    """The bias before a batch normalization has no influence."""
    model = compiled(Dense(3, bias_initializer="ones"), BatchNormalization(), Dense(2))

    for seed in range(5):
        assert gradcheck(model, 100 * x, 1e4 * y, seed=seed)
