"""`model.explain`: the story is that of the step that would come, and the model knows nothing of
it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sound_and_broken import SOUND

import backprop as bp
from backprop.inspection.watched import watched_step
from backprop.layers import LSTM, BatchNormalization, Dense, Dropout, Embedding
from backprop.optimizers import SGD, Adam


def everything(model):
    header, arrays = bp.run_state.model_state(model)
    states = [state.value.tobytes() for state in model.states_kept()]
    gradients = model.parameters.gradients.tobytes()
    return repr(header), {name: a.tobytes() for name, a in arrays.items()}, states, gradients


def batch_of(part, rows=8):
    """Some rows of lists, dicts and tuples of arrays."""
    if isinstance(part, dict):
        return {name: batch_of(one, rows) for name, one in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(batch_of(one, rows) for one in part)
    return part[:rows]


def xor(optimizer=None, **options):
    bp.utils.set_random_seed(0)
    model = bp.Sequential(
        [bp.Input((2,)), Dense(3, "tanh", name="hidden"), Dense(1, "sigmoid", name="out")]
    )
    model.compile(optimizer or SGD(0.5), "binary_crossentropy", **options)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    return model, x, np.array([[0], [1], [1], [0]], "float32")


def blocks(story, section):
    return story.sections[section - 1].blocks


class Reader(HTMLParser):
    """Whether every element is closed, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return "".join(reader.text)


@pytest.mark.parametrize("name", SOUND)
def test_every_network_is_explained_and_left_as_it_was(name):
    bp.utils.set_random_seed(1)
    model, data = SOUND[name]()
    x, y = batch_of(data)
    model.train_on_batch(x, y)
    before = everything(model)
    story = model.explain(x, y)
    text = str(story)

    assert everything(model) == before
    for layer in model.layers:
        if not isinstance(layer, bp.Sequential) and not hasattr(layer, "batch_shape"):
            assert f" {layer.name}, {type(layer).__name__}" in text
    assert max(len(line) for line in text.split("\n")) <= 110
    assert "nan" not in text
    assert [line for line in read(story._repr_html_()).split("\n") if "Forward" in line]

    # and the loss that it tells is that of the step
    model.reset_metrics()
    loss = model.train_on_batch(x, y)
    told = float(re.search(r"The loss of this batch was (\S+) ", text)[1])
    assert told == pytest.approx(float(np.ravel(loss)[0]), rel=2e-3)


def test_the_update_is_the_one_that_training_makes():
    for optimizer in (SGD(0.1), SGD(0.1, momentum=0.9), Adam(0.01, clipnorm=0.1)):
        bp.utils.set_random_seed(0)
        model = bp.Sequential(
            [bp.Input((4,)), Dense(5, "relu"), Dropout(0.5), BatchNormalization(), Dense(2)]
        )
        model.compile(optimizer, "mse")
        x, y = np.random.default_rng(0).normal(size=(2, 8, 4))
        model.train_on_batch(x, y[:, :2])
        step = watched_step(model, x, y[:, :2], None, "test")
        told = [array for part in step.parts for array in part.after.values()]
        model.train_on_batch(x, y[:, :2])

        trained = [p.value for p in model.arrays() if p.gradient is not None]
        for a, b in zip(told, trained, strict=True):
            assert a.tobytes() == b.tobytes()


def test_the_gradients_are_those_of_the_chain_rule():
    model, x, y = xor()
    step = watched_step(model, x, y, None, "test")
    slopes = model.gradients(x, y, training=True)
    hidden, out = step.parts
    (first,), (second,) = hidden.passes, out.passes

    for part in step.parts:
        for name, gradient in part.gradients.items():
            np.testing.assert_array_equal(gradient, slopes[part.name][name])
    # what a layer passes back is what the one before it was given, and so on to the weights
    assert second.dx[0] is first.dy[0]
    p, h = second.y[0], first.y[0]
    np.testing.assert_allclose(second.dy[0], (p - y) / (p * (1 - p)) / 4, rtol=1e-5)
    np.testing.assert_allclose(second.dz, (p - y) / 4, rtol=1e-4)
    np.testing.assert_allclose(second.dx[0], second.dz @ model.layers[1].kernel.T, rtol=1e-5)
    np.testing.assert_allclose(first.dz, (1 - h**2) * first.dy[0], rtol=1e-5)
    np.testing.assert_allclose(hidden.gradients["kernel"], x.T @ first.dz, rtol=1e-5)


def test_of_a_tiny_network_the_matrices_are_shown():
    model, x, y = xor()
    text = str(model.explain(x, y))

    for head in ("x = [[0. 0.]", "kernel = [[", "dz = [[", "dkernel = [[", "kernel after = [["):
        assert head in text
    assert f"{model.layers[0].kernel[0, 0]:.4f}" in text
    assert "dkernel = xᵀ dz        dbias = Σ_rows dz        dx = dz kernelᵀ" in text
    assert "Tanh: dx = (1 - y²) dy" in text
    assert "y = activation(x · kernel + bias), over the last axis." in text

    wide = bp.Sequential([bp.Input((40,)), Dense(50)])
    wide.compile("sgd", "mse")
    assert "= [[" not in str(wide.explain(np.ones((8, 40)), np.ones((8, 50))))


def test_what_the_gradient_foretold_is_told_beside_what_came():
    model, x, y = xor(SGD(1e-3))
    step = watched_step(model, x, y, None, "test")
    whole = sum(
        float((g.astype("f8") ** 2).sum()) for p in step.parts for g in p.gradients.values()
    )
    assert step.slope == pytest.approx(-1e-3 * whole, rel=1e-3)
    assert step.after - float(step.data_loss) == pytest.approx(step.slope, rel=0.02)
    assert "It rose" not in str(model.explain(x, y))

    model, x, y = xor(SGD(200.0))
    assert "It rose: the step was too long" in str(model.explain(x, y))


def test_softmax_and_its_loss_are_told_as_one():
    model = bp.Sequential([bp.Input((2,)), Dense(3, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.eye(2, dtype="float32")
    text = str(model.explain(x, [0, 2]))
    q = model.predict(x, verbose=0)

    assert "the loss passes back dL/dz, as softmax and loss cancel: q - δ" in text
    expected = (q - np.eye(3)[[0, 2]]) / 2
    found = re.search(r"dz = \[\[(.*?)\]", text)[1]
    assert [float(v) for v in found.split()] == pytest.approx(expected[0], abs=1e-4)


def test_several_outputs_have_a_loss_each():
    bp.utils.set_random_seed(1)
    model, data = SOUND["several outputs"]()
    story = model.explain(*batch_of(data))
    titles = [block.title for block in blocks(story, 2)]

    assert titles[0].startswith("y of 'kind'") or "kind" in titles[0]
    assert "size" in titles[1]
    assert titles[2].endswith("no loss, so nothing is learnt from it")
    values = [float(figure) for b in blocks(story, 2)[:2] for n, figure in b.rows if n == "value"]
    assert sum(values) == pytest.approx(float(re.search(r"loss = (\S+)", str(story))[1]), rel=1e-3)
    assert any("nothing comes back here" in block.title for block in blocks(story, 3))


def test_a_layer_in_two_places_is_told_in_both():
    bp.utils.set_random_seed(1)
    model, data = SOUND["a layer in two places"]()
    story = model.explain(*batch_of(data))
    titles = [block.title for block in blocks(story, 3)]

    assert [t for t in titles if "shared" in t] == [
        "(1) shared, Dense, place 2 of 2",
        "(1) shared, Dense, place 1 of 2",
    ]
    assert "dkernel (the sum over its places)" in str(story)


def test_of_a_recurrent_layer_the_first_and_the_last_step_are_told():
    bp.utils.set_random_seed(1)
    model = bp.Sequential(
        [bp.Input((6,), dtype="int32"), Embedding(9, 4, mask_zero=True), LSTM(3), Dense(1)]
    )
    model.compile("adam", "mse")
    x = np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    text = str(model.explain(x, np.ones((2, 1)), sample_weight=np.array([1.0, 2.0])))

    assert re.search(r"over time +dx of the first step \S+, of the last \S+", text)
    assert "c = f c₋ + i g and h = o activation(c), step by step" in text
    assert "sample_weight  (2,): mean 1.5" in text


def test_penalties_and_frozen_layers_are_told():
    model = bp.Sequential(
        [bp.Input((3,)), Dense(2, trainable=False), Dense(1, kernel_regularizer="l2")]
    )
    model.compile("sgd", "mse")
    text = str(model.explain(np.ones((2, 3)), np.ones((2, 1))))

    assert re.search(r"loss = \S+, and penalties of \S+ make it \S+", text)
    assert "frozen: it stays as it is" in text


def test_names_are_escaped():
    name = "<script>alert(1)</script>&"
    model = bp.Sequential([bp.Input((2,)), Dense(1, name=name)], name='"<b>')
    model.compile("sgd", "mse")
    story = model.explain(np.ones((2, 2)), np.ones((2, 1)))
    html = story._repr_html_()

    assert "<script" not in html
    assert "<b>&quot;&lt;b&gt;" not in html.replace("<p><b>", "")
    assert name in read(html)
    assert name in str(story)

    model.layers[0].name = "red\x1b[31m"
    assert "\x1b" not in str(model.explain(np.ones((2, 2)), np.ones((2, 1))))


def test_a_model_that_is_not_built_is_built_and_one_without_a_loss_refused():
    model = bp.Sequential([Dense(1)])
    with pytest.raises(RuntimeError, match=r"explain\(\).*compile"):
        model.explain(np.ones((2, 2)), np.ones((2, 1)))
    model.compile("sgd", "mse")
    assert "(2, 2)" in str(model.explain(np.ones((2, 2)), np.ones((2, 1))))
    assert model.built
    with pytest.raises(ValueError, match="2 along axis -1 and got"):
        model.explain(np.ones((2, 3)), np.ones((2, 1)))


def test_a_loss_of_the_models_own_is_told_of():
    class Own(bp.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return float(((y_pred - y) ** 2).mean())

        def compute_loss_gradient(self, x, y, y_pred, sample_weight):
            return 2 * (y_pred - y) / y_pred.size

    model = Own([bp.Input((2,)), Dense(1)])
    model.compile("sgd")
    text = str(model.explain(np.ones((2, 2)), np.ones((2, 1))))

    assert "own computes the loss by itself: compute_loss" in text
    assert "dkernel" in text
    assert model.hessian_top(np.ones((2, 2)), np.ones((2, 1))).eigenvalue == pytest.approx(6)


def asked_nothing(model, x, y):
    pass


@pytest.mark.parametrize(
    "ask",
    [
        lambda model, x, y: model.explain(x, y),
        lambda model, x, y: model.hessian_top(x, y, training=True, iterations=3),
        lambda model, x, y: model.loss_landscape(x, y, training=True, points=2),
        lambda model, x, y: bp.callbacks.LearningRateFinder().find(model, x, y, batch_size=4),
    ],
    ids=["explain", "hessian_top", "loss_landscape", "LearningRateFinder"],
)
def test_no_seed_is_taken_by_looking(ask):
    def outcome(ask):
        bp.utils.set_random_seed(0)
        model = bp.Sequential([bp.Input((4,)), Dense(5, "relu"), Dropout(0.5), Dense(2)])
        model.compile("adam", "mse")
        x, y = np.random.default_rng(0).normal(size=(2, 8, 4))
        ask(model, x, y[:, :2])
        loss = float(model.train_on_batch(x, y[:, :2]))
        later = Dense(3)(np.ones((1, 2)))  # what is made afterwards begins as it would
        return model.trainer.seed, loss, model.parameters.values.tobytes(), later.tobytes()

    assert outcome(ask) == outcome(asked_nothing)
