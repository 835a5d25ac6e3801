"""Slips of a layer's author, and what they are told."""

import numpy as np
import pytest

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer
from backprop.layers import LSTM, Chain, Conv1D, Dense, Parallel, Residual, TimeDistributed
from backprop.losses import Loss


class Same(Layer):
    """What the slips below are slips of."""

    def forward(self, x, ctx=INFERENCE):
        return x, x

    def backward(self, dy, x):
        return dy


def slip(base=Same, **methods):
    return type("Slip", (base,), {"__module__": __name__} | methods)


def train(*layers, width=5):
    model = bp.Sequential([bp.Input((5,)), Dense(width), *layers, Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 5)), np.ones((2, 1)), verbose=0)


ALONE = slip(forward=lambda self, x, ctx=INFERENCE: 2 * x)
PAIR = r"Slip\(\).forward returned one array of shape .*: return \(y, cache\)"


@pytest.mark.parametrize(
    "use",
    [
        lambda: ALONE()(np.ones((2, 4))),
        lambda: bp.Sequential([bp.Input((4,)), ALONE()]).predict(np.ones((2, 4)), verbose=0),
        lambda: train(ALONE()),
        lambda: train(Residual([Chain([ALONE()])])),
        lambda: train(Parallel([ALONE(), Dense(2)])),
        lambda: TimeDistributed(ALONE())(np.ones((2, 2, 3))),
        lambda: train(Dense(3, activation=ALONE())),
        lambda: Conv1D(2, 2, activation=ALONE())(np.ones((2, 4, 1))),
        lambda: LSTM(2, activation=ALONE())(np.ones((2, 2, 3))),
        lambda: gradcheck(ALONE(), np.ones((2, 2))),
    ],
)
def test_y_without_a_cache_is_named_wherever_the_layer_runs(use):
    with pytest.raises(TypeError, match=PAIR):
        use()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda x: None, r"returned None \(is a return missing\?\): return \(y, cache\)"),
        (lambda x: (x, x, x), r"returned a tuple of 3: return \(y, cache\)"),
        (lambda x: (float(x.sum()), x), "returned a float as y: y is an array with the batch"),
        (lambda x: (x.tolist(), x), "returned a list of 2 as y"),
        (lambda x: (x.sum(0), x), "the first axis of y is the batch, as in x"),
        (lambda x: (x * np.sqrt(2), x), r"made float64 from float32.*np.sqrt\(2\) widen"),
    ],
)
def test_what_a_forward_returned_is_said(returned, message):
    layer = slip(forward=lambda self, x, ctx: returned(x))()

    with pytest.raises((TypeError, ValueError), match=f"in layer 1 of sequential: Slip.*{message}"):
        train(layer)


def test_a_list_of_two_is_a_pair_too():
    train(slip(forward=lambda self, x, ctx: [x, None])())


def test_a_slip_in_training_alone_is_found_after_inference():
    layer = slip(forward=lambda self, x, ctx: x if ctx.training else (x, x))()
    model = bp.Sequential([bp.Input((5,)), Dense(5), layer])
    model.predict(np.ones((2, 5)), verbose=0)
    model.compile("sgd", "mse")

    with pytest.raises(TypeError, match=PAIR):
        model.fit(np.ones((2, 5)), np.ones((2, 5)), verbose=0)


def cut(self, x, ctx=INFERENCE):
    return x[:, :3], x


def test_a_forgotten_output_shape_is_told_to_the_layer_and_not_to_the_next():
    with pytest.raises(ValueError, match=r"in layer 1 .*would return \(input_shape\[0\], 3\) here"):
        train(slip(forward=cut)())
    with pytest.raises(ValueError, match=r"without a compute_output_shape"):
        slip(forward=cut)()(np.ones((2, 5)))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (lambda shape: (shape[0], 4), r"its compute_output_shape says \(2, 4\)"),
        (lambda shape: None, "compute_output_shape returned None for"),
        (lambda shape: 3, "compute_output_shape returned 3 for"),
        (lambda shape: (3,), r"compute_output_shape returned \(3,\) for .*begins with the batch"),
        (lambda shape: shape[::-1], "begins with the batch"),
    ],
)
def test_a_wrong_output_shape_is_told(declared, message):
    layer = slip(forward=cut, compute_output_shape=lambda self, shape: declared(shape))()

    with pytest.raises((ValueError, TypeError), match=message):
        train(layer)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"forward": lambda self, x: (x, x)}, r"forward\(self, x\) is called with x, ctx"),
        ({"forward": lambda self, ctx, x: (x, x)}, "has 'ctx' where x comes"),
        ({"forward": lambda self, x, training=False: (x, x)}, "it knows ctx.training"),
        ({"forward": lambda x, ctx: (x, x)}, r"write forward\(self, x, ctx\)"),
        ({"backward": lambda self, dy: dy}, r"write backward\(self, dy, cache\)"),
        ({"backward": lambda self, cache, dy: dy}, "has 'cache' where dy comes"),
        ({"build": lambda self: None}, r"write build\(self, input_shape\)"),
        ({"compute_mask": lambda self, x: None}, r"write compute_mask\(self, x, mask\)"),
    ],
)
def test_a_method_that_cannot_be_called_is_told_when_the_layer_is_made(methods, message):
    with pytest.raises(TypeError, match=rf"Slip\..*{message}"):
        slip(**methods)()


def test_other_names_and_more_arguments_are_the_authors_business():
    methods = {
        "forward": lambda self, inputs, context=INFERENCE, *, extra=None: (inputs, None),
        "backward": lambda self, grad, saved, *more: grad,
    }

    train(slip(**methods)())


WRONG = {"backward": lambda self, dy, cache: dy @ np.ones((7, 7))}


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda layer: layer, "the backward pass of layer 1 of sequential: Slip"),
        (lambda layer: Chain([layer]), "the backward pass of layer 0 of chain: Slip"),
        (lambda layer: Residual([layer]), "the backward pass of branch 0 of residual"),
        (lambda layer: Parallel([Dense(2), layer]), "the backward pass of branch 1 of parallel"),
    ],
)
def test_an_error_on_the_way_back_says_where(wrap, place):
    with pytest.raises(ValueError, match=rf"in {place}.*given dy \(5,\) float32: matmul"):
        train(wrap(slip(**WRONG)()))


def test_an_error_of_another_kind_gets_its_place_as_a_note():
    with pytest.raises(KeyError) as caught:
        train(slip(backward=lambda self, dy, cache: {}["a"])())

    assert "in the backward pass of layer 1 of sequential: Slip()" in caught.value.__notes__[0]


def test_an_error_at_a_later_step_is_located_too():
    calls = []

    def backward(self, dy, cache):
        calls.append(1)
        return dy if len(calls) < 3 else None

    model = bp.Sequential([bp.Input((5,)), Dense(5), slip(backward=backward)(), Dense(1)])
    model.compile("sgd", "mse")

    with pytest.raises(AttributeError) as caught:
        model.fit(np.ones((4, 5)), np.ones((4, 1)), batch_size=1, verbose=0)
    assert "in the backward pass of layer 0" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda dy: None, r"backward returned None \(is a return missing\?\): return dx"),
        (lambda dy: (dy, None), "backward returned a tuple of 2: return dx"),
        (lambda dy: dy[:, :2], r"a dx of shape \(2, 2\) for an x of \(any, 5\)"),
        (lambda dy: dy.sum(0), r"a dx of shape \(5,\)"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda part: part, lambda part: Parallel([part, Dense(2)])])
def test_what_a_backward_returned_is_said(wrap, returned, message):
    layer = slip(backward=lambda self, dy, cache: returned(dy))()

    with pytest.raises((TypeError, ValueError), match=rf"Slip\(\).{message}|Slip\(\).*{message}"):
        train(wrap(layer))


class Both(Layer):
    """a + b and a - b: what the slips of several inputs and outputs are slips of."""

    several_inputs = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        return (a + b, a - b), None

    def backward(self, dy, cache):
        p, m = dy
        return p + m, p - m


def train_both(**methods):
    x = bp.Input((5,))
    a, b = slip(Both, **methods)(name="both")([Dense(3)(x), Dense(3)(x)])
    model = bp.Model(x, bp.layers.Add()([a, b]))
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 5)), np.ones((2, 3)), verbose=0)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"forward": lambda self, x, ctx=INFERENCE: ([*x], None)}, "returned a list of 2 as y"),
        ({"forward": lambda self, x, ctx=INFERENCE: (x[0], None)}, "made 1 output.s., .* says 2"),
        ({"backward": lambda self, dy, cache: [*dy]}, "returned a list of 2: return a tuple with"),
        ({"backward": lambda self, dy, cache: dy[:1]}, "returned a tuple of 1: return a tuple w"),
        ({"backward": lambda self, dy, cache: dy[0]}, "returned one array of shape .2, 3.: return"),
        ({"backward": lambda self, dy, cache: None}, "returned None .is a return missing"),
        ({"backward": lambda self, dy, cache: (dy[0], dy[1][:, 1:])}, r"a dx of shape \(2, 2\)"),
    ],
)
def test_slips_of_several_arrays_are_told_at_the_first_use(methods, message):
    train_both()

    with pytest.raises((TypeError, ValueError), match=rf"layer 3 of model.*Slip\(.*{message}"):
        train_both(**methods)


def test_one_shape_for_two_outputs_is_told():
    layer = slip(Both, compute_output_shape=lambda self, shape: shape[0])

    with pytest.raises(TypeError, match=r"made 2 output\(s\), and its compute_output_shape says 1"):
        layer()([np.ones((2, 3))] * 2)


def test_a_forgotten_output_shape_of_several_inputs_is_told():
    class Sum(Layer):
        several_inputs = True

        def forward(self, x, ctx=INFERENCE):
            return x[0] + x[1], None

        def backward(self, dy, cache):
            return dy, dy

    with pytest.raises(TypeError, match=r"without a compute_output_shape.* these are"):
        Sum()([np.ones((2, 3))] * 2)


def test_a_dx_is_looked_at_within_steps_of_time():
    layer = TimeDistributed(slip(backward=lambda self, dy, cache: None)())
    x = np.ones((2, 3, 4), np.float32)
    layer(x)
    y, cache = layer.forward(x)

    with pytest.raises(TypeError, match="is a return missing"):
        layer.backward(y, cache)


def test_the_pair_of_param_wants_two_names():
    def build(self, input_shape):
        self.gain = self.param("gain", (input_shape[-1],))

    with pytest.raises(TypeError, match=r"write self.gain, self.dgain = self.param\(...\)"):
        train(slip(build=build)())


@pytest.mark.parametrize("name", ["weights", "losses", "variables"])
def test_a_name_that_every_layer_has_is_refused_as_an_attribute(name):
    def __init__(self):
        setattr(self, name, [])

    with pytest.raises(AttributeError, match=f"{name}.*choose another name"):
        slip(__init__=__init__)()


def test_a_constructor_need_not_call_that_of_its_base():
    class Bare(Same):
        def __init__(self, k=3):
            self.k = k

    layer = Bare()

    assert layer.declared_shape is None
    train(layer)


def test_a_class_in_place_of_a_layer_is_told_apart():
    with pytest.raises(TypeError, match=r"that is a class; an object of it is Same\(...\)"):
        bp.Sequential([Same])


def test_add_loss_is_refused_in_a_layer_with_what_to_do():
    with pytest.raises(TypeError, match=r"penalises = True, ctx\.penalties\.append.*activity_reg"):
        slip(forward=lambda self, x, ctx: (self.add_loss(1.0), x))()(np.ones((1, 2)))


# ------------------------------------------------------------------ losses


class Squares(Loss):
    def values(self, y_true, y_pred):
        d = y_pred - y_true
        return (d * d).sum(-1), d

    def gradient(self, dvalues, d):
        return 2 * dvalues[..., None] * d


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"values": lambda self, a, b: (a - b)[:, 0]}, r"return a pair, \(values, cache\)"),
        ({"values": lambda self, a, b: None}, "and returned nothing"),
        ({"values": lambda self, a, b: ((a - b).mean(), a)}, "each of the [12] samples"),
        ({"gradient": lambda self, d, c: None}, "dL/dy_pred.*returned nothing"),
        ({"gradient": lambda self, d, c: np.ones((2, 3))}, r"y_pred's shape \(2, 1\)"),
    ],
)
def test_slips_in_a_loss_are_named(methods, message):
    model = bp.Sequential([bp.Input((5,)), Dense(1)])
    model.compile("sgd", slip(Squares, **methods)())

    with pytest.raises(TypeError, match=message):
        model.fit(np.ones((2, 5)), np.ones((2, 1)), verbose=0)


def test_nothing_is_looked_at_after_the_first_batch():
    model = bp.Sequential([bp.Input((5,)), Same(), Dense(1)])
    model.compile("sgd", Squares())
    x, y = np.ones((2, 5)), np.ones((2, 1))
    model.train_on_batch(x, y)
    layer = model.layers[0]
    layer.compute_output_shape = None  # whoever asks for it now fails

    for _ in range(2):
        y_pred, caches = model.forward(x.astype(np.float32), bp.layer.TRAINING)
        model.backward(np.ones_like(y_pred), caches)


def test_a_fault_in_what_a_layer_of_the_library_declares_is_not_hidden(monkeypatch):
    def faulty(self, input_shape):
        return input_shape[7]

    monkeypatch.setattr(bp.layers.Dense, "compute_output_shape", faulty)

    with pytest.raises(IndexError):
        bp.layers.Dense(2).build((None, 3))


def test_what_cannot_be_declared_before_it_is_called_may_be_built(monkeypatch):
    def refuses(self, input_shape):
        raise ValueError("of such an input nothing is known")

    monkeypatch.setattr(bp.layers.Dense, "compute_output_shape", refuses)
    bp.layers.Dense(2).build((None, 3))
