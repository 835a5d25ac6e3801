"""`TensorBoard`: what TensorBoard reads of a run, under Keras' tags."""

import builtins

import numpy as np
import pytest
from events import events, scalars, tags

import backprop as bp
from backprop.callbacks import TensorBoard
from backprop.layers import Dense, Embedding, Flatten

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)).astype("float32"), RNG.normal(size=(12, 1)).astype("float32")


def fit(folder, epochs=2, model=None, **options):
    model = model or bp.Sequential([bp.Input((3,)), Dense(2, name="a"), Dense(1, name="b")])
    model.compile(bp.optimizers.SGD(0.125), "mse", metrics=["mae"])
    history = model.fit(
        X,
        Y,
        batch_size=4,
        epochs=epochs,
        verbose=0,
        validation_data=(X[:4], Y[:4]),
        callbacks=[TensorBoard(folder, **options)],
    )
    return model, history.history


def test_epochs_are_written_under_the_names_of_keras(tmp_path):
    _, history = fit(tmp_path)

    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    assert set(train) == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    assert [train["epoch_loss"][i] for i in (0, 1)] == pytest.approx(history["loss"])
    assert train["epoch_learning_rate"] == {0: 0.125, 1: 0.125}
    assert [validation["epoch_mae"][i] for i in (0, 1)] == pytest.approx(history["val_mae"])
    seen = validation["evaluation_loss_vs_iterations"]
    assert [seen[i] for i in (3, 6)] == pytest.approx(history["val_loss"])


@pytest.mark.parametrize(("freq", "steps"), [("batch", [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6])])
def test_batches_are_written_as_often_as_is_said(freq, steps, tmp_path):
    fit(tmp_path, update_freq=freq, write_steps_per_second=True)

    train = scalars(tmp_path / "train")
    for name in ("batch_loss", "batch_mae", "batch_steps_per_second"):
        assert sorted(train[name]) == steps
    assert all(value > 0 for value in train["epoch_steps_per_second"].values())


def test_histograms_and_images_of_every_weight(tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    model, _ = fit(tmp_path, epochs=3, histogram_freq=2, write_images=True)

    names = {variable.path for variable in model.weights}
    assert names == {f"sequential/{w}" for w in ("a/kernel", "a/bias", "b/kernel", "b/bias")}
    assert tags(tmp_path / "train", "histo") == {f"{name}/histogram" for name in names}
    assert tags(tmp_path / "train", "image") == {f"{name}/image" for name in names}
    drawn = [e for e in events(tmp_path / "train") for v in e.summary.value if v.HasField("histo")]
    assert {event.step for event in drawn} == {0, 2}
    last = [v.histo for v in drawn[-1].summary.value]
    assert last[0].num == model.weights[-1].size
    assert last[0].sum == pytest.approx(float(np.sum(model.weights[-1])))


@pytest.mark.parametrize("drawn", [False, True])
def test_the_graph_has_the_layers_and_what_they_read(drawn, tmp_path):
    from tensorboardX.proto.graph_pb2 import GraphDef

    x = bp.Input((3,), name="x")
    model = bp.Model(x, Dense(1, name="b")(Dense(2, name="a")(x))) if drawn else None
    fit(tmp_path, model=model)
    fit(tmp_path / "none", write_graph=False)

    (found,) = [e.graph_def for e in events(tmp_path / "train") if e.graph_def]
    nodes = {n.name: (n.op, list(n.input)) for n in GraphDef.FromString(found).node}
    assert nodes["b"] == ("Dense", ["a"]) and nodes["a"] == ("Dense", ["x"] if drawn else [])
    assert not [e for e in events(tmp_path / "none" / "train") if e.graph_def]


def test_embeddings_are_written_for_the_projector(tmp_path):
    model = bp.Sequential([bp.Input((2,)), Embedding(5, 3, name="words"), Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    written = TensorBoard(
        tmp_path, embeddings_freq=1, embeddings_metadata={"words": tmp_path / "labels.tsv"}
    )
    model.fit(np.ones((4, 2), int), np.ones((4, 1)), verbose=0, callbacks=[written])

    np.testing.assert_allclose(np.loadtxt(tmp_path / "words.tsv"), model.weights[0], rtol=1e-6)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "words.tsv"' in config and "labels.tsv" in config
    with pytest.raises(ValueError, match="embeddings_metadata of other"):
        other = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"other": "l.tsv"})
        model.fit(np.ones((4, 2), int), np.ones((4, 1)), verbose=0, callbacks=[other])


def test_an_evaluation_alone_is_on_disk_when_it_ends(tmp_path):
    model, _ = fit(tmp_path / "run")

    found = model.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path / "test")])

    seen = scalars(tmp_path / "test" / "validation")["evaluation_loss_vs_iterations"]
    assert seen == {6: pytest.approx(found[0])}


def test_tensorboard_reads_what_was_written(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, history = fit(tmp_path)

    found = reader.EventAccumulator(str(tmp_path / "train"))
    found.Reload()

    assert [e.value for e in found.Scalars("epoch_loss")] == pytest.approx(history["loss"])
    assert found.Graph().node


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"profile_batch": 2}, "profile_batch"),
        ({"update_freq": "often"}, "update_freq"),
        ({"update_freq": 0}, "update_freq"),
        ({"histogram_freq": -1}, "histogram_freq"),
        ({"embeddings_freq": 1.5}, "embeddings_freq"),
    ],
)
def test_what_it_does_not_do_is_refused(options, word):
    with pytest.raises(ValueError, match=word):
        TensorBoard(**options)


def test_without_its_package_it_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "tensorboardX":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"backprop\[tensorboard\]"):
        fit(tmp_path)

    assert not list(tmp_path.iterdir())
