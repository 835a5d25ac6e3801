"""FeatureSpace: the numbers are those of Keras 3.15.1 with TensorFlow, as literals."""

import json

import numpy as np
import pytest

import backprop as bp
from backprop import layers as L
from backprop.utils import FeatureSpace
from backprop.utils.feature_space import Cross, Feature

TABLE = {
    "f": np.array([0.0, 0.1, 0.2, 0.3]),
    "fr": np.array([1.0, 2.0, 3.0, 4.0]),
    "fn": np.array([0.0, 1.0, 2.0, 3.0]),
    "fd": np.array([0.0, 0.1, 0.2, 0.9]),
    "s": np.array(["zero", "one", "two", "one"]),
    "i": np.array([1, 2, 3, 2]),
    "h": np.array(["a", "b", "c", "d"]),
    "ih": np.array([4, 5, 6, 7]),
}
# f, fd, fn, fr, h, i, ih, s; then i_X_ih, s_X_i
ENCODED = [
    [0, 1, 0, 0, -1.34164, 3, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0],
    [
        0.1,
        0,
        1,
        0,
        -0.44721,
        5,
        0,
        0,
        1,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
        1,
        0,
        0,
        1,
        0,
        0,
        1,
        0,
        0,
    ],
    [0.2, 0, 0, 1, 0.44721, 7, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0],
    [0.3, 0, 0, 1, 1.34164, 9, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0],
]
INTEGERS = {
    "fd": [[0], [1], [2], [2]],
    "fn": [[-1.34164], [-0.44721], [0.44721], [1.34164]],
    "h": [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]],
    "i": [[3], [1], [2], [1]],
    "ih": [[0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 1, 0]],
    "s": [[3], [2], [4], [2]],
    "s_X_i": [[2], [5], [1], [5]],
}


def mixed(**options):
    return FeatureSpace(
        {
            "f": "float",
            "fr": FeatureSpace.float_rescaled(2.0, 1.0),
            "fn": "float_normalized",
            "fd": FeatureSpace.float_discretized(3),
            "s": FeatureSpace.string_categorical(max_tokens=3),
            "i": "integer_categorical",
            "h": FeatureSpace.string_hashed(5),
            "ih": FeatureSpace.integer_hashed(4),
        },
        crosses=[("s", "i"), FeatureSpace.cross(("i", "ih"), 3)],
        crossing_dim=4,
        **options,
    )


def integers():
    made = FeatureSpace(
        {
            "fd": FeatureSpace.float_discretized(3, output_mode="int"),
            "s": FeatureSpace.string_categorical(num_oov_indices=2, output_mode="int"),
            "i": FeatureSpace.integer_categorical(output_mode="int"),
            "h": "string_hashed",
            "ih": "integer_hashed",
            "fn": "float_normalized",
        },
        output_mode="dict",
        crosses=[FeatureSpace.cross(("s", "i"), 7, "int")],
        hashing_dim=3,
    )
    return made, {name: TABLE[name] for name in made.features}


def adapted(**options):
    made = mixed(**options)
    made.adapt(TABLE)
    return made


def in_batches(table, size=3):
    return [{k: v[i : i + size] for k, v in table.items()} for i in range(0, 4, size)]


def in_samples(table):
    return [{k: v[i] for k, v in table.items()} for i in range(4)]


# ------------------------------------------------------------------------------------------ numbers


def test_a_table_is_encoded_as_by_keras():
    y = adapted()(TABLE)

    assert y.dtype == np.float32
    np.testing.assert_allclose(y, ENCODED, atol=1e-5)


def test_a_dict_of_encodings_is_that_of_keras():
    made, table = integers()
    made.adapt(table)

    y = made(table)

    assert sorted(y) == sorted(INTEGERS)
    for name, expected in INTEGERS.items():
        np.testing.assert_allclose(y[name], expected, atol=1e-5)
        assert y[name].dtype.kind == ("i" if name in ("fd", "s", "i", "s_X_i") else "f")


def test_one_sample_is_its_row():
    made, table = integers()
    made.adapt(table)

    np.testing.assert_allclose(adapted()(in_samples(TABLE)[1]), ENCODED[1], atol=1e-5)
    for name, row in made(in_samples(table)[1]).items():
        np.testing.assert_allclose(row, INTEGERS[name][1], atol=1e-5)


def test_a_layer_of_ones_own_encodes_a_feature():
    text = L.TextVectorization(output_mode="tf_idf")
    made = FeatureSpace({"text": FeatureSpace.feature("string", text, "float")})
    made.adapt({"text": ["1st string", "2nd string", "3rd string"]})

    y = made({"text": ["1st string", "2nd string", "3rd string"]})

    a, b = 0.55962, 0.91629  # Keras'
    np.testing.assert_allclose(y, [[0, a, 0, 0, b], [0, a, 0, b, 0], [0, a, b, 0, 0]], atol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        {k: v.tolist() for k, v in TABLE.items()},
        {k: v[:, None] for k, v in TABLE.items()},
        in_batches(TABLE),
        in_samples(TABLE),
        [(batch, None) for batch in in_batches(TABLE)],
    ],
    ids=["lists", "columns", "batches", "samples", "pairs"],
)
@pytest.mark.parametrize("once", [False, True])
def test_it_learns_from_all_kinds_of_tables_alike(data, once):
    made = mixed()

    made.adapt(iter(data) if once and isinstance(data, list) else data)

    np.testing.assert_allclose(made(TABLE), ENCODED, atol=1e-5)


def test_data_frames_are_tables():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE)
    made, other = mixed(), mixed()

    made.adapt(frame)
    other.adapt(iter([frame[:3], frame[3:]]))

    np.testing.assert_allclose(made(frame), ENCODED, atol=1e-5)
    np.testing.assert_allclose(other(frame), ENCODED, atol=1e-5)


def test_it_learns_anew():
    made = adapted()

    made.adapt({**TABLE, "s": np.array(["x", "y", "x", "z"])})

    assert made.preprocessors["s"].get_vocabulary() == ["[UNK]", "x", "z"]
    assert made(TABLE).shape == (4, 29)


def test_what_learns_nothing_needs_no_adapt():
    made = FeatureSpace(
        {"a": "float", "b": FeatureSpace.float_discretized(None, [0.0, 2.0])}, output_mode="concat"
    )

    assert made({"a": [1.0, 2.0], "b": [1.0, 2.0]}).tolist() == [[1, 0, 1, 0], [2, 0, 0, 1]]


# ---------------------------------------------------------------------------------------- in models


def test_it_stands_in_a_model_that_is_saved_with_all_that_it_learned(tmp_path):
    space = adapted()
    y = np.arange(4.0)
    bp.utils.set_random_seed(0)
    model = bp.Model(space.get_inputs(), L.Dense(1)(space.get_encoded_features()))
    model.compile("adam", "mse")
    history = model.fit(TABLE, y, epochs=3, verbose=0)
    model.save(tmp_path / "m.npz")

    loaded = bp.models.load_model(tmp_path / "m.npz")

    assert history.history["loss"][-1] < history.history["loss"][0]
    expected = model.predict(TABLE, verbose=0)
    np.testing.assert_array_equal(loaded.predict(TABLE, verbose=0), expected)
    dense = model.layers[-1]
    np.testing.assert_allclose(expected, dense(space(TABLE)), rtol=1e-6)


def test_it_stands_in_front_of_a_model():
    space = adapted()
    model = bp.Sequential([bp.Input((29,)), L.Dense(1)])
    model.compile("adam", "mse")

    model.fit(space(TABLE), np.arange(4.0), verbose=0)

    assert model.predict(space(TABLE), verbose=0).shape == (4, 1)


def test_parts_are_read_by_name():
    space = adapted()

    assert list(space.get_inputs()) == list(TABLE)
    assert space.get_encoded_features().shape == (None, 29)
    assert isinstance(space.preprocessors["fn"], L.Normalization)
    assert isinstance(space.crossers["s_X_i"], L.HashedCrossing)
    assert space.one_hot_encoders["h"].num_tokens == 5
    assert [cross.name for cross in space.crosses] == ["s_X_i", "i_X_ih"]
    assert isinstance(space.features["s"], Feature)


# ------------------------------------------------------------------------------- files and configs


@pytest.mark.parametrize("output_mode", ["concat", "dict"])
@pytest.mark.parametrize("name", ["space.npz", "space.keras"])
def test_a_file_brings_it_back(tmp_path, name, output_mode):
    if name == "space.keras":
        pytest.importorskip("h5py")
    space = adapted(output_mode=output_mode)
    space.save(tmp_path / name)

    back = FeatureSpace.load(tmp_path / name)
    model = bp.models.load_model(tmp_path / name)

    expected = space(TABLE)
    for y in (back(TABLE), model(TABLE)):
        if output_mode == "concat":
            np.testing.assert_array_equal(y, expected)
        else:
            assert y.keys() == expected.keys()
            for name in expected:
                np.testing.assert_array_equal(y[name], expected[name])


def test_what_comes_from_a_file_learns_anew(tmp_path):
    adapted().save(tmp_path / "space.npz")
    other = {**TABLE, "s": np.array(["x", "y", "x", "z"]), "fn": TABLE["fn"] + 5}
    back, fresh = FeatureSpace.load(tmp_path / "space.npz"), mixed()

    for space in (back, fresh):
        space.adapt(other)

    np.testing.assert_array_equal(back(other), fresh(other))


def test_a_configuration_makes_one_that_learns_the_same():
    fresh = FeatureSpace.from_config(json.loads(json.dumps(mixed().get_config())))

    fresh.adapt(TABLE)

    np.testing.assert_allclose(fresh(TABLE), ENCODED, atol=1e-5)
    assert fresh.get_config() == adapted().get_config()


def test_a_file_of_a_model_is_no_feature_space(tmp_path):
    bp.Sequential([bp.Input((2,)), L.Dense(1)]).save(tmp_path / "m.npz")

    with pytest.raises(ValueError, match="holds a model and no FeatureSpace"):
        FeatureSpace.load(tmp_path / "m.npz")


# ------------------------------------------------------------------------------------------- errors


def of(kind, **options):
    return FeatureSpace({"a": kind}, **options)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: FeatureSpace({}), ValueError, "dict of features that is not empty"),
        (lambda: of("floats"), ValueError, "the feature 'a' to be one of"),
        (lambda: of("float", output_mode="list"), ValueError, "output_mode to be one of"),
        (lambda: of("float", crosses=[("a", "b")]), ValueError, "no feature 'b', which the cross"),
        (lambda: of("float", crosses=[("a",)]), ValueError, "two or more features in a cross"),
        (lambda: of("float", crosses=[Cross(("a", "b"), 3)]), ValueError, "no feature 'b'"),
        (lambda: Cross(("a", "b"), 0), ValueError, "crossing_dim to be a positive integer"),
        (lambda: Cross(("a", "b"), 3, "float"), ValueError, "output_mode to be one of"),
        (
            lambda: FeatureSpace.feature("float32", L.Linear(), "multi_hot"),
            ValueError,
            "output_mode to be one of",
        ),
        (lambda: of("string_categorical")({"a": ["x"]}), ValueError, "call adapt.data. first"),
        (lambda: of("string_categorical").get_inputs(), ValueError, "call adapt.data. first"),
        (
            lambda: of(FeatureSpace.integer_hashed(3, output_mode="int"))({"a": [1]}),
            ValueError,
            "stays an integer",
        ),
        (
            lambda: of(FeatureSpace.feature("float32", L.Linear(), "one_hot"))({"a": [1.0]}),
            ValueError,
            "makes rows of the integers of feature 'a', and Linear.* gives none",
        ),
        (lambda: of("float")([1.0]), ValueError, "is called on a dict of columns"),
        (lambda: of("float")({"a": [1.0], "b": [1.0]}), ValueError, "no feature 'b'"),
        (lambda: of("float")({}), ValueError, "for which the data have no column: .'a'."),
        (lambda: mixed().adapt(3), TypeError, "expects a dict of columns, a data frame or an"),
        (lambda: mixed().adapt([[1.0]]), TypeError, "batches that are dicts of columns"),
        (lambda: mixed().adapt({"f": [1.0]}), ValueError, "for which the data have no column"),
    ],
)
def test_what_is_wrong_is_said(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()


def test_features_of_one_kind_stand_in_one_model():
    kind = FeatureSpace.string_categorical
    space = FeatureSpace({"a": kind(), "b": kind(num_oov_indices=0), "c": kind(name="third")})
    table = {name: ["x", "y", "x"] for name in "abc"}

    space.adapt(table)

    assert space(table).shape == (3, 3 + 2 + 3)
    names = {key: layer.name for key, layer in space.preprocessors.items()}
    assert names == {"a": "a_preprocessor", "b": "b_preprocessor", "c": "third_preprocessor"}
