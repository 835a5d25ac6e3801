"""Directories of files as batches: the files, labels and order of Keras, read when wanted."""

import importlib
import os
import pickle
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

import backprop as bp
from backprop import utils
from backprop.utils import image_files, resizing

images = pytest.importorskip("PIL.Image", reason="images are read by Pillow")

GOLDEN = Path(__file__).parent.parent / "golden" / "resized_images.npz"
CLASSES = ["a", "b", "c"]


def write(kind, path, i):
    """A small file of a kind, different for each i."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "image":
        x = np.random.default_rng(i).integers(0, 255, (4 + i % 3, 5 + i % 2, 3), np.uint8)
        images.fromarray(x).save(path)
    elif kind == "text":
        path.write_bytes(f"text number {i}\r\nend".encode())
    else:
        wavfile.write(path, 8000, np.arange(i, 2 * i + 3, dtype=np.int16)[:, None])


ENDING = {"image": ".png", "text": ".txt", "audio": ".wav"}
KINDS = list(ENDING)


def make(kind, top, count=7):
    for c in CLASSES:
        for i in range(count):
            inner = Path(c, "deeper") if i > 4 else Path(c)
            ending = ENDING[kind].upper() if i == 2 else ENDING[kind]
            write(kind, top / inner / f"{10 - i}{ending}", ord(c) % 7 + 3 * i)
    (top / ".hidden").mkdir()
    (top / "a" / "notes.md").write_text("no data")
    return top


@pytest.fixture(scope="module")
def tops(tmp_path_factory):
    return {kind: make(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def read(kind, top, **options):
    if kind == "image":
        options = {"image_size": (4, 5)} | options
    function = getattr(utils, f"{kind}_dataset_from_directory")
    return function(top, **{"verbose": False} | options)


def lists(batches):
    return [b[0].tolist() if isinstance(b, tuple) else b.tolist() for b in batches]


# ------------------------------------------------------------------------- which files, and labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("labels", ["inferred", None, list(range(21))])
def test_files_labels_and_classes_are_those_of_keras(tops, kind, shuffle, labels):
    keras = pytest.importorskip("keras.src.utils.dataset_utils", reason="parity needs Keras")
    top = str(tops[kind])
    paths, numbers, names = keras.index_directory(
        top,
        labels[:] if labels else labels,  # Keras shuffles the list that it is given
        (ENDING[kind],),
        shuffle=shuffle,
        seed=5,
        verbose=False,
    )

    found = read(kind, top, labels=labels, shuffle=shuffle, seed=5)

    assert found.file_paths == paths
    assert found.class_names == names
    if labels is None:
        assert found.labels is None
    else:
        assert found.labels.tolist() == list(numbers)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_have_what_the_files_hold_in_order(tops, kind):
    found = read(kind, tops[kind], shuffle=False, batch_size=4)

    every = list(found)

    assert found.cardinality() == 6
    assert (len(found), found.count, [len(x) for x, _ in every]) == (6, 21, [4] * 5 + [1])
    x, y = (np.concatenate(a) for a in zip(*every, strict=True)) if kind != "audio" else every[0]
    assert y.dtype == np.int32 and y.tolist() == np.repeat([0, 1, 2], 7).tolist()[: len(y)]
    first = found.file_paths[0]
    if kind == "text":
        assert x[0] == Path(first).read_bytes().decode()
    elif kind == "image":
        expected = utils.img_to_array(utils.load_img(first))
        np.testing.assert_allclose(x[0], resizing.resize(expected, (4, 5), "bilinear"))
    else:
        np.testing.assert_array_equal(
            x[0][: len(wavfile.read(first)[1]), 0], wavfile.read(first)[1] / np.float32(32768)
        )


@pytest.mark.parametrize(
    ("options", "shape", "first"),
    [
        ({}, (21,), 0),
        ({"label_mode": "categorical"}, (21, 3), [1, 0, 0]),
        ({"label_mode": "binary", "class_names": ["c", "a"]}, (14, 1), [0]),
        ({"labels": [0, 5] * 10 + [0], "label_mode": "binary"}, (21, 1), [0]),
        ({"labels": [0.5] * 21}, (21,), 0.5),
        ({"class_names": ["c", "a"]}, (14,), 0),
    ],
)
def test_labels_come_in_three_forms(tops, options, shape, first):
    found = read("text", tops["text"], shuffle=False, **options)

    (_, y), *_ = read("text", tops["text"], shuffle=False, batch_size=30, **options)

    assert y.shape == shape and y[0].tolist() == first
    wanted = "int32" if options.get("label_mode", "int") == "int" else "float32"
    assert y.dtype == ("float32" if "labels" in options else wanted)
    assert found.class_names == options.get(
        "class_names",
        [str(n) for n in sorted(set(options["labels"]))] if "labels" in options else CLASSES,
    )


@pytest.mark.parametrize("options", [{"labels": None}, {"label_mode": None}])
def test_without_labels_a_batch_is_no_pair(tops, options):
    found = read("text", tops["text"], **options)

    assert found[0].shape == (21,) and found.class_names is None


def test_links_are_followed_where_that_is_asked_for(tmp_path):
    write("text", tmp_path / "elsewhere" / "x.txt", 1)
    write("text", tmp_path / "top" / "a" / "y.txt", 2)
    (tmp_path / "top" / "a" / "link").symlink_to(tmp_path / "elsewhere")

    assert len(read("text", tmp_path / "top").file_paths) == 1
    assert len(read("text", tmp_path / "top", follow_links=True).file_paths) == 2


# ---------------------------------------------------------------------------------- splits, passes


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_split_takes_the_last_files(tops, shuffle):
    options = {"shuffle": shuffle, "seed": 3}
    whole = read("text", tops["text"], **options).file_paths

    train, validation = read("text", tops["text"], validation_split=0.3, subset="both", **options)
    alone = read("text", tops["text"], validation_split=0.3, subset="validation", **options)

    assert (len(train.file_paths), len(validation.file_paths)) == (15, 6)
    assert train.file_paths + validation.file_paths == whole
    assert alone.file_paths == validation.file_paths
    assert train.class_names == validation.class_names == CLASSES


def test_passes_over_shuffled_files_differ_and_follow_from_the_seed(tops):
    once, again = (read("text", tops["text"], seed=7, batch_size=5) for _ in range(2))

    first, second = lists(once), lists(once)

    assert first != second
    assert sorted(chain(*first)) == sorted(chain(*second))
    assert [lists(again), lists(again)] == [first, second]


def test_the_default_seed_is_that_of_the_program(tops):
    seen = []
    for _ in range(2):
        utils.set_random_seed(3)
        seen.append(lists(read("text", tops["text"])))

    assert seen[0] == seen[1]
    assert lists(read("text", tops["text"])) != seen[0]


def test_the_part_for_validation_is_in_the_order_of_its_files(tops):
    _, validation = read("text", tops["text"], validation_split=0.3, subset="both", seed=1)

    texts = [Path(path).read_bytes().decode() for path in validation.file_paths]

    assert lists(validation) == lists(validation) == [texts]


def test_files_are_read_when_they_are_wanted(tmp_path):
    make("text", tmp_path / "top")
    found = read("text", tmp_path / "top", shuffle=False, batch_size=2)
    os.unlink(found.file_paths[20])

    assert len(list(found.take(10))) == 10
    with pytest.raises(FileNotFoundError):
        found[10]


@pytest.mark.parametrize("kind", KINDS)
def test_files_can_be_pickled(tops, kind):
    found = read(kind, tops[kind], seed=2, batch_size=4)

    again = pickle.loads(pickle.dumps(found))

    assert lists(again) == lists(found)


def test_single_samples_come_without_batches(tops):
    found = read("image", tops["image"], batch_size=None, shuffle=False)

    x, y = found[0]

    assert len(found) == 21 and x.shape == (4, 5, 3) and y.shape == ()


def test_what_is_found_is_said(tops, capsys):
    utils.text_dataset_from_directory(tops["text"], validation_split=0.3, subset="both", seed=1)
    utils.text_dataset_from_directory(tops["text"], labels=None)

    assert capsys.readouterr().out.splitlines() == [
        "Found 21 files belonging to 3 classes.",
        "Using 15 files for training.",
        "Using 6 files for validation.",
        "Found 21 files.",
    ]


def test_what_is_cached_is_read_once_and_stays_what_it_is(tops):
    found = read("image", tops["image"], seed=1, batch_size=4)
    made = []
    halves = found.map(lambda x, y: made.append(len(x)) or (x / 2, y))

    kept = halves.cache()
    first, second = list(kept.prefetch(2)), list(kept.as_numpy_iterator())
    doubled = [x for x, _ in kept.map(lambda x, y: (2 * x, y))]

    assert made == [4, 4, 4, 4, 4, 1] and len(kept) == 6 and kept.count == 21
    for (x, y), (again, labels), (whole, _), twice in zip(
        first, second, found, doubled, strict=True
    ):
        assert x is again and y is labels  # in the order of the pass that was to come
        np.testing.assert_array_equal(whole, twice)
    with pytest.raises(ValueError, match="read-only"):
        first[0][0][:] = 0
    np.testing.assert_array_equal(kept.skip(1).take(1)[0][1], first[1][1])


def test_keeping_batches_makes_no_array_of_others_read_only():
    weights = np.ones(2)
    windows = utils.timeseries_dataset_from_array(np.arange(4), np.arange(4), 2, batch_size=2)

    assert list(windows.map(lambda x, y: (x, y, weights)).cache())

    weights[:] = 2


def test_a_model_trains_on_a_directory(tops):
    found = read("image", tops["image"], seed=1, batch_size=4)
    model = bp.Sequential(
        [
            bp.layers.Rescaling(1 / 255),
            bp.layers.Flatten(),
            bp.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")

    history = model.fit(found.prefetch(2), validation_data=found.take(2), epochs=2, verbose=0)

    assert len(history.history["val_loss"]) == 2
    assert model.predict(found.map(lambda x, y: x), verbose=0).shape == (21, 3)
    assert model.evaluate(found.map(lambda x, y: (x / 2, y)), verbose=0) > 0


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": "x"}, "labels to be 'inferred'"),
        ({"labels": 3}, "labels to be 'inferred'"),
        ({"labels": [1]}, "a label for each of the 21 files"),
        ({"labels": ["x"] * 21}, "labels to be numbers"),
        ({"labels": [1] * 21, "class_names": ["a"]}, "class_names with labels='inferred' alone"),
        ({"labels": None, "class_names": ["a"]}, "class_names with labels='inferred' alone"),
        ({"class_names": ["a", "z"]}, "which has a, b, c, got 'z'"),
        ({"label_mode": "float"}, "label_mode to be one of"),
        ({"label_mode": "binary"}, "expects two classes, got"),
        ({"labels": [7] * 21, "label_mode": "categorical"}, "labels from 0 to 0"),
        ({"validation_split": 1.5, "subset": "both", "seed": 1}, "between 0 and 1"),
        ({"validation_split": 0.3}, "takes validation_split and subset together"),
        ({"subset": "training"}, "takes validation_split and subset together"),
        ({"subset": "test", "validation_split": 0.3}, "subset to be one of"),
        ({"subset": "both", "validation_split": 0.3}, "needs a seed"),
        (
            {"subset": "both", "validation_split": 0.01, "seed": 1},
            "for validation in .*validation_split=0.01 of 21 files leaves none",
        ),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tops, kind, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(kind, tops[kind], **options)

    assert f"{kind}_dataset_from_directory()" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_without_such_files_is_an_error(tmp_path, kind):
    (tmp_path / "a").mkdir()

    with pytest.raises(ValueError, match=f"finds no {kind} files in .*such files end in"):
        read(kind, tmp_path)
    with pytest.raises(ValueError, match=f"finds no {kind} files"):
        read(kind, tmp_path, labels=None)
    with pytest.raises(FileNotFoundError, match="finds no directory"):
        read(kind, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("image", {"color_mode": "cmyk"}, "color_mode"),
        ("image", {"image_size": (1, 2, 3)}, "image_size"),
        ("image", {"image_size": (0, 2)}, "image_size"),
        ("image", {"interpolation": "hamming"}, "interpolation to be one of"),
        ("image", {"data_format": "channels"}, "data_format"),
        ("image", {"format": "torch"}, "format"),
        ("image", {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "not both"),
        ("text", {"max_length": -1}, "max_length"),
        ("text", {"format": "torch"}, "format"),
        ("audio", {"ragged": True}, "has no ragged arrays"),
        ("audio", {"sampling_rate": 8000.5}, "sampling_rate"),
        ("audio", {"output_sequence_length": 0}, "output_sequence_length"),
    ],
)
def test_arguments_of_one_kind_are_checked(tops, kind, options, words):
    with pytest.raises(ValueError, match=words):
        read(kind, tops[kind], **options)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("image", OSError, "cannot read the image .*x.png"),
        ("text", ValueError, "cannot read .*x.txt, it is no UTF-8"),
        ("audio", ValueError, "cannot read .*x.wav, it is no WAV file"),
    ],
)
@pytest.mark.parametrize("content", [b"\xff\xfe\xfd words", b"RIFF\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, kind, error, words, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"x{ENDING[kind]}").write_bytes(content)

    with pytest.raises(error, match=words):
        read(kind, tmp_path)[0]


# ------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("way", ["whole", "pad", "crop"])
@pytest.mark.parametrize("method", resizing.METHODS)
def test_images_are_resized_as_tensorflow_does_it(tmp_path, way, method):
    golden = np.load(GOLDEN)
    (tmp_path / "a").mkdir()
    images.fromarray(golden["x"]).save(tmp_path / "a" / "x.png")
    names = [name for name in golden.files if name.startswith(f"{way}_{method}_")]
    assert names or way == "crop"  # Keras crops with five methods alone
    options = {"crop_to_aspect_ratio": way == "crop", "pad_to_aspect_ratio": way == "pad"}

    for name in names:
        size = tuple(map(int, name.split("_")[2:]))
        ((x, _),) = read("image", tmp_path, image_size=size, interpolation=method, **options)

        np.testing.assert_allclose(x[0], golden[name], rtol=2e-5, atol=3e-4)  # of 255
        assert x.dtype == np.float32


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("layout", [None, "channels_first"])
def test_images_have_the_channels_that_are_asked_for(tops, mode, layout):
    ((x, _), *_) = read("image", tops["image"], color_mode=mode, data_format=layout, image_size=4)

    channels = {"rgb": 3, "rgba": 4, "grayscale": 1}[mode]
    assert x.shape == ((21, channels, 4, 4) if layout else (21, 4, 4, channels))


def test_of_16_bits_the_higher_8_are_kept(tmp_path):
    x = np.array([[0, 255, 256], [4660, 65535, 1]], np.uint16)
    images.fromarray(x).save(tmp_path / "x.png")

    assert image_files.pixels(tmp_path / "x.png", "grayscale")[..., 0].tolist() == (x >> 8).tolist()
    assert image_files.pixels(tmp_path / "x.png", "rgb")[0, 2].tolist() == [1, 1, 1]


def test_the_first_picture_of_an_animation_is_read(tmp_path):
    first, second = (images.new("RGB", (3, 2), color) for color in ("red", "blue"))
    (tmp_path / "a").mkdir()
    first.save(tmp_path / "a" / "x.gif", save_all=True, append_images=[second])

    ((x, _),) = read("image", tmp_path, image_size=(2, 3))

    assert x[0, 0, 0].tolist() == [255, 0, 0]


def test_an_image_of_its_own_size_stays_what_it_is():
    x = np.random.default_rng(0).uniform(0, 255, (5, 7, 3)).astype(np.float32)

    for method in ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5"):
        np.testing.assert_allclose(resizing.resize(x, (5, 7), method), x, rtol=1e-5, atol=1e-3)


# ------------------------------------------------------------------------------------ texts, sounds


def test_texts_are_cut_off(tops):
    found = read("text", tops["text"], max_length=4, shuffle=False)

    assert set(found[0][0]) == {"text"}


def sounds(folder, *given, rate=8000):
    (folder / "a").mkdir()
    for i, x in enumerate(given):
        wavfile.write(folder / "a" / f"{i}.wav", rate, x)
    return folder


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([0, 64, 255], np.uint8), [-1, -0.5, 127 / 128]),
        (np.array([0, 16384, -32768], np.int16), [0, 0.5, -1]),
        (np.array([0, 2**30, -(2**31)], np.int32), [0, 0.5, -1]),
        (np.array([0, 0.25, -1], np.float32), [0, 0.25, -1]),
    ],
)
def test_samples_are_divided_by_the_largest(tmp_path, x, expected):
    ((found, _),) = read("audio", sounds(tmp_path, x))

    assert found.dtype == np.float32 and found.shape == (1, 3, 1)
    np.testing.assert_allclose(found.ravel(), expected)


def test_sounds_are_filled_up_to_the_longest_of_a_batch_or_to_a_length(tmp_path):
    top = sounds(tmp_path, *(np.full((n, 2), 16384, np.int16) for n in (2, 5, 3)))

    (pair, _), (single, _) = read("audio", top, batch_size=2, shuffle=False)
    ((fixed, _),) = read("audio", top, output_sequence_length=4, shuffle=False)

    assert pair[..., 0].tolist() == [[0.5, 0.5, 0, 0, 0], [0.5] * 5]
    assert single.shape == (1, 3, 2)
    assert fixed[..., 1].tolist() == [[0.5, 0.5, 0, 0], [0.5] * 4, [0.5, 0.5, 0.5, 0]]


def test_sounds_are_brought_to_one_rate(tmp_path):
    t = np.arange(8000) / 8000
    top = sounds(tmp_path, (np.sin(2 * np.pi * 50 * t) * 32767).astype(np.int16))

    ((x, _),) = read("audio", top, sampling_rate=12000)

    assert x.shape == (1, 12000, 1)
    expected = np.sin(2 * np.pi * 50 * np.arange(12000) / 12000)
    np.testing.assert_allclose(x[0, 500:-500, 0], expected[500:-500], atol=2e-3)


def test_sounds_of_different_channels_are_no_batch(tmp_path):
    top = sounds(tmp_path, np.zeros((4, 2), np.int16), np.zeros(4, np.int16))

    with pytest.raises(ValueError, match="sounds of 1 and 2 channels in one batch"):
        read("audio", top)[0]
    assert [x.shape for x, _ in read("audio", top, batch_size=None, shuffle=False)] == [
        (4, 2),
        (4, 1),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_and_defaults_are_those_of_keras(kind):
    import inspect

    keras = pytest.importorskip("keras", reason="parity needs Keras")
    name = f"{kind}_dataset_from_directory"
    theirs = inspect.signature(getattr(keras.utils, name)).parameters

    ours = inspect.signature(getattr(importlib.import_module("backprop.utils"), name)).parameters

    assert {n: p.default for n, p in ours.items()} == {n: p.default for n, p in theirs.items()}
    assert list(ours) == list(theirs)
