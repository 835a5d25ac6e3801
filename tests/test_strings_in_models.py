"""Strings go into models: as arrays of str, of bytes and of objects, through all that a model does,
and with what was learned from them into files."""

import numpy as np
import pytest

import backprop as bp
from backprop import layers as L

TEXTS = np.array(["good film", "bad film", "a good one", "so bad", "good good", "bad bad bad"] * 4)
LABELS = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0] * 4)
CITIES = np.array(["Oslo", "Rome"] * 12)


def vectorizer(**options):
    made = L.TextVectorization(output_sequence_length=4, **options)
    made.adapt(TEXTS)
    return made


def classifier(seed=3):
    bp.utils.set_random_seed(seed)
    model = bp.Sequential(
        [
            bp.Input((1,), dtype="string"),
            vectorizer(),
            L.Embedding(20, 4, mask_zero=True),
            L.GlobalAveragePooling1D(),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(bp.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    return model


def of_three_inputs():
    text = bp.Input((1,), dtype="string", name="text")
    city = bp.Input((), dtype="string", name="city")
    x = bp.Input((2,), name="x")
    found = [
        L.Flatten()(L.Embedding(20, 2)(vectorizer()(text))),
        L.StringLookup(vocabulary=["Oslo"], output_mode="one_hot")(city),
        L.Discretization([0.0, 1.0], output_mode="multi_hot")(x),
        L.IntegerLookup(vocabulary=[1, 2])(L.Discretization([0.0])(x)),
        L.Normalization(mean=0.5, variance=4.0)(x),
    ]
    model = bp.Model([text, city, x], L.Dense(1)(L.Concatenate()(found)))
    model.compile("sgd", "mse")
    return model


def rows():
    return np.random.default_rng(0).normal(size=(24, 2))


# -------------------------------------------------------------------------------- what a model does


KINDS = {
    "str": TEXTS,
    "column": TEXTS[:, None],
    "list": TEXTS.tolist(),
    "objects": TEXTS.astype(object),
    "bytes": np.char.encode(TEXTS, "utf-8"),
    "list of bytes": [text.encode() for text in TEXTS],
}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_every_kind_train_and_predict_alike(kind):
    model, x = classifier(), KINDS[kind]

    history = model.fit(x, LABELS, epochs=20, verbose=0, validation_split=0.25)

    assert history.history["loss"][-1] < 0.01
    assert model.evaluate(x, LABELS, verbose=0)[1] == 1.0
    assert model.train_on_batch(x, LABELS)[1] == 1.0
    # BLAS multiplies few rows in another order than many
    y, in_pieces = model.predict(x, verbose=0), model.predict(TEXTS, verbose=0, batch_size=5)
    np.testing.assert_allclose(y, in_pieces, rtol=1e-5)


def test_a_model_in_front_of_which_texts_are_numbered_is_the_same():
    inside = classifier()
    outside = bp.Sequential(inside.layers[1:])
    vectorize = inside.layers[0]

    np.testing.assert_array_equal(
        inside.predict(TEXTS, verbose=0), outside.predict(vectorize(TEXTS), verbose=0)
    )


def test_batches_of_texts_and_series_of_pandas_train():
    pandas = pytest.importorskip("pandas")
    model = classifier()

    model.fit([(TEXTS[i : i + 8], LABELS[i : i + 8]) for i in range(0, 24, 8)], verbose=0)
    model.fit(pandas.Series(TEXTS), LABELS, verbose=0)

    assert model.predict(pandas.DataFrame({"text": TEXTS}), verbose=0).shape == (24, 1)


def test_a_model_is_called_on_texts():
    model = classifier()

    y = model(TEXTS[:2, None])

    np.testing.assert_array_equal(y, model.predict(TEXTS[:2], verbose=0))
    np.testing.assert_array_equal(y, model(TEXTS[:2, None].tolist()))


def test_several_inputs_are_strings_and_numbers():
    model, x = of_three_inputs(), rows()

    history = model.fit({"text": TEXTS, "city": CITIES, "x": x}, LABELS, epochs=5, verbose=0)

    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict([TEXTS, CITIES, x], verbose=0).shape == (24, 1)


def test_integers_become_floating_point_numbers_before_a_layer_that_computes():
    lookup = L.StringLookup(vocabulary=["Oslo", "Rome"])
    dense = L.Dense(2)
    x = bp.Input((1,), dtype="string")

    for model in (bp.Sequential([lookup, dense]), bp.Model(x, dense(lookup(x)))):
        y = model.predict(CITIES[:3, None], verbose=0)
        assert y.dtype == np.float32
        expected = dense(lookup(CITIES[:3, None]).astype(np.float32))
        np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_integers_come_out_of_a_model_as_integers():
    x = bp.Input((), dtype="string")
    lookup = L.StringLookup(vocabulary=["Oslo", "Rome"], mask_token="")

    y = bp.Model(x, lookup(x)).predict(CITIES[:3], verbose=0)

    assert y.dtype == np.int64
    assert y.tolist() == [2, 3, 2]


def test_numbers_become_strings_again_in_a_model():
    x = bp.Input((3,), dtype="int64")
    model = bp.Model(x, L.StringLookup(vocabulary=["a", "bb"], invert=True)(x))

    assert model.predict(np.array([[0, 1, 2]]), verbose=0).tolist() == [["[UNK]", "a", "bb"]]


def test_integers_go_through_layers_without_weights_to_one_that_looks_up():
    lookup = L.StringLookup(vocabulary=["a", "b"])
    layers = [bp.Input((2, 2), dtype="string"), lookup, L.Flatten(), L.Embedding(3, 2)]
    model = bp.Sequential(layers)

    assert model.predict(np.array([[["a", "b"], ["c", "a"]]]), verbose=0).shape == (1, 4, 2)


def test_gradients_pass_by_what_has_none():
    model = of_three_inputs()

    before = [w.copy() for w in model.get_weights()]
    model.train_on_batch([TEXTS, CITIES, rows()], LABELS)

    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


# -------------------------------------------------------------------------------------------- files


def test_a_file_has_the_vocabulary_and_training_goes_on(tmp_path):
    model = classifier()
    model.fit(TEXTS, LABELS, epochs=2, verbose=0)
    model.save(tmp_path / "m.npz")

    loaded = bp.models.load_model(tmp_path / "m.npz")

    assert loaded.layers[0].get_vocabulary() == model.layers[0].get_vocabulary()
    for each in (model, loaded):
        each.fit(TEXTS, LABELS, epochs=2, verbose=0)
    np.testing.assert_array_equal(loaded.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))


def test_a_file_of_a_graph_has_all_that_was_learned(tmp_path):
    texts = bp.Input((1,), dtype="string")
    x = bp.Input((2,))
    weighted = L.TextVectorization(output_mode="tf_idf")
    bins, scale = L.Discretization(num_bins=3, output_mode="count"), L.Normalization()
    weighted.adapt(TEXTS)
    bins.adapt(rows())
    scale.adapt(rows())
    model = bp.Model([texts, x], L.Concatenate()([weighted(texts), bins(x), scale(x)]))
    model.save(tmp_path / "m.npz")

    loaded = bp.models.load_model(tmp_path / "m.npz")

    given = [TEXTS, rows()]
    np.testing.assert_array_equal(loaded.predict(given, verbose=0), model.predict(given, verbose=0))


def test_weights_alone_go_into_a_model_with_the_same_layers(tmp_path):
    model, other = classifier(), classifier(seed=4)
    model.save_weights(tmp_path / "w.npz")

    other.load_weights(tmp_path / "w.npz")

    np.testing.assert_array_equal(other.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))


# ------------------------------------------------------------------------------------------- errors


def strings_for(layer):
    return layer(bp.Input((1,), dtype="string"))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: strings_for(L.Dense(1)), TypeError, "would get strings: put a layer between"),
        (lambda: strings_for(L.Embedding(3, 2)), TypeError, "would get strings"),
        (lambda: strings_for(L.IntegerLookup()), TypeError, "would get strings"),
        (
            lambda: strings_for(bp.Sequential([L.Dense(1)])),
            TypeError,
            "would get strings: put a layer between",
        ),
        (
            lambda: bp.Sequential([bp.Input((1,), dtype="string"), L.Dense(1)]),
            TypeError,
            "Dense.1. computes with numbers and would get strings",
        ),
        (
            lambda: bp.Sequential([L.Dense(1)]).predict(TEXTS, verbose=0),
            TypeError,
            "x expected real numbers and got an array of dtype <U11",
        ),
        (
            lambda: classifier().predict(np.array(["a", None], object), verbose=0),
            TypeError,
            "expected strings and has NoneType among them",
        ),
        (
            lambda: classifier().fit(TEXTS, TEXTS, verbose=0),
            TypeError,
            "y expected real numbers",
        ),
        (
            lambda: classifier().predict(np.array([[1], [2]]), verbose=0),
            TypeError,
            "expects strings in rows of one length, and got int",
        ),
        (
            lambda: strings_for(L.StringLookup(output_mode="count")),
            ValueError,
            "has no vocabulary yet: call adapt",
        ),
        (
            lambda: bp.Sequential(
                [L.StringLookup(vocabulary=["a"], output_mode="count", sparse=True)]
            ).predict(TEXTS[:, None], verbose=0),
            ValueError,
            "gives sparse rows, which stand before a model and not in it",
        ),
        (
            lambda: L.StringLookup(vocabulary=["a"], output_mode="count")(
                bp.Input((), dtype="string")
            ),
            ValueError,
            "expects batches of rows",
        ),
        (
            lambda: bp.Sequential([L.TextVectorization(vocabulary=["a"], ragged=True)]).predict(
                TEXTS, verbose=0
            ),
            ValueError,
            "gives lists, which stand before a model and not in it",
        ),
        (
            lambda: bp.Sequential([bp.Input((3,)), L.CategoryEncoding(3), L.Dense(1)]).predict(
                np.array([[0, 1, 3]]), verbose=0
            ),
            ValueError,
            "expects integers from 0 to 2 and got 0 to 3",
        ),
    ],
)
def test_what_does_not_fit_is_said(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_a_layer_in_a_model_does_not_learn_rows_of_another_length():
    lookup = L.StringLookup(output_mode="multi_hot")
    lookup.adapt(["a"])
    bins = L.Discretization(num_bins=3, output_mode="count")
    bins.adapt(rows())
    bp.Sequential([bp.Input((1,), dtype="string"), lookup, L.Dense(1)])
    bp.Sequential([bp.Input((2,)), bins, L.Dense(1)])

    with pytest.raises(ValueError, match="was built for rows of 2, and they would have 3"):
        lookup.adapt(["a", "b"])
    with pytest.raises(ValueError, match="rows of 3, for which it is built"):
        bins.adapt([[1.0]])

    assert lookup.get_vocabulary() == ["[UNK]", "a"]
    assert len(bins.bin_boundaries) == 2
    lookup.adapt(["b"])
    assert lookup.get_vocabulary() == ["[UNK]", "b"]
