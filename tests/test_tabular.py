"""Tables become numbers in one way, learned from the training rows alone."""

import gzip
import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import tabular
from backprop.tabular import (
    Column,
    Dates,
    Numbers,
    Preprocessing,
    Table,
    Texts,
    dates,
    hold_out,
    notation,
    read_csv,
)


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
    assert table(",a\n0.5,1\n1.5,2\n", tmp_path).columns == ["column 1", "a"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("\n \n,\n", "is empty"),
        ("a,b\n", "a row of names and no row of data"),
        ("a,b\n1\n", "line 2 has 1 cell where there are 2 columns"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells where there are 2 columns"),
        ("a,b,a\n1,2,3\n", "two columns named 'a', number 1 and 3"),
        ("a,b\n1,\0\n", "NUL"),
        ('a,b\n1,"x\n', "quotation mark in the row of line 2 is never closed"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "a cell in the row of line 2 is too long"),
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not in UTF-8
        try:
            found = read_csv(path)
        except ValueError:
            return
    assert found.rows and all(len(row) == len(found.columns) for row in found.rows)


PANDAS = "{}\n0.5,1,2,3,u\n0.25,1,4,5,v\n0.5,3,2,1,u\n"


@pytest.mark.parametrize("names", ["0,1,2,3,4", "0,1,2,3,target", "0,1,2,kind,target"])
def test_names_that_are_numbers_are_names(tmp_path, names):
    found = table(PANDAS.format(names), tmp_path)

    assert found.columns == names.split(",")
    assert len(found.rows) == 3


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (",0,1\n0,5.1,2\n1,5.2,3\n", 2),  # an array with pandas' index
        ("0,1\n0.5,0.25\n1.5,2.5\n", 2),
        ("0,1,2\n4,7,1\n9,2,3\n", 2),
        ("city,2019,2020\nRome,3,4\nOslo,5,6\n", 2),
        ("0,1,2\n3,4,5\n6,7,8\n", 3),  # np.arange, row by row
        ("0,1\n4,7\n9,2\n", 3),
        ("0,1,setosa\n2,3,setosa\n", 2),
        ("red,round\nblue,round\nred,square\n", 3),  # what repeats itself is no name
        ("2024-01-01,5\n2024-01-02,6\n", 2),
        ('"1,5";"2,5"\n"1,25";"3,5"\n', 2),
        ("1,5;2,5\n1,25;3,5\n", 2),
        ("note,n\na;b,1\nc,2\n", 2),
    ],
)
def test_a_first_row_is_names_or_data(tmp_path, text, rows):
    assert len(table(text, tmp_path).rows) == rows


def test_that_there_are_no_names_is_noticed(tmp_path):
    found = table("1,2\n3,4\n", tmp_path)

    assert "has no row of names: its columns are called 0 to 1" in found.notes[0]
    assert table("a,b\n3,4\n", tmp_path).notes == []


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("cells", ["0 1 2", "3 1 2", "Mazda Fiat Volvo"])
def test_a_column_that_numbers_or_names_the_rows_is_left_out(tmp_path, name, cells):
    lines = [f"{cell},{i % 2}.5,{i}" for i, cell in enumerate(cells.split())]
    found = table("\n".join([f"{name},a,b", *lines]), tmp_path)

    assert found.columns == ["a", "b"] and found.rows[0] == ["0.5", "0"]
    assert "first column" in found.notes[-1]


@pytest.mark.parametrize("first", ["id,a\n0,5\n1,6\n", ",a\n7,5\n7,6\n", ",a\n0.5,5\n1.5,6\n"])
def test_a_column_with_a_name_or_with_equal_cells_is_kept(tmp_path, first):
    assert len(table(first, tmp_path).columns) == 2


TEXT = "name,size\nZürich,1.5\nKöln,2.5\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-16"),
        b"\xef\xbb\xbf" + TEXT.encode(),
        gzip.compress(TEXT.encode()),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\r\n\r\n").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", "|").encode(),
        b"sep=;\n" + TEXT.replace(",", ";").encode(),
        TEXT.replace("\n", ",\n").encode(),
        ("# " + TEXT).encode(),
    ],
    ids=["utf-16", "mark", "gzip", "mac", "windows", "tabs", "bars", "sep=", "trailing", "numpy"],
)
def test_a_table_is_read_however_it_was_written(tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    found = read_csv(tmp_path / "t.csv")

    assert found.columns == ["name", "size"]
    assert found.rows == [["Zürich", "1.5"], ["Köln", "2.5"]]


def test_another_encoding_is_warned_of(tmp_path):
    (tmp_path / "t.csv").write_bytes(TEXT.encode("latin-1"))
    with pytest.warns(UserWarning, match=r"not in UTF-8 .line 2.: it is read as Windows-1252"):
        found = read_csv(tmp_path / "t.csv")

    assert found.rows[0] == ["Zürich", "1.5"]


def test_empty_rows_between_others_are_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="empty rows are left out: line 3$"):
        found = table("a,b\n1,2\n,\n3,4\n,\n", tmp_path)

    assert found.rows == [["1", "2"], ["3", "4"]]


def test_numbers_between_blanks_are_a_table(tmp_path):
    assert table("a  b\n 1   2\n3 4\n", tmp_path).rows == [["1", "2"], ["3", "4"]]
    assert table("note\ntwo words\nmore words\n", tmp_path).columns == ["note"]


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"PAR1", b"\x89HDF", b"\x93NUMPY"])
def test_another_kind_of_file_is_named(tmp_path, head):
    (tmp_path / "t.csv").write_bytes(head + b"...")
    with pytest.raises(ValueError, match=r"t.csv is no CSV file but a"):
        read_csv(tmp_path / "t.csv")


def test_a_place_is_a_line_of_the_file(tmp_path):
    found = table('a,b\n\n"one\ntwo",2\nx,y\n', tmp_path)

    assert [found.place(i) for i in range(2)] == ["line 3", "line 5"]


# ------------------------------------------------------------------ notations

WAYS = [
    ("1,234 5,678", ",", None, [1234, 5678]),
    ("1,234,567 5", ";", None, [1234567, 5]),
    ("12,34,567 1,234", ",", None, [1234567, 1234]),
    ("3,5 1,25", ";", None, [3.5, 1.25]),
    ("0,123 0,456", "\t", None, [0.123, 0.456]),
    ("1.234,5 2", ";", None, [1234.5, 2]),
    ("1.234 2.345", ";", None, [1.234, 2.345]),
    ("1.234 2.345", ";", ",", [1234, 2345]),
    ("1,234 5,678", ";", ".", [1234, 5678]),
    ("1,234 5,678", ";", ",", [1.234, 5.678]),
    ("1_234,5 6", ";", None, [1234.5, 6]),
    ("1'234.5 6", ",", None, [1234.5, 6]),
    ("999 12 1,234", ",", None, [999, 12, 1234]),
    ("12% 3.5_%", ",", None, [12, 3.5]),
    ("$1,234.50 -$5 $7", ",", None, [1234.5, -5, 7]),
    ("USD_5 USD_1,200", ",", None, [5, 1200]),
    ("1.234_€ 5_€", ";", ",", [1234, 5]),
    ("5_kg 6kg", ",", None, [5, 6]),
    ("(5) 6", ",", None, [-5, 6]),
    ("−5 6", ",", None, [-5, 6]),
    ("1e5 2,5e3 2,5", ";", None, [1e5, 2500, 2.5]),
    ("1.5 NA 2", ",", None, [1.5, 2]),
]


@pytest.mark.parametrize(("cells", "delimiter", "decimal", "values"), WAYS, ids=lambda v: str(v))
def test_a_column_says_how_its_numbers_are_written(cells, delimiter, decimal, values):
    cells = [cell.replace("_", " ") for cell in cells.split()]
    found = notation.find(cells, decimal, delimiter)

    assert found is not None
    held = [cell for cell in cells if not notation.is_missing(cell)]
    assert [found.read(cell) for cell in held] == values
    assert notation.Notation.from_json(json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize("cells", ["1,234 5,678", "5,678", "-1,234 1,000"])
def test_what_can_be_read_in_two_ways_is_not_guessed(cells):
    with pytest.raises(notation.AmbiguousError, match=r"say --decimal , or --decimal \."):
        notation.find(cells.split(), None, ";")


@pytest.mark.parametrize(
    "cells", ["red 5", "n1 n2", "5_kg 500_g", "12a 13b", "5-10 10-20", "1.2.3"]
)
def test_what_is_no_column_of_numbers_is_text(cells):
    assert notation.find([cell.replace("_", " ") for cell in cells.split()]) is None


def test_other_columns_tell_what_a_column_leaves_open(tmp_path):
    found = table("a;b\n1,234;0,5\n2,345;1,5\n", tmp_path)
    numbers = Column.learn(found, "a", np.arange(2))

    assert isinstance(numbers, Numbers) and numbers.mean == pytest.approx(1.7895)


def test_numbers_of_another_notation_are_no_numbers_of_the_column():
    way = notation.Notation(",", ".")

    assert [way.read(cell) for cell in ("1.234", "1.5", "1,5", "1,5,5", "5 %")] == [
        1234, None, 1.5, None, None,
    ]  # fmt: skip


# ------------------------------------------------------------------ dates


@pytest.mark.parametrize(
    ("cells", "moment"),
    [
        (["2000-01-03"], 2),
        (["2000/1/3"], 2),
        (["3.1.2000"], 2),
        (["31/12/1999", "01/02/2000"], -1),
        (["12/31/1999", "02/01/2000"], -1),
        (["3 Jan 2000"], 2),
        (["January 3, 2000"], 2),
        (["03-Jan-00"], 2),
        (["2000-02"], 31),
        (["2000-01-03T12:00:00Z"], 2.5),
        (["2000-01-03 14:00:00+02:00"], 2.5),
        (["2000-01-03 12:00"], 2.5),
        (["13/1/2000 6:00 PM"], 12.75),
        (["6:00"], 0.25),
        (["6:00 pm"], 0.75),
    ],
)
def test_dates_and_times_are_read(cells, moment):
    form = dates.find(cells)

    assert form is not None
    assert form.read(cells[0]) == moment * 86_400


def test_day_and_month_are_not_guessed():
    with pytest.raises(notation.AmbiguousError, match="say --dates dmy or --dates mdy"):
        dates.find(["03/04/2024", "05/06/2024"])
    found = dates.find(["03/04/2024"], "mdy")
    assert found is not None and found.read("03/04/2024") == dates.read("2024-03-04", "ymd")


@pytest.mark.parametrize("cells", ["5-10 10-20", "20240131", "555-1234", "1/2", "red", "3.5 1.5"])
def test_what_is_no_column_of_dates_is_none(cells):
    assert dates.find(cells.split()) is None


def test_a_date_becomes_day_season_and_weekday():
    form = dates.Form("ymd", True)
    features = form.features(np.array([form.read("2000-01-03 06:00")], float))

    assert features.shape == (1, form.width) == (1, 12)
    np.testing.assert_allclose(features[0, 0], 2)
    np.testing.assert_allclose(features[0, 3:10], [1, 0, 0, 0, 0, 0, 0])  # it was a Monday
    np.testing.assert_allclose(features[0, 10:], [1, 0], atol=1e-12)
    december, january, june = form.features(
        np.array([form.read(f"2001-{d}") for d in ("12-31", "01-01", "06-30")], float)
    )[:, 1:3]
    assert np.linalg.norm(december - january) < 0.1 < 1.9 < np.linalg.norm(june - january)


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
        cells[3] = "other" if isinstance(first, Texts) else 99
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
        ("x", "line 4 has the text 'x'"),
        ("2-3", "line 4 has the text '2-3'"),
        ("5 kg", "line 4 has the text '5 kg'"),
        ("inf", "has inf in line 4"),
        ("1_000", "the text '1_000'"),
    ):
        with pytest.raises(ValueError, match=match):
            Column.learn(rows(size=[1, 2, cell, 4]), "size", np.arange(4))


@pytest.mark.parametrize("mark", ["", "NA", "nan", "?", "n/a", "NULL", "-"])
def test_missing_numbers_become_the_median_and_are_marked(mark):
    t = rows(size=[1, mark, 2, 9, mark, 50])
    column = Column.learn(t, "size", np.arange(5))

    assert isinstance(column, Numbers) and column.median == 2 and column.marked
    y = column.encode(t)
    np.testing.assert_array_equal(y[:, 1], [0, 1, 0, 0, 1, 0])
    np.testing.assert_allclose(y[:, 0] * column.deviation + column.mean, [1, 2, 2, 9, 2, 50])


def test_a_column_with_most_cells_empty_stays_a_column_of_numbers():
    t = rows(size=["", "", 3, "", 5, ""], day=["", "2024-01-02", "", "", "2024-01-04", ""])

    assert isinstance(Column.learn(t, "size", np.arange(6)), Numbers)
    assert isinstance(Column.learn(t, "day", np.arange(6)), Dates)


def test_numbers_that_are_missing_only_later_are_a_surprise():
    t = rows(size=[1, 2, "", 9])
    column = Column.learn(t, "size", np.array([0, 1, 3]))

    assert column.encode(t).shape == (4, 1)
    assert "no value in line 4" in column.surprises(t)[0]


@pytest.mark.parametrize(
    "data",
    [
        {"name": "a", "levels": None, "mean": 2.0, "deviation": 4.0},
        {"name": "a", "levels": ["1", "2"], "mean": 0.0, "deviation": 1.0},
    ],
)
def test_columns_of_models_saved_before_there_were_kinds_are_read(data):
    column = Column.from_json(data)

    wanted = [[-0.25], [0.0]] if data["levels"] is None else [[1, 0], [0, 1]]
    np.testing.assert_array_equal(column.encode(rows(a=[1, 2])), wanted)
    assert Column.from_json(column.to_json()) == column
    if data["levels"] is None:
        with pytest.raises(ValueError, match="column 'a' has no value in line 2, and the model"):
            column.encode(rows(a=["", 2]))


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
            "60 different texts in 60 rows, too many for classes",
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


def test_a_class_keeps_a_row_to_train_with():
    target = ["a"] * 30 + ["rare"] + ["b"] * 9
    for seed in range(10):
        training, held_out = hold_out(target, 0.5, seed, classes=True)

        assert {target[i] for i in training} == {"a", "b", "rare"}
        assert sorted([*training, *held_out]) == list(range(40))


def test_the_seed_decides_which_rows_are_held_out():
    target = ["x", "y"] * 50
    a, b, c = (hold_out(target, 0.2, seed)[1].tolist() for seed in (0, 0, 1))

    assert a == b != c


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=r"1 row is too few to hold out 0.2"):
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
    p, t = prepared(
        a=[1, 2, 4],
        b=["u", "v", "u"],
        c=["1,5", "", "2,5"],
        d=["2024-01-01", "2024-01-03", "NA"],
        y=[0, 1, 0],
    )
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


@given(
    st.sampled_from(
        ["name", "kind", "levels", "mean", "deviation", "reader", "median", "marked", "more"]
    ),
    ANY,
)
def test_any_json_is_a_column_or_a_value_error(key, value):
    p, t = prepared(a=[1, 2, 4], y=[0, 1, 0])
    data = p.to_json()
    data["columns"][0][key] = value
    try:
        Preprocessing.from_json(data).encode(t)
    except ValueError:
        return


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(notation.NOTATIONS),
    st.sampled_from(["", "%", "$", "US$", "kg", "EUR", "km/h"]),
)
def test_a_number_that_is_written_is_read_again(value, form, unit):
    form = notation.Notation(form.decimal, form.thousands, unit)

    assert form.read(form.write(value)) == value
