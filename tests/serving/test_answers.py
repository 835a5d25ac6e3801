"""What a served model answers is what the model predicts, in the order of the rows."""

import csv
import io
import json
import threading

import numpy as np
import pytest
from servers import COLUMNS, CSV, JSON, LEVELS, house_model, serving_model

import backprop as bp
from backprop import cli, serving, tabular
from backprop.layers import Concatenate, Dense, Embedding, GlobalAveragePooling1D


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def price(folder):
    path = house_model(folder)
    with serving_model(path) as client:
        client.path = path
        yield client


@pytest.fixture(scope="module")
def quality(folder):
    path = house_model(folder, "quality", "quality")
    with serving_model(path) as client:
        client.path = path
        yield client


def table_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predicted(client):
    """What the model of a file says of the table of its name."""
    model, prepared = serving.load(client.path)
    table = tabular.read_csv(client.path.with_suffix(".csv"), known=prepared.order)
    return prepared, model.predict(prepared.encode(table), verbose=0)


def test_rows_of_json_are_answered_as_the_model_predicts_them(price):
    prepared, y = predicted(price)

    said = price.answer({"rows": table_of(price.path.with_suffix(".csv"))})

    assert said["target"] == "price" and said["warnings"] == []
    assert said["predictions"] == prepared.decode(y)


def test_classes_come_with_their_probabilities(quality):
    prepared, y = predicted(quality)

    said = quality.answer(table_of(quality.path.with_suffix(".csv")))  # a bare list will do

    assert said["classes"] == ["bad", "good"]
    assert said["predictions"] == prepared.decode(y)
    assert np.array_equal(np.array(said["probabilities"], np.float32), y)


@pytest.mark.parametrize("served", ["price", "quality"])
def test_csv_is_answered_as_the_command_predict_does(served, request, capsys):
    client = request.getfixturevalue(served)
    path = client.path.with_suffix(".csv")
    assert cli.main(["predict", str(client.path), str(path)]) == 0

    _, headers, said = client.predict(path.read_bytes(), CSV | {"Accept": "text/csv"})

    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert said.decode() == capsys.readouterr().out


def test_numbers_of_json_are_numbers_however_the_column_writes_its_own(price):
    row = dict.fromkeys(COLUMNS) | {COLUMNS[2]: "hill", "share": "12,5 %", "area": "100"}

    texts = price.answer({"rows": [row]})
    numbers = price.answer({"rows": [row | {"share": 12.5, "area": 100}]})

    assert texts == numbers


def test_what_is_missing_is_filled_in_as_in_training_and_said(price):
    row = dict(zip(COLUMNS, [None, None, "moon", "1.2.2024", 3.0], strict=True))

    said = price.answer({"rows": [row]})

    text = f'{",".join(COLUMNS)}\n,NaN,moon,1.2.2024,"3 %"\n'
    by_csv = price.answer(text, CSV)
    assert said["predictions"] == by_csv["predictions"]
    assert any("rows[0]" in w and "'area'" in w for w in said["warnings"])
    assert any("moon" in w for w in by_csv["warnings"])
    _, headers, _ = price.predict(text, CSV | {"Accept": "text/csv"})
    assert json.loads(headers["Backprop-Warnings"]) == by_csv["warnings"]


def test_a_row_may_be_a_list_in_the_order_of_the_table(price):
    (first, *_), order = table_of(price.path.with_suffix(".csv")), [*COLUMNS, "quality"]

    assert price.answer([[first[name] for name in order]]) == price.answer([first])


def test_columns_are_found_by_name_and_others_are_left_alone(price):
    first = table_of(price.path.with_suffix(".csv"))[0]
    turned = dict(reversed(first.items())) | {"another": 5}

    assert price.answer([turned])["predictions"] == price.answer([first])["predictions"]


def test_eight_threads_get_the_bits_of_one(quality):
    rows = table_of(quality.path.with_suffix(".csv"))
    parts = [rows[i : i + 1 + i % 9] for i in range(24)]
    alone = [quality.answer(part) for part in parts]
    found, start = {}, threading.Barrier(8)

    def ask(k):
        start.wait()
        for i in range(k, 24, 8):
            found[i] = quality.answer(parts[i])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [found[i] for i in range(24)] == alone


# ---------------------------------------------------------------------------- arrays


def test_a_model_without_a_table_takes_arrays_by_shape():
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((2, 3)), bp.layers.Flatten(), Dense(2)])
    x = np.random.default_rng(0).normal(size=(5, 2, 3))

    with serving_model(model) as client:
        said = client.answer({"inputs": x.tolist()})
        rows = "\n".join(",".join(map(repr, row)) for row in x.reshape(5, -1).tolist())
        by_csv = client.answer("a,b,c,d,e,f\n" + rows, CSV)
        _, _, out = client.predict({"inputs": x.tolist()}, JSON | {"Accept": "text/csv"})

    y = model.predict(x, verbose=0)
    assert np.array_equal(np.array(said["outputs"], np.float32), y)
    assert by_csv == said
    assert next(csv.reader(io.StringIO(out.decode()))) == ["y0", "y1"]


def test_several_inputs_and_outputs_go_by_their_names():
    bp.utils.set_random_seed(0)
    words, size = bp.Input((None,), dtype="int32", name="words"), bp.Input((2,), name="size")
    read = GlobalAveragePooling1D()(Embedding(9, 4)(words))
    both = Concatenate()([read, size])
    model = bp.Model([words, size], {"kind": Dense(3)(both), "price": Dense(1)(both)})
    x = {"words": [[1, 2, 8], [0, 0, 3]], "size": [[0.5, 1], [2, 3]]}

    with serving_model(model) as client:
        said = client.answer({"inputs": x})["outputs"]
        _, _, schema = client("GET", "/schema")
        beyond = client.error(422, {"inputs": x | {"words": [[1, 9], [1, 2]]}})
        uneven = client.error(422, {"inputs": x | {"words": [[1, 2], [1]]}})
        fewer = client.error(422, {"inputs": x | {"words": [[1, 2]]}})
        half = client.error(422, {"inputs": x | {"words": [[1, 2], [1, 0.5]]}})
        assert client.predict({"inputs": x}, JSON | {"Accept": "text/csv"})[0] == 406
        assert client.predict("a,b\n1,2", CSV)[0] == 415

    y = model.predict([np.array(x["words"]), np.array(x["size"])], verbose=0)
    assert {k: np.array(v, np.float32).tolist() for k, v in said.items()} == {
        k: v.tolist() for k, v in y.items()
    }
    inputs = schema["properties"]["inputs"]["properties"]
    assert inputs["words"]["items"] == {"type": "array", "items": {"type": "integer"}}
    assert inputs["size"]["items"]["minItems"] == 2
    assert "integers from 0 to 8" in beyond["message"]
    assert (uneven["column"], uneven["row"]) == ("words", 1) and "pad" in uneven["expected"]
    assert "'words' has 1" in fewer["message"] and fewer["column"] == "size"
    assert half["expected"] == "a whole number" and "[1][1]" in half["message"]


def test_texts_are_taken_by_a_model_of_texts():
    vectors = bp.layers.TextVectorization()
    vectors.adapt(["a b", "c d"])
    model = bp.Sequential([bp.Input((), dtype="string"), vectors, Embedding(9, 4)])

    with serving_model(model) as client:
        said = client.answer({"inputs": ["a c", "\ud800 b"]})
        error = client.error(422, {"inputs": ["a", 5]})

    y = model.predict(np.array(["a c", "\ud800 b"], object), verbose=0)
    assert np.array_equal(np.array(said["outputs"], np.float32), y)
    assert error["expected"] == "a text" and error["row"] == 1


def test_arrays_are_standardised_as_in_training():
    model = bp.Sequential([bp.Input((2,)), Dense(2, "softmax")])
    prepared = tabular.Preprocessing(target="t", classes=[3, 5], array_deviation=16.0)
    x = np.array([[8.0, 160.0]])

    with serving_model(model, preprocessing=prepared) as client:
        said = client.answer({"inputs": x.tolist()})

    y = model.predict(x / 16, verbose=0)
    assert np.array_equal(np.array(said["probabilities"], np.float32), y)
    assert said["predictions"] == [[3, 5][y[0].argmax()]]


def test_what_is_not_finite_is_null_with_a_warning():
    model = bp.Sequential([bp.Input((1,)), Dense(1, kernel_initializer="ones")])
    model.layers[0].kernel *= 1e10

    with serving_model(model) as client:
        said = client.answer({"inputs": [[1.0], [1e38]]})

    assert said["outputs"] == [[np.float32(1e10)], [None]]
    assert "row 1" in said["warnings"][0]


# ---------------------------------------------------------------------------- in code


def test_the_schema_describes_columns_and_its_example_is_answered(price):
    status, headers, schema = price("GET", "/schema")

    assert status == 200 and headers["Content-Type"] == "application/schema+json"
    row = schema["properties"]["rows"]["items"]
    assert row["required"] == COLUMNS
    assert row["properties"]["area"]["type"] == ["number", "string", "null"]
    assert row["properties"][COLUMNS[2]]["examples"] == sorted(LEVELS)
    assert price.answer(schema["examples"][0])["warnings"] == []
    assert set(schema["$defs"]["answer"]["required"]) == set(price.answer(schema["examples"][0]))


def test_health_names_the_model(price):
    assert price("GET", "/health")[2] == {
        "status": "ok",
        "model": "houses",
        "backprop": bp.__version__,
    }


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (lambda: bp.Sequential([Dense(2)]), {}, "not built"),
        (lambda: 5, {}, "expects a file or a model, got int"),
        (
            lambda: bp.Sequential([bp.Input((2,)), Dense(2)]),
            {"limits": 3},
            "to be a Limits, got int",
        ),
        (
            lambda: bp.Sequential([bp.Input((2,)), Dense(2)]),
            {"preprocessing": {}},
            "as serving.load",
        ),
        (
            lambda: bp.Sequential(
                [bp.Input((2, 3), batch_size=1), bp.layers.LSTM(2, stateful=True)]
            ),
            {},
            "stateful",
        ),
        (lambda: "nowhere.npz", {"preprocessing": {}}, "a file has its own"),
    ],
)
def test_what_cannot_be_served_is_refused(make, options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        serving.app(make(), **options)


def test_a_file_must_be_signed_with_the_key_that_is_given(folder):
    from backprop.saving import SigningKey

    key, other = SigningKey(b"k" * 32), SigningKey(b"o" * 32)
    path = house_model(folder, name="signed", key=key)

    assert serving.app(path, key=key)
    with pytest.raises(ValueError, match="sign"):
        serving.app(path, key=other)
    with pytest.raises(ValueError, match="a model has no signature"):
        serving.app(serving.load(path)[0], key=key)


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"rows": 0}, "rows"),
        ({"seconds": float("nan")}, "seconds"),
        ({"seconds": 0}, "seconds"),
        ({"at_once": 3, "waiting": 2}, "at least at_once=3"),
        ({"bytes": "many"}, "bytes"),
    ],
)
def test_limits_are_positive_numbers(limits, match):
    with pytest.raises((TypeError, ValueError), match=match):
        serving.Limits(**limits)


def test_dates_of_every_order_read_their_own_examples():
    from backprop.serving.columns import written
    from backprop.tabular.dates import ORDERS, Form

    for order in ("", *ORDERS):
        for timed in (True,) if not order else (False, True) if order != "ym" else (False,):
            form = Form(order, timed)
            column = tabular.Dates("when", median=7.5e8 if order else 4e4, reader=form)

            assert form.read(written(column)) is not None, (form, written(column))


def test_a_numbered_table_without_its_target_is_read_by_place(tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(20, 3)).round(3).tolist()
    lines = [",".join(map(str, row)) for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = tabular.read_csv(tmp_path / "t.csv")
    prepared = tabular.Preprocessing(target="0")
    prepared.learn_columns(table, ["1", "2"], np.arange(20))
    model = bp.Sequential([bp.Input((2,)), Dense(1)])
    path = tmp_path / "t.npz"
    bp.saving.save_model(model, path, extra={"preprocessing": prepared.to_json()})
    (tmp_path / "new.csv").write_text("0.5,0.25\n0.125,\n")
    expected = [0.5, 0.25], [0.125, prepared.columns[1].median]

    with serving_model(path) as client:
        by_csv = client.answer("0.5,0.25\n0.125,\n", CSV)
        by_rows = client.answer({"rows": [[0.5, 0.25], [0.125, None]]})
        by_name = client.answer({"rows": [{"1": 0.5, "2": 0.25}, {"1": 0.125, "2": None}]})
    with pytest.warns(UserWarning, match="column '2' has no value in line 2"):
        assert (
            cli.predict.run(
                cli.build_parser().parse_args(["predict", str(path), str(tmp_path / "new.csv")])
            )
            == 0
        )

    encoded = [
        [(v - c.mean) / c.deviation for v, c in zip(row, prepared.columns, strict=True)]
        for row in expected
    ]
    assert np.allclose(by_csv["predictions"], model.predict(np.array(encoded), verbose=0)[:, 0])
    assert by_csv["predictions"] == by_rows["predictions"] == by_name["predictions"]
    assert "line 2" in by_csv["warnings"][0]
