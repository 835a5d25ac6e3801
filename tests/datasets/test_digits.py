from importlib.resources import files

import numpy as np
import pytest

from backprop.datasets import digits


def test_digits_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn").load_digits()

    (x_train, y_train), (x_test, y_test) = digits.load_data()

    test = np.arange(1797) % 5 == 4
    np.testing.assert_array_equal(x_train, reference.images[~test])
    np.testing.assert_array_equal(x_test, reference.images[test])
    np.testing.assert_array_equal(y_train, reference.target[~test])
    np.testing.assert_array_equal(y_test, reference.target[test])


def test_images_and_labels_are_bytes_from_0_to_16_and_0_to_9():
    (x_train, y_train), (x_test, y_test) = digits.load_data()

    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max()) == (0, 16)
    assert set(y_train) == set(y_test) == set(range(10))


def test_test_every_chooses_the_last_of_each_run_of_rows():
    everything = np.concatenate([part[1] for part in digits.load_data(1797)])

    (_, y_train), (_, y_test) = digits.load_data(test_every=3)

    np.testing.assert_array_equal(y_test, everything[2::3])
    assert len(y_train) == 1797 - 599


@pytest.mark.parametrize("value", [1, 0, 2.0, True, "5"])
def test_a_wrong_test_every_is_refused(value):
    with pytest.raises(ValueError, match=r"load_data\(\) expects test_every"):
        digits.load_data(value)


def test_every_call_returns_arrays_of_its_own():
    digits.load_data()[0][0][:] = 99

    assert digits.load_data()[0][0].max() == 16


def test_a_damaged_file_is_refused(monkeypatch):
    monkeypatch.setattr(digits, "SHA256", "0" * 64)

    with pytest.raises(OSError, match=r"damaged.*install backprop again"):
        digits.load_data()


def test_the_attribution_lies_beside_the_file():
    text = files("backprop.datasets").joinpath("data", "digits.txt").read_text()

    assert all(word in text for word in ("Alpaydin", "Kaynak", "CC BY 4.0", "10.24432/C50P49"))
