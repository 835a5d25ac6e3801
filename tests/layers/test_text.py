"""Vocabularies, the lookups in them, and the vectorization of text.

Keras' classes of these names need TensorFlow. What they document is pinned here as it is written
there; the rest is worked out by hand.
"""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, strategies as st

import backprop as bp
from backprop.config import custom_object_scope, register_keras_serializable
from backprop.layers import IntegerLookup, StringLookup, TextVectorization, deserialize, serialize

TEXTS = ["foo bar", "bar baz", "baz bada boom"]


def vectorizer(texts=TEXTS, **arguments):
    made = TextVectorization(**arguments)
    made.adapt(texts)
    return made


# ------------------------------------------------------------------ what Keras' documentation shows


def test_the_documented_example_with_adapt():
    made = vectorizer(max_tokens=5000, output_mode="int", output_sequence_length=4)

    y = made([["foo qux bar"], ["qux baz"]])

    np.testing.assert_array_equal(y, [[4, 1, 3, 0], [1, 2, 0, 0]])
    assert y.dtype == np.int64


def test_the_documented_example_with_a_vocabulary():
    made = TextVectorization(5000, vocabulary=["earth", "wind", "and", "fire"])

    assert made.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]
    assert made.get_vocabulary(include_special_tokens=False) == ["earth", "wind", "and", "fire"]
    assert made.vocabulary_size() == 6


def test_the_documented_order_is_by_frequency_then_backwards():
    lookup = StringLookup()
    lookup.adapt([["a", "c", "d"], ["d", "z", "b"]])

    assert lookup.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    np.testing.assert_array_equal(
        lookup([["a", "c", "d"], ["d", "z", "b"]]), [[5, 3, 1], [1, 2, 4]]
    )


@pytest.mark.parametrize(
    ("mode", "data", "wanted"),
    [
        (
            "one_hot",
            ["a", "b", "c", "d", "z"],
            [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]],
        ),
        (
            "multi_hot",
            [["a", "c", "d", "d"], ["d", "z", "b", "z"]],
            [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]],
        ),
        (
            "count",
            [["a", "c", "d", "d"], ["d", "z", "b", "z"]],
            [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]],
        ),
    ],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_the_documented_rows(mode, data, wanted, sparse):
    y = StringLookup(vocabulary=list("abcd"), output_mode=mode, sparse=sparse)(data)

    assert y.dtype == np.int64
    assert hasattr(y, "tocsr") is sparse
    np.testing.assert_array_equal(y.toarray() if sparse else y, wanted)


@pytest.mark.parametrize(
    ("vocabulary", "idf", "wanted"),
    [
        ("abcd", [0.25, 0.75, 0.6, 0.4], [[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]]),
        (
            ["[UNK]", *"abcd"],
            [0.9, 0.25, 0.75, 0.6, 0.4],
            [[0, 0.25, 0, 0.6, 0.8], [1.8, 0, 0.75, 0, 0.4]],
        ),
    ],
)
def test_the_documented_weights(vocabulary, idf, wanted):
    lookup = StringLookup(output_mode="tf_idf")
    lookup.set_vocabulary(list(vocabulary), idf_weights=idf)

    y = lookup([["a", "c", "d", "d"], ["d", "z", "b", "z"]])

    np.testing.assert_allclose(y, wanted, rtol=1e-6)
    assert y.dtype == np.float32


def test_the_documented_inverse():
    lookup = StringLookup(vocabulary=list("abcd"), invert=True)

    assert lookup([[1, 3, 4], [4, 0, 2]]).tolist() == [["a", "c", "d"], ["d", "[UNK]", "b"]]
    assert lookup([-5, 5]).tolist() == ["[UNK]", "[UNK]"]


def test_the_documented_integers():
    vocabulary = [12, 36, 1138, 42]
    data = np.array([[12, 1138, 42], [42, 1000, 36]])

    lookup = IntegerLookup(vocabulary=vocabulary)
    several = IntegerLookup(vocabulary=vocabulary, num_oov_indices=2)
    back = IntegerLookup(vocabulary=vocabulary, invert=True)

    np.testing.assert_array_equal(lookup(data), [[1, 3, 4], [4, 0, 2]])
    np.testing.assert_array_equal(several([[12, 1138, 42], [37, 1000, 36]]), [[2, 4, 5], [1, 0, 3]])
    np.testing.assert_array_equal(back(lookup(data)), [[12, 1138, 42], [42, -1, 36]])


# --------------------------------------------------------------------------- cleaning and splitting


@pytest.mark.parametrize(
    ("standardize", "wanted"),
    [
        (None, ["It's", "A.B", "Ä-b"]),
        ("lower", ["it's", "a.b", "Ä-b"]),
        ("strip_punctuation", ["Its", "AB", "Äb"]),
        ("lower_and_strip_punctuation", ["its", "ab", "Äb"]),
        (np.char.lower, ["it's", "a.b", "ä-b"]),
    ],
)
def test_standards_change_ascii_as_keras_does(standardize, wanted):
    made = vectorizer(["It's A.B Ä-b"], standardize=standardize)

    assert made.get_vocabulary(include_special_tokens=False) == sorted(wanted, reverse=True)


def test_all_punctuation_of_ascii_is_stripped():
    text = "".join(chr(i) for i in range(33, 127))

    (token,) = vectorizer([text]).get_vocabulary(include_special_tokens=False)

    assert token == "0123456789" + 2 * "abcdefghijklmnopqrstuvwxyz"


def test_white_space_is_that_of_ascii_and_characters_are_code_points():
    words = vectorizer([" a\tb\n\nc\u00a0d "], standardize=None)
    letters = vectorizer(["aé b"], split="character", standardize=None)

    assert words.get_vocabulary(False) == ["c\u00a0d", "b", "a"]
    assert letters.get_vocabulary(False) == ["é", "b", "a", " "]


def test_a_function_splits():
    made = vectorizer(
        ["a,b", "b"], split=lambda texts: [text.split(",") for text in texts], standardize=None
    )

    np.testing.assert_array_equal(made(["b,a,x", "a"]), [[2, 3, 1], [3, 0, 0]])


def test_without_a_split_the_last_axis_holds_tokens():
    made = TextVectorization(split=None, vocabulary=["new york", "rome"])
    counts = TextVectorization(split=None, vocabulary=["new york", "rome"], output_mode="count")

    np.testing.assert_array_equal(made([["New York", "Rome"], ["rome", "x"]]), [[2, 3], [3, 1]])
    np.testing.assert_array_equal(made(["rome", "x"]), [3, 1])
    np.testing.assert_array_equal(counts([["rome", "x", "Rome"]]), [[1, 0, 2]])
    np.testing.assert_array_equal(counts(["rome", "x", "Rome"]), [1, 0, 2])


@pytest.mark.parametrize(
    ("ngrams", "wanted"),
    [
        (2, ["a", "b", "c", "a b", "b c"]),
        ((2,), ["a b", "b c"]),
        ((3, 1), ["a b c", "a", "b", "c"]),
        ((4,), []),
    ],
)
def test_ngrams_come_length_by_length(ngrams, wanted):
    made = TextVectorization(ngrams=ngrams, vocabulary=["a", "b", "c", "a b", "b c", "a b c"])

    found = made("a b c")

    assert [made.get_vocabulary()[i] for i in found] == wanted


def test_bytes_are_read_in_the_encoding():
    made = TextVectorization(vocabulary=["é", "e"], standardize=None, encoding="latin-1")

    np.testing.assert_array_equal(made(["é e".encode("latin-1")]), [[2, 3]])


# ------------------------------------------------------------------------------------------- output


def test_rows_are_as_long_as_the_longest_text_or_as_told():
    texts = ["a b c", "", "b"]
    vocabulary = ["a", "b", "c"]

    free = TextVectorization(vocabulary=vocabulary)(texts)
    short = TextVectorization(vocabulary=vocabulary, output_sequence_length=2)(texts)
    long = TextVectorization(vocabulary=vocabulary, output_sequence_length=4)(texts)
    ragged = TextVectorization(vocabulary=vocabulary, ragged=True, output_sequence_length=2)(texts)

    np.testing.assert_array_equal(free, [[2, 3, 4], [0, 0, 0], [3, 0, 0]])
    np.testing.assert_array_equal(short, free[:, :2])
    np.testing.assert_array_equal(long, np.pad(free, ((0, 0), (0, 1))))
    assert [row.tolist() for row in ragged] == [[2, 3], [], [3]]
    assert TextVectorization(vocabulary=vocabulary)([]).shape == (0, 0)


@pytest.mark.parametrize("mode", ["multi_hot", "count", "tf_idf"])
def test_rows_of_counts_by_hand(mode):
    made = vectorizer(["a a b", "a c"], output_mode=mode)
    sparse = vectorizer(["a a b", "a c"], output_mode=mode, sparse=True)

    y = made(["a c a x", "", "b b b"])

    # of 2 texts both hold a, one holds c, one b; unknown words weigh the mean of the three
    idf = np.log(1 + 2 / (1 + np.array([2.0, 1.0, 1.0])))
    wanted = {
        "multi_hot": [[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]],
        "count": [[1, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 3]],
        "tf_idf": np.array([[1, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 3]]) * [idf.mean(), *idf],
    }[mode]
    assert made.get_vocabulary() == ["[UNK]", "a", "c", "b"]
    np.testing.assert_allclose(y, wanted, rtol=1e-6)
    np.testing.assert_array_equal(sparse(["a c a x", "", "b b b"]).toarray(), y)
    np.testing.assert_array_equal(made("a c a x"), y[0])
    assert y.dtype == (np.float32 if mode == "tf_idf" else np.int64)
    assert sparse(["a"]).format == "csr"


@pytest.mark.parametrize("mode", ["multi_hot", "count", "tf_idf"])
def test_padding_to_max_tokens_adds_columns_of_zeros(mode):
    plain = vectorizer(output_mode=mode)
    wide = vectorizer(output_mode=mode, max_tokens=20, pad_to_max_tokens=True)

    assert wide(TEXTS).shape == (3, 20)
    np.testing.assert_array_equal(wide(TEXTS)[:, : plain.vocabulary_size()], plain(TEXTS))
    assert not wide(TEXTS)[:, plain.vocabulary_size() :].any()


@pytest.mark.parametrize(("mode", "words"), [("int", 2), ("count", 3)])
def test_max_tokens_counts_padding_and_unknown(mode, words):
    made = vectorizer(["a a a b b c d"], max_tokens=4, output_mode=mode)

    assert made.get_vocabulary(False) == ["a", "b", "d"][:words]


def test_words_that_look_like_mask_or_unknown_are_not_learned():
    made = vectorizer(["[UNK] a"], standardize=None)

    assert made.get_vocabulary() == ["", "[UNK]", "a"]
    np.testing.assert_array_equal(made(["[UNK] a"]), [[1, 2]])


def test_the_mask_is_0_or_not_counted():
    data = [["a", "-", "b"], ["-", "-", "q"]]

    numbers = StringLookup(mask_token="-", vocabulary=["a", "b"])
    counts = StringLookup(mask_token="-", vocabulary=["a", "b"], output_mode="count")

    np.testing.assert_array_equal(numbers(data), [[2, 0, 3], [0, 0, 1]])
    np.testing.assert_array_equal(counts(data), [[0, 1, 1], [1, 0, 0]])
    assert numbers.get_vocabulary() == ["-", "[UNK]", "a", "b"]
    assert counts.get_vocabulary() == ["[UNK]", "a", "b"]


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6), min_size=1, max_size=5),
    st.sampled_from(["multi_hot", "count"]),
)
def test_counts_are_those_of_a_loop(documents, mode):
    made = TextVectorization(vocabulary=["a", "b", "c"], output_mode=mode, sparse=True)

    y = made([" ".join(words) for words in documents]).toarray()

    wanted = np.zeros((len(documents), 4), int)
    for row, words in zip(wanted, documents, strict=True):
        for word in words:
            row["dabc".index(word)] += 1
    np.testing.assert_array_equal(y, wanted if mode == "count" else np.minimum(wanted, 1))


# ---------------------------------------------------------------------- learning, keeping, training


def test_batches_of_texts_are_learned_from_together_and_steps_stop_them():
    def batches():
        while True:
            yield ["a b", "b"]
            yield np.array([["b c"]])

    made = TextVectorization()
    made.adapt(batches(), steps=2)

    assert made.get_vocabulary(False) == ["b", "c", "a"]


def test_adapting_again_forgets():
    made = vectorizer(output_mode="tf_idf")
    made.adapt(["x y", "y"])

    assert made.get_vocabulary(False) == ["y", "x"]
    assert made(["y"]).shape == (1, 3)


def test_a_vocabulary_is_read_from_a_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("baz\nbar\nça\n", encoding="utf-8")
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("7\n9")

    assert TextVectorization(vocabulary=str(path)).get_vocabulary(False) == ["baz", "bar", "ça"]
    np.testing.assert_array_equal(IntegerLookup(vocabulary=numbers)([9, 7, 8]), [2, 1, 0])


@pytest.mark.parametrize(
    "made",
    [
        vectorizer(),
        vectorizer(ngrams=(1, 2), output_sequence_length=3, standardize="lower", name="words"),
        vectorizer(output_mode="tf_idf", sparse=True, max_tokens=50, pad_to_max_tokens=True),
        vectorizer(output_mode="tf_idf", split="character"),
        TextVectorization(vocabulary=["a", "b"]),
        TextVectorization(output_mode="count"),
    ],
    ids=repr,
)
def test_json_holds_all_of_it(made):
    twin = TextVectorization.from_config(json.loads(json.dumps(made.get_config())))
    other = deserialize(json.loads(json.dumps(serialize(made))))

    assert twin.get_config() == other.get_config() == made.get_config()
    for again in (twin, other, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again.get_vocabulary() == made.get_vocabulary()
        if made.vocabulary.tokens is not None:
            y, wanted = again(["bar foo foo q", "a"]), made(["bar foo foo q", "a"])
            if made.sparse:
                y, wanted = y.toarray(), wanted.toarray()
            np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(
    "made",
    [
        StringLookup(vocabulary=["a", "b"], invert=True),
        StringLookup(vocabulary=["a", "b"], idf_weights=[1.0, 2.0], output_mode="tf_idf"),
        IntegerLookup(vocabulary=[5, 6], mask_token=0, num_oov_indices=3),
    ],
    ids=repr,
)
def test_json_holds_lookups(made):
    twin = type(made).from_config(json.loads(json.dumps(made.get_config())))

    assert twin.get_config() == made.get_config()
    assert twin.get_vocabulary() == made.get_vocabulary()


def test_a_long_vocabulary_is_not_written_out():
    made = TextVectorization(vocabulary=[f"word{i}" for i in range(1000)], max_tokens=1002)

    assert repr(made) == "TextVectorization(1002, vocabulary=array(shape=(1000,)))"


def test_functions_are_kept_by_their_registered_names():
    with custom_object_scope({}):

        @register_keras_serializable()
        def shout(texts):
            return np.char.upper(texts)

        made = vectorizer(standardize=shout)
        twin = TextVectorization.from_config(json.loads(json.dumps(made.get_config())))

        np.testing.assert_array_equal(twin(["foo"]), made(["foo"]))
        assert "FOO" in twin.get_vocabulary()


def test_a_vectorizer_travels_beside_its_model(tmp_path):
    vectorize = vectorizer(output_sequence_length=3)
    model = bp.Sequential([bp.layers.Embedding(8, 2), bp.layers.Flatten(), bp.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(vectorize(TEXTS), np.ones(3), verbose=0)

    bp.saving.save_model(model, tmp_path / "m.npz", extra={"text": vectorize.get_config()})
    loaded, extra = bp.saving.models.read_model(tmp_path / "m.npz")
    again = TextVectorization.from_config(extra["text"])

    np.testing.assert_array_equal(
        loaded.predict(again(TEXTS), verbose=0), model.predict(vectorize(TEXTS), verbose=0)
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_counts_train_a_model(sparse):
    vectorize = vectorizer(output_mode="tf_idf", sparse=sparse)
    model = bp.Sequential([bp.layers.Dense(1)])
    model.compile(bp.optimizers.Adam(0.1), "mse")

    history = model.fit(vectorize(TEXTS), np.array([1.0, 2.0, 3.0]), epochs=200, verbose=0)

    assert history.history["loss"][-1] < 0.01


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (StringLookup(vocabulary=["a", "b"], num_oov_indices=5), [5, 2, 0, 3, 0, 0, 6]),
        (
            StringLookup(vocabulary=["a", "b"], num_oov_indices=5, salt=9, mask_token=""),
            [6, 1, 2, 0, 1, 4, 7],
        ),
        (
            IntegerLookup(vocabulary=[5, 7], num_oov_indices=4, mask_token=1),
            [5, 2, 0, 1, 1, 6, 1],
        ),
        (
            IntegerLookup(None, 4, mask_token=1, vocabulary=[5, 7], oov_method="farmhash"),
            [5, 4, 0, 1, 2, 6, 3],
        ),
        (
            IntegerLookup(
                vocabulary=[5, 7], num_oov_indices=4, oov_method="farmhash", salt=(3, -4)
            ),
            [4, 3, 0, 2, 3, 5, 1],
        ),
        (
            IntegerLookup(vocabulary=[5, 7], num_oov_indices=2, mask_token=0, invert=True),
            [-1, -1, -1, -1, -1, -1, -1],
        ),
    ],
    ids=repr,
)
def test_unknown_tokens_get_the_numbers_of_keras(made, expected):
    if isinstance(made, StringLookup):
        x = np.array(["a", "zz", "abc", "", "é", "x" * 70, "b"])
    else:
        x = np.array([5, -3, 1, 12, 1000, 7, 2**40])

    assert made(x).tolist() == expected


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TextVectorization()(["a"]), ValueError, "has no vocabulary yet: call adapt"),
        (lambda: TextVectorization(output_mode="one_hot"), ValueError, "output_mode to be one of"),
        (lambda: TextVectorization(output_mode="ints"), ValueError, "output_mode to be one of"),
        (lambda: TextVectorization(standardize="upper"), ValueError, "standardize to be one of"),
        (lambda: TextVectorization(split="comma"), ValueError, "split to be one of"),
        (lambda: TextVectorization(ngrams=0), ValueError, "ngrams to be a positive integer"),
        (lambda: TextVectorization(ngrams=(1, "2")), ValueError, "each of ngrams"),
        (
            lambda: TextVectorization(sparse=True),
            ValueError,
            "has sparse for output_mode='int' not",
        ),
        (
            lambda: TextVectorization(output_mode="count", output_sequence_length=3),
            ValueError,
            "has output_sequence_length for output_mode='int' only",
        ),
        (
            lambda: TextVectorization(output_sequence_length=0),
            ValueError,
            "positive integer, got 0",
        ),
        (
            lambda: TextVectorization(output_mode="count", ragged=True),
            ValueError,
            "has ragged for output_mode='int' only",
        ),
        (
            lambda: TextVectorization(output_mode="count", pad_to_max_tokens=True),
            ValueError,
            "expects max_tokens where pad_to_max_tokens is True",
        ),
        (lambda: TextVectorization(max_tokens=1), ValueError, "max_tokens to be an integer of at"),
        (lambda: TextVectorization(vocabulary=[]), ValueError, "vocabulary that is not empty"),
        (lambda: TextVectorization(vocabulary=["a", "a"]), ValueError, "repeated: ['a']"),
        (lambda: TextVectorization(vocabulary=["a", ""]), ValueError, "it is entry 1"),
        (
            lambda: TextVectorization(3, vocabulary=["a", "b"]),
            ValueError,
            "of at most max_tokens=3",
        ),
        (
            lambda: TextVectorization(output_mode="tf_idf", vocabulary=["a"]),
            ValueError,
            "expects idf_weights with a vocabulary",
        ),
        (
            lambda: TextVectorization(vocabulary=["a"], idf_weights=[1.0]),
            ValueError,
            "output_mode is 'int'",
        ),
        (
            lambda: TextVectorization(output_mode="tf_idf", idf_weights=[1.0]),
            ValueError,
            "idf_weights and no vocabulary",
        ),
        (
            lambda: TextVectorization(
                output_mode="tf_idf", vocabulary=["a"], idf_weights=[1.0, 2.0]
            ),
            ValueError,
            "idf_weights of shape (1,)",
        ),
        (lambda: TextVectorization(vocabulary=["a"]).adapt(TEXTS), ValueError, "was given its"),
        (lambda: TextVectorization().adapt("one text"), TypeError, "expects many texts"),
        (
            lambda: TextVectorization().adapt([" ", "!"]),
            ValueError,
            "found no tokens in its data",
        ),
        (lambda: TextVectorization().adapt(TEXTS, batch_size=0), ValueError, "batch_size"),
        (lambda: vectorizer()([1, 2]), TypeError, "expects strings in rows of one length"),
        (lambda: vectorizer()([["a"], ["b", "c"]]), TypeError, "expects strings in rows of one"),
        (lambda: vectorizer()([["a", "b"]]), ValueError, "and got (1, 2)"),
        (
            lambda: vectorizer(standardize=lambda texts: texts[:1]),
            ValueError,
            "standardize to return as many texts",
        ),
        (lambda: vectorizer(split=lambda texts: [["a"]]), ValueError, "split to return the tokens"),
        (
            lambda: TextVectorization.from_config({"vocabulary": "/etc/passwd"}),
            ValueError,
            "holds the tokens, not the path of a file",
        ),
        (
            lambda: StringLookup(vocabulary=["a", "[UNK]"], invert=True),
            ValueError,
            "the oov token '[UNK]' to be left out of the vocabulary",
        ),
        (lambda: StringLookup(salt="a"), ValueError, "salt to be an integer or two of them"),
        (lambda: StringLookup(invert=True, output_mode="count"), ValueError, "with invert"),
        (lambda: StringLookup(sparse=True), ValueError, "another output_mode than 'int'"),
        (
            lambda: StringLookup(num_oov_indices=0, vocabulary=["a"])(["a", "b"]),
            ValueError,
            "no number for unknown tokens (num_oov_indices=0) and got 'b'",
        ),
        (
            lambda: StringLookup(vocabulary=["a"], output_mode="count", sparse=True)([[["a"]]]),
            ValueError,
            "with sparse=True makes one row after the other",
        ),
        (lambda: StringLookup(vocabulary=["a"], invert=True)([0.5]), TypeError, "expects integers"),
        (lambda: IntegerLookup(vocabulary=[1])([0.5]), TypeError, "expects integers"),
        (lambda: IntegerLookup(vocabulary=[1, 2.5]), TypeError, "vocabulary of integers, got 2.5"),
        (lambda: StringLookup(vocabulary=["a", 1]), TypeError, "vocabulary of strings, got 1"),
        (lambda: IntegerLookup(oov_method="md5"), ValueError, "oov_method to be one of"),
        (lambda: IntegerLookup(salt=1), ValueError, "a salt for oov_method='farmhash' only"),
        (lambda: IntegerLookup(vocabulary_dtype="int32"), ValueError, "vocabulary_dtype"),
    ],
)
def test_errors_say_what_was_expected(make, error, message):
    with pytest.raises(error) as caught:
        make()

    assert message in str(caught.value)


# ------------------------------------------------------------------------------------- Keras itself

WORDS = st.lists(st.text("abcABC.,! \t\u00a0É_'é", max_size=12), min_size=1, max_size=6)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "standardize": st.sampled_from([None, "lower", "strip_punctuation"]),
        "split": st.sampled_from(["whitespace", "character"]),
        "ngrams": st.sampled_from([1, 2, (2,), (3, 1)]),
        "max_tokens": st.integers(4, 8),
    },
)


def keras_layer(name, **arguments):
    pytest.importorskip("tensorflow", reason="Keras' class needs TensorFlow")
    keras = pytest.importorskip("keras", reason="Keras is not installed: no peer to compare with")
    return getattr(keras.layers, name)(**arguments)


@given(WORDS, WORDS, OPTIONS, st.sampled_from(["int", "multi_hot", "count", "tf_idf"]))
def test_vectors_are_those_of_keras(texts, others, options, mode):
    theirs = keras_layer("TextVectorization", output_mode=mode, **options)
    theirs.adapt(texts)
    if len(theirs.get_vocabulary()) <= 2:
        return  # no tokens, which is an error here
    made = vectorizer(texts, output_mode=mode, **options)

    wanted = np.asarray(theirs(others))

    assert made.get_vocabulary() == theirs.get_vocabulary()
    np.testing.assert_allclose(made(others), wanted, rtol=1e-6)
    assert made(others).dtype == wanted.dtype


@given(
    st.lists(st.lists(st.integers(-2, 3), min_size=4, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["int", "one_hot", "multi_hot", "count", "tf_idf"]),
    st.sampled_from([None, 0]),
    st.integers(1, 3),
)
def test_lookups_are_those_of_keras(rows, mode, mask, unknown):
    arguments = {"output_mode": mode, "mask_token": mask, "num_oov_indices": unknown}
    theirs, made = keras_layer("IntegerLookup", **arguments), IntegerLookup(**arguments)
    rows = np.array(rows)
    if np.isin(rows, [0, -1]).all():
        return  # no tokens, which is an error here
    theirs.adapt(rows)
    made.adapt(rows)
    names, letters = (
        keras_layer("StringLookup", output_mode=mode),
        StringLookup(output_mode=mode),
    )
    names.adapt(rows.astype(str))
    letters.adapt(rows.astype(str))

    assert made.get_vocabulary() == list(theirs.get_vocabulary())
    np.testing.assert_allclose(made(rows + 1), np.asarray(theirs(rows + 1)), rtol=1e-6)
    shifted = (rows + 1).astype(str)
    np.testing.assert_allclose(letters(shifted), np.asarray(names(shifted)), rtol=1e-6)


@given(
    vocabulary=st.lists(st.integers(-300, 300) | st.integers(-(2**63), 2**63 - 1), unique=True),
    data=st.data(),
)
def test_integers_are_found_near_together_and_far_apart(vocabulary, data):
    layer = IntegerLookup(vocabulary=vocabulary or [0], num_oov_indices=1)
    some = st.sampled_from(vocabulary or [0]) | st.integers(-400, 400)
    x = data.draw(st.lists(some, min_size=1))

    found = layer(np.array(x, np.int64))

    numbers = {token: i for i, token in enumerate(vocabulary or [0], 1)}
    assert found.tolist() == [numbers.get(token, 0) for token in x]


@pytest.mark.parametrize("between", [" ", "\x1c", "\xa0", "\0"])
def test_texts_are_split_and_cleaned_alike_alone_and_together(between):
    layer = TextVectorization(vocabulary=["a", "b", f"a{between}b"])
    texts = [f"A{between}b!", "b  a", ""]

    together = layer(texts)

    for text, row in zip(texts, together, strict=True):
        alone = layer([text])[0]
        assert row[: len(alone)].tolist() == alone.tolist() and not row[len(alone) :].any()
