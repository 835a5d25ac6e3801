"""Tables become numbers in one way, learned from the training rows alone."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop import tabular
from backprop.tabular import Column, Preprocessing, Table, hold_out, read_csv


def table(text: str, tmp_path) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return read_csv(path)


# ------------------------------------------------------------------ reading


def test_names_come_from_the_first_row(tmp_path):
    found = table("a,b\n1,x\n2,y\n", tmp_path)

    assert found.columns == ["a", "b"]
    assert found.rows == [["1", "x"], ["2", "y"]]
    assert found.named


def test_a_first_row_like_the_others_is_data(tmp_path):
    assert table("1,2\n3,4\n", tmp_path).columns == ["0", "1"]
    iris = table("5.1,3.5,setosa\n4.9,3.0,virginica\n", tmp_path)
    assert iris.columns == ["0", "1", "2"]
    assert len(iris.rows) == 2
    assert table("1,2\n", tmp_path).rows == [["1", "2"]]
    assert table("city,2019\nRome,3\nOslo,4\n", tmp_path).rows[0] == ["city", "2019"]
    assert table("city,size\nRome,3\nOslo,\nBonn,4\n", tmp_path).columns == ["city", "size"]


def test_all_text_has_names(tmp_path):
    assert table("colour,shape\nred,round\nblue,square\n", tmp_path).columns == ["colour", "shape"]


@pytest.mark.parametrize(
    "text",
    ["a;b\n1,5;x\n", "a\tb\n1,5\tx\n", '\ufeffa,b\r\n"1,5",x\r\n', ' a , b \n\n"1,5", x\n\n'],
)
def test_delimiters_marks_and_blanks_are_understood(tmp_path, text):
    found = table(text, tmp_path)

    assert (found.columns, found.rows) == (["a", "b"], [["1,5", "x"]])


def test_a_quoted_cell_may_hold_delimiters_and_lines(tmp_path):
    found = table('name,"note; long"\nx,"one\ntwo, three"\n', tmp_path)

    assert found.columns == ["name", "note; long"]
    assert found.rows == [["x", "one\ntwo, three"]]


def test_a_column_without_a_name_is_called_by_its_place(tmp_path):
    assert table(",a\n0,1\n1,2\n", tmp_path).columns == ["column 1", "a"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("\n \n,\n", "is empty"),
        ("a,b\n", "a row of names and no row of data"),
        ("a,b\n1\n", "data row 1 has 1 cells where there are 2 columns"),
        ("a,b\n1,2\n1,2,3\n", "data row 2 has 3 cells where there are 2 columns"),
        ("a,b,a\n1,2,3\n", "two columns named 'a'"),
        ("a,b\n1,\0\n", "NUL"),
        ('a,b\n1,"x\n', "is no CSV file"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "is no CSV file"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_table_is_refused(tmp_path, text, match):
    with pytest.raises(ValueError, match=match) as caught:
        table(text, tmp_path)
    assert "t.csv" in str(caught.value)


def test_binary_files_and_folders_are_refused(tmp_path):
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="no CSV file in UTF-8: byte 128 is not text"):
        read_csv(tmp_path / "b.csv")
    with pytest.raises(ValueError, match="is a folder"):
        read_csv(tmp_path)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_a_value_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(data)
    try:
        found = read_csv(path)
    except ValueError:
        return
    assert found.rows and all(len(row) == len(found.columns) for row in found.rows)


# ------------------------------------------------------------------ columns


def rows(**columns) -> Table:
    names = list(columns)
    return Table(
        "t.csv", names, [list(map(str, row)) for row in zip(*columns.values(), strict=True)]
    )


def test_numbers_are_standardised_with_the_training_rows(tmp_path):
    t = rows(a=[1, 3, 1000])
    column = Column.learn(t, "a", np.array([0, 1]))

    assert (column.mean, column.deviation) == (2.0, 1.0)
    np.testing.assert_allclose(column.encode(t)[:, 0], [-1, 1, 998])


def test_held_out_rows_do_not_matter():
    training = np.array([0, 1, 2])
    for cells in ([1, 2, 4, 5], [1, 2, 4, 1e6], ["u", "v", "u", "v"], ["u", "v", "u", "w"]):
        first = Column.learn(rows(a=cells), "a", training)
        cells[3] = 99 if first.levels is None else "other"
        assert Column.learn(rows(a=cells), "a", training) == first


def test_a_constant_column_becomes_zeros():
    for value in (0, 7, 0.1, 1e12):
        t = rows(a=[value] * 30)
        y = Column.learn(t, "a", np.arange(30)).encode(t)
        np.testing.assert_allclose(y, 0, atol=1e-3)


def test_texts_become_rows_of_a_unit_matrix():
    t = rows(a=["red", "blue", "red", "green"])
    column = Column.learn(t, "a", np.array([0, 1, 2]))

    assert column.levels == ["blue", "red"]
    np.testing.assert_array_equal(column.encode(t), [[0, 1], [1, 0], [0, 1], [0, 0]])
    assert column.strangers(t) == ["green"]


def test_text_among_numbers_is_an_error_that_says_where():
    for cell, match in (
        ("n/a", "data row 3 has the text 'n/a'"),
        ("", "data row 3 has an empty cell"),
        ("nan", "has nan in data row 3"),
        ("inf", "has inf in data row 3"),
        ("1_000", "the text '1_000'"),
    ):
        with pytest.raises(ValueError, match=match):
            Column.learn(rows(size=[1, 2, cell, 4]), "size", np.arange(4))


def test_a_column_of_names_is_refused_with_what_to_do():
    t = rows(name=[f"n{i}" for i in range(200)])

    with pytest.raises(
        ValueError, match=r"200 different texts in 200 training rows.*--ignore 'name'"
    ):
        Column.learn(t, "name", np.arange(200))


@pytest.mark.parametrize("cells", [[1e308, 1.5e308, 1.7e308], [1, 2, 1e200]])
def test_numbers_out_of_range_are_refused(cells):
    with pytest.raises(ValueError, match="too large"):
        t = rows(a=cells)
        Column.learn(t, "a", np.array([0, 1])).encode(t)


# ------------------------------------------------------------------ targets


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (["x", "y", "x", "y"], ["x", "y"]),
        (np.array([0.0, 1, 0, 1]), [0, 1]),
        (np.array([3, 5, 3, 5]), [3, 5]),
        (np.array([True, False] * 2), [False, True]),
        (np.array(["u", "v"] * 2), ["u", "v"]),
        (np.array([0.5, 1, 0, 1]), None),
        (np.arange(100.0), None),
        (np.arange(10), None),
        (np.repeat(np.arange(30), 30), None),
    ],
)
def test_classes_and_quantities_are_told_apart(target, classes):
    p = Preprocessing()
    p.learn_target(target, np.arange(len(target)), "auto", "y")

    assert p.classes == classes
    assert json.loads(json.dumps(p.to_json())) == p.to_json()
    encoded = p.encode_target(target)
    answers = p.decode(encoded[:, None] if classes is None else np.eye(len(classes))[encoded])
    if classes is None:
        np.testing.assert_allclose(answers, target, rtol=1e-5, atol=1e-5)
    else:
        assert answers == list(target)


def test_a_task_can_be_chosen():
    p = Preprocessing()
    p.learn_target(np.array([0.0, 1, 0, 1]), np.arange(4), "regression", "y")
    assert p.classes is None and (p.mean, p.deviation) == (0.5, 0.5)
    p.learn_target(np.array([0.5, 1.5, 0.5, 1.5]), np.arange(4), "classification", "y")
    assert p.classes == [0.5, 1.5]


@pytest.mark.parametrize(
    ("target", "training", "task", "match"),
    [
        (["x"] * 4, 4, "auto", "only one class, 'x': there is nothing to tell apart"),
        (np.zeros(4), 4, "auto", "only one class, 0"),
        (["x", "x", "x", "y"], 3, "auto", "only one class in the 3 training rows"),
        (["x", "y", "x", "y"], 4, "regression", "is text: regression needs numbers"),
        (np.array([1, np.nan]), 2, "auto", "NaN or infinity"),
        (
            [f"n{i}" for i in range(60)],
            60,
            "auto",
            "60 different values in 60 rows, too many for classes",
        ),
        (np.linspace(0, 1, 60), 60, "classification", "say --task regression"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(target, training, task, match):
    with pytest.raises(ValueError, match=match):
        Preprocessing().learn_target(target, np.arange(training), task, "y")


# ------------------------------------------------------------------ rows held out


@given(st.integers(10, 200), st.floats(0.1, 0.9), st.integers(0, 5))
def test_rows_are_held_out_once_and_evenly(n, share, seed):
    target = np.arange(n) % 3
    training, held_out = hold_out(target, share, seed)

    assert sorted([*training, *held_out]) == list(range(n))
    assert len(held_out) == round(n * share)
    for c in range(3):
        assert abs((target[held_out] == c).sum() - share * (target == c).sum()) <= 2


def test_the_seed_decides_which_rows_are_held_out():
    target = ["x", "y"] * 50
    a, b, c = (hold_out(target, 0.2, seed)[1].tolist() for seed in (0, 0, 1))

    assert a == b != c


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=r"1 rows are too few to hold out 0.2"):
        hold_out([1], 0.2, 0)


# ------------------------------------------------------------------ all together


def prepared(**columns):
    t = rows(**columns)
    p = Preprocessing(target="y", order=t.columns)
    p.columns = [Column.learn(t, c, np.arange(len(t.rows))) for c in columns if c != "y"]
    return p, t


def test_columns_are_found_by_name_wherever_they_stand():
    p, t = prepared(a=[1, 2, 3], b=["u", "v", "u"], y=[0, 1, 0])
    wanted = p.encode(t)

    moved = rows(extra=["?", "?", "?"], b=["u", "v", "u"], a=[1, 2, 3])

    np.testing.assert_array_equal(p.encode(moved), wanted)
    assert wanted.dtype == np.float32
    with pytest.raises(ValueError, match=r"t.csv has no column 'b'"):
        p.encode(rows(a=[1, 2, 3]))
    with pytest.raises(ValueError, match=r"t.csv has no columns a, b; it has A, c"):
        p.encode(rows(A=[1, 2, 3], c=[1, 2, 3]))
    with pytest.raises(ValueError, match="no column 'a'; did you mean 'A'"):
        p.encode(rows(A=[1, 2, 3], b=[1, 2, 3]))


def test_numbered_columns_move_up_where_the_target_is_left_out(tmp_path):
    t = table("0,10,5\n1,20,6\n0,30,8\n", tmp_path)
    p = Preprocessing(target="0", order=t.columns)
    p.columns = [Column.learn(t, c, np.arange(3)) for c in ("1", "2")]
    wanted = p.encode(t)

    without = table("10,5\n20,6\n30,8\n", tmp_path)

    np.testing.assert_array_equal(p.encode(without), wanted)
    with pytest.raises(
        ValueError, match=r"has no columns 1, 2; it has 0 .its first row holds data"
    ):
        p.encode(table("10\n20\n", tmp_path))


def test_arrays_are_standardised_by_feature_or_as_a_whole():
    x = np.random.default_rng(0).normal(5, 3, (50, 4)) * [1, 10, 100, 0]
    p = Preprocessing()
    p.array_mean, p.array_deviation = tabular.learn_array(x, np.arange(40))
    y = p.encode(x)
    np.testing.assert_allclose(y[:40].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y[:40].std(0), [1, 1, 1, 0], atol=1e-6)
    images = x.reshape(50, 2, 2, 1)
    p.array_mean, p.array_deviation = tabular.learn_array(images, np.arange(40))
    np.testing.assert_allclose(p.encode(images)[:40].std(), 1, rtol=1e-6)


def test_tables_and_arrays_are_not_mixed_up():
    p, t = prepared(a=[1, 2], y=[0, 1])
    with pytest.raises(ValueError, match="trained on a table with named columns"):
        p.encode(np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"trained on arrays, and t.csv is a table"):
        Preprocessing().encode(t)
    with pytest.raises(ValueError, match="expects rows of 3 numbers"):
        Preprocessing(array_mean=[0.0] * 3, array_deviation=[1.0] * 3).encode(np.zeros((2, 4)))


def test_preprocessing_survives_json():
    p, t = prepared(a=[1, 2, 4], b=["u", "v", "u"], y=[0, 1, 0])
    p.classes = [0, 1]

    again = Preprocessing.from_json(json.loads(json.dumps(p.to_json())))

    assert again == p
    np.testing.assert_array_equal(again.encode(t), p.encode(t))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from([*Preprocessing().to_json(), "more", None]), ANY)
def test_any_json_is_preprocessing_or_a_value_error(key, value):
    p, t = prepared(a=[1, 2, 4], y=[0, 1, 0])
    data = value if key is None else p.to_json() | {key: value}
    try:
        made = Preprocessing.from_json(data)
        made.encode(t)
    except ValueError:
        return
    assert isinstance(made, Preprocessing)


@given(st.sampled_from(["name", "levels", "mean", "deviation", "more"]), ANY)
def test_any_json_is_a_column_or_a_value_error(key, value):
    p, t = prepared(a=[1, 2, 4], y=[0, 1, 0])
    data = p.to_json()
    data["columns"][0][key] = value
    try:
        Preprocessing.from_json(data).encode(t)
    except ValueError:
        return
