"""The command line: train, predict, check, summary; and one clear line for whatever goes wrong."""

import csv
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import backprop as bp
from backprop import cli
from backprop.layers import Dense

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # a module that a test wrote must not serve the next test
    before = set(sys.modules)
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in {n for n in sys.modules if n.startswith("users_")} - before:
        del sys.modules[name]


class Run:
    def __init__(self, capsys):
        self.capsys = capsys

    def __call__(self, *arguments, warned: bool = False) -> int:
        try:
            status = cli.main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse's way to end
            status = int(stop.code or 0)
        self.out, self.err = self.capsys.readouterr()
        assert warned or status or not self.err, self.err  # where all went well, nothing is said
        return status

    def refused(self, *arguments, match: str) -> None:
        """Exit status 2, one line on stderr, nothing on stdout."""
        assert self(*arguments) == 2, (self.out, self.err)
        assert re.search(match, self.err), self.err
        assert self.err.startswith("backprop: ") and self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        assert self.out == ""


@pytest.fixture
def run(capsys):
    return Run(capsys)


def write_table(name="t.csv", n=60, seed=0, **changes):
    """Rows whose label is whether height > weight, and whose price is linear in the others."""
    rng = np.random.default_rng(seed)
    height, weight = rng.normal(10, 3, n), rng.normal(10, 3, n)
    colour = rng.choice(["red", "green", "blue"], n)
    columns = {
        "height": height.round(3),
        "colour": colour,
        "weight": weight.round(3),
        "label": np.where(height > weight, "tall", "heavy"),
        "price": (3 * height - 2 * weight + 5 * (colour == "red")).round(3),
    } | changes
    columns = {k: v for k, v in columns.items() if v is not None}
    write_rows(name, [list(columns), *zip(*columns.values(), strict=True)])


def write_rows(name, rows):
    with open(name, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def read_rows(name):
    with open(name, newline="") as file:
        return list(csv.reader(file))


def read_column(name, column):
    with open(name, newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


QUICK = ("--epochs", 2, "--quiet", "--layers", "dense 8 relu")


# ------------------------------------------------------------------ train


def test_the_digits_train_for_an_epoch_and_leave_model_and_picture(run):
    assert run("train", "--epochs", 1, "--quiet") == 0, run.err

    assert "1,438 rows to train on, 359 held out, 10 classes" in run.out
    assert re.search(r"test accuracy: 0\.\d{4} \(\d+ of 359 wrong\)", run.out)
    assert "pass: " in run.out and "gradients" in run.out
    assert set(os.listdir()) == {"digits.npz", "digits.png"}
    assert Path("digits.png").read_bytes().startswith(b"\x89PNG")
    model = bp.models.load_model("digits.npz")
    (_, _), (x, y) = bp.datasets.digits.load_data()
    accuracy = model.evaluate(x[..., None] / 16, y, verbose=0)[1]
    assert f"test accuracy: {accuracy:.4f}" in run.out


@pytest.mark.slow
def test_the_digits_are_read_right_in_985_of_1000_cases(run):
    started = time.process_time()  # what the machine does besides does not count
    assert run("train", "--quiet") == 0, run.err
    took = time.process_time() - started

    accuracy = float(re.search(r"test accuracy: (\d\.\d+)", run.out)[1])
    assert accuracy >= 0.985
    assert re.search(r"^pass: \d+ gradients", run.out, re.MULTILINE)
    assert took < 30


def test_a_small_network_takes_one_blas_thread(run, monkeypatch):
    threads = []

    def record(model, *args, **kwargs):
        threads.extend(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")
        raise KeyboardInterrupt

    monkeypatch.setattr(bp.Sequential, "fit", record)
    write_table()
    before = threadpool_info()
    run("train", "t.csv", "--target", "price")

    assert threads and set(threads) == {1}
    assert threadpool_info() == before


def test_the_same_seed_trains_the_same_model(run):
    write_table()
    models = []
    for seed in (5, 5, 6):
        assert (
            run("train", "t.csv", "--target", "label", "--ignore", "price", "--seed", seed, *QUICK)
            == 0
        )
        models.append(bp.models.load_model("t.npz", compile=False).parameters.values)

    np.testing.assert_array_equal(models[0], models[1])
    assert not np.array_equal(models[0], models[2])


def test_classes_are_learned_from_a_table_and_predicted(run):
    write_table(n=300)
    assert (
        run("train", "t.csv", "--target", "label", "--ignore", "price", "--epochs", 30, "--quiet")
        == 0
    )

    assert "240 rows to train on, 60 held out, 2 classes" in run.out
    assert float(re.search(r"test accuracy: (\d\.\d+)", run.out)[1]) > 0.9
    write_table("new.csv", n=100, seed=1)
    assert run("predict", "t.npz", "new.csv") == 0
    rows = list(csv.DictReader(run.out.splitlines()))
    truth = read_column("new.csv", "label")
    assert list(rows[0]) == ["label", "p(heavy)", "p(tall)"]
    assert np.mean([row["label"] == t for row, t in zip(rows, truth, strict=True)]) > 0.9
    for row in rows:
        p = {label: float(row[f"p({label})"]) for label in ("heavy", "tall")}
        assert row["label"] == max(p, key=lambda label: p[label])
        assert abs(sum(p.values()) - 1) < 1e-5


def test_a_quantity_is_learned_from_a_table_and_predicted_in_its_unit(run):
    write_table(n=300)
    assert (
        run("train", "t.csv", "--target", "price", "--ignore", "label", "--epochs", 60, "--quiet")
        == 0
    )

    assert "regression of 'price'" in run.out
    assert float(re.search(r"R2 (\S+)", run.out)[1]) > 0.95
    write_table("new.csv", n=50, seed=1, price=None)
    assert run("predict", "t.npz", "new.csv", "--output", "answers.csv") == 0
    assert run.out == "predictions: answers.csv (50 rows)\n"
    answers = list(map(float, read_column("answers.csv", "price")))
    write_table("new.csv", n=50, seed=1)
    truth = list(map(float, read_column("new.csv", "price")))
    assert np.corrcoef(answers, truth)[0, 1] > 0.97
    assert abs(np.mean(answers) - np.mean(truth)) < 3


def test_arrays_are_learned_and_predicted(run):
    x = RNG.normal(50, 20, (200, 4)).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(int)
    np.savez("d.npz", x=x, y=y)
    assert run("train", "d.npz", "--epochs", 30, "--quiet") == 0, run.err

    assert float(re.search(r"test accuracy: (\d\.\d+)", run.out)[1]) > 0.85
    assert "model: d_model.npz" in run.out  # not over the data
    assert run("predict", "d_model.npz", "d.npz") == 0
    found = [int(row["y"]) for row in csv.DictReader(run.out.splitlines())]
    assert np.mean(np.array(found) == y) > 0.85
    np.savetxt("d.csv", x, delimiter=",")
    assert run("predict", "d_model.npz", "d.csv") == 0
    assert [int(row["y"]) for row in csv.DictReader(run.out.splitlines())] == found


def test_images_keep_their_shape(run):
    np.savez("d.npz", pixels=RNG.random((40, 6, 6, 1)), digit=np.array(["a", "b"] * 20))
    spec = "conv 4 3 relu, maxpool 2, batchnorm, flatten"

    assert (
        run("train", "d.npz", "--target", "digit", "--layers", spec, "--epochs", 1, "--quiet") == 0
    ), run.err
    assert run("summary", "d_model.npz") == 0
    assert "Conv2D" in run.out and 'predicts \'digit\': classes ["a", "b"]' in run.out


def test_held_out_rows_do_not_influence_the_model(run):
    n = 50
    write_table("a.csv", n=n)
    rows = read_rows("a.csv")
    price = [float(row[4]) for row in rows[1:]]
    _, held_out = cli.tabular.hold_out(price, 0.2, 0)
    for i in held_out:
        rows[i + 1][0] = "1000000"
        rows[i + 1][1] = "a colour that training never sees"
    write_rows("b.csv", rows)
    found = []
    for name in "ab":
        arguments = ("--target", "price", "--ignore", "label", "--output", f"{name}.npz")
        assert run("train", f"{name}.csv", *arguments, *QUICK) == 0, run.err
        model, extra = bp.saving.read_model(f"{name}.npz")
        found.append((model.parameters.values, extra))

    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_options_reach_the_training(run):
    write_table()
    assert run(
        "train", "t.csv", "--target", "label", "--ignore", "price", "--ignore", "colour",
        "--layers", "dense 5 gelu, dropout rate=0.2, layernorm, leaky_relu", "--optimizer", "sgd",
        "--learning-rate", 0.5, "--schedule", "constant", "--epochs", 3, "--batch-size", 7,
        "--held-out", 0.5, "--output", "m.npz", "--picture", "m.svg",
    ) == 0, run.err  # fmt: skip

    model, extra = bp.saving.read_model("m.npz")
    assert [type(layer).__name__ for layer in model.layers] == [
        "Dense", "Dropout", "LayerNormalization", "LeakyReLU", "Dense",
    ]  # fmt: skip
    assert model.layers[0].units == 5 and model.layers[1].rate == 0.2
    assert model.optimizer.learning_rate == 0.5
    assert model.optimizer.iterations == 3 * -(-30 // 7)
    assert [c["name"] for c in extra["preprocessing"]["columns"]] == ["height", "weight"]
    assert "30 rows to train on, 30 held out" in run.out
    assert "Epoch 3/3" in run.out
    assert Path("m.svg").read_text().startswith("<?xml")


def test_the_learning_rate_warms_up_and_falls(run):
    write_table()
    assert run("train", "t.csv", "--target", "price", "--learning-rate", 0.1, *QUICK) == 0

    rate = bp.models.load_model("t.npz").optimizer._arguments["learning_rate"]
    steps = 2 * -(-48 // 32)
    assert type(rate).__name__ == "CosineDecay"
    assert rate(steps) == 0
    assert max(rate(i) for i in range(steps)) <= 0.1


def test_lbfgs_takes_all_rows_at_once(run):
    write_table()
    assert (
        run("train", "t.csv", "--target", "price", "--optimizer", "lbfgs", "--epochs", 5, "--quiet")
        == 0
    )
    run.refused(
        "train",
        "t.csv",
        "--target",
        "price",
        "--optimizer",
        "lbfgs",
        "--learning-rate",
        1,
        match="its own step",
    )


def test_whole_numbers_are_classes_unless_said_otherwise(run):
    write_table(label=RNG.integers(0, 3, 60))
    assert run("train", "t.csv", "--target", "label", *QUICK) == 0
    assert "3 classes" in run.out
    assert run("train", "t.csv", "--target", "label", "--task", "regression", *QUICK) == 0
    assert "regression of 'label'" in run.out


def test_without_matplotlib_there_is_no_picture_and_no_error(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write_table()

    assert run("train", "t.csv", "--target", "price", *QUICK) == 0
    assert 'no picture: a picture needs matplotlib: pip install "backprop[plot]"' in run.out
    assert Path("t.npz").exists() and not Path("t.png").exists()


def test_a_model_may_be_trained_again_over_itself(run):
    write_table()
    for _ in range(2):
        assert run("train", "t.csv", "--target", "price", *QUICK) == 0


# ------------------------------------------------------------------ train: what goes wrong


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--epochs", "0"], "--epochs expects at least 1, got 0"),
        (["--batch-size", "-1"], "--batch-size expects at least 1, got -1"),
        (["--seed", "-1"], "--seed expects at least 0, got -1"),
        (["--held-out", "1"], "--held-out expects a share between 0 and 1, got 1.0"),
        (["--held-out", "nan"], "--held-out expects a share"),
        (["--held-out", "0.001"], "60 rows are too few to hold out 0.001"),
        (["--learning-rate", "0"], "--learning-rate expects a positive number"),
        (["--learning-rate", "inf"], "--learning-rate expects a positive number"),
        (["--optimizer", "adan"], "unknown optimizer 'adan'; did you mean 'adam'"),
        (["--task", "guess"], "argument --task: invalid choice: 'guess'"),
        (["--schedule", "step"], "argument --schedule: invalid choice: 'step'"),
        (
            ["--task", "regression", "--target", "label"],
            "'label' is text: regression needs numbers",
        ),
        (["--target", "prise"], "t.csv has no column 'prise'; did you mean 'price'"),
        (["--ignore", "hight"], "t.csv has no column 'hight'; did you mean 'height'"),
        (
            ["--ignore", "height", "--ignore", "colour", "--ignore", "weight", "--ignore", "label"],
            "no column to learn",
        ),
        (["--layers", "dense 8 rellu"], r"--layers: 'dense 8 rellu'"),
        (["--layers", "dens 8"], "--layers: unknown layer 'dens'; did you mean 'dense'"),
        (["--layers", "dense 8,, relu"], "--layers has an empty entry"),
        (["--layers", "dense"], "--layers: 'dense': .*units"),
        (["--layers", "dense -3"], "--layers: 'dense -3'"),
        (["--layers", "dense 8 unitz=3"], "no argument 'unitz'; did you mean 'units'"),
        (["--layers", "dropout 2"], "--layers: 'dropout 2'"),
        (["--layers", "conv2d 4 3"], r"in layer 0 of t: Conv2D\(4, 3\), given \(7,\)"),
        (
            ["--layers", "dense 10000000000000"],
            "not enough memory|too large|array is too big|Unable to allocate",
        ),
        (["--output", "model.h5"], "name it 'model.npz'"),
        (["--output", "no/such/model.npz"], "there is no folder 'no/such' to write model.npz"),
        (["--output", "folder.npz"], "'folder.npz' is a folder"),
        (["--output", "data.npz"], "'data.npz' exists and is no model of backprop"),
        (["--picture", "curve.doc"], "--picture expects a name that ends in .png, .svg, .pdf"),
        (["--picture", "no/curve.png"], "there is no folder 'no' to write curve.png"),
        (
            ["--epochz", "3"],
            r"--epochz 3; did you mean '--epochs'\? .see backprop train --help",
        ),
        (["--epochz=3"], "did you mean '--epochs'"),
        (["more.csv"], "unrecognized arguments: more.csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_of_train_is_one_clear_line(run, arguments, match):
    write_table()
    Path("folder.npz").mkdir()
    np.savez("data.npz", x=np.zeros(3))
    before = Path("data.npz").read_bytes()

    target = [] if "--target" in arguments else ["--target", "price"]
    run.refused("train", "t.csv", *target, "--quiet", *arguments, match=match)
    assert set(os.listdir()) == {"t.csv", "folder.npz", "data.npz"}
    assert Path("data.npz").read_bytes() == before


@pytest.mark.parametrize("option", ["--target", "--ignore", "--task=auto", "--held-out=0.5"])
def test_options_of_a_table_need_one(run, option):
    option, _, value = option.partition("=")
    run.refused("train", option, value or "x", match=f"{option} needs a data file")


def test_a_csv_needs_a_target(run):
    write_table()
    run.refused(
        "train", "t.csv", match="say which column to predict: --target, one of height, colour"
    )


TABLES = {
    "empty file": ("", "t.csv is empty"),
    "header only": ("a,y\n", "a row of names and no row of data"),
    "ragged": ("a,y\n1,2\n3\n", "data row 2 has 1 cells where there are 2 columns"),
    "duplicate names": ("a,a,y\n1,2,3\n", "two columns named 'a'"),
    "text in a number column": ("a,y\n1,2\nx,3\n4,5\n6,7\n8,9\n", "row 2 has the text 'x'"),
    "empty cell": ("a,y\n1,2\n,3\n4,5\n6,7\n8,9\n", "data row 2 has an empty cell"),
    "NaN cell": ("a,y\n1,2\nnan,3\n4,5\n6,7\n8,9\n", "column 'a' has nan in data row 2"),
    "NaN target": ("a,y\n1,2\n2,nan\n4,5\n6,7\n8,9\n", "column 'y' has nan in data row 2"),
    "empty target": ("a,y\n1,u\n2,\n4,v\n6,u\n8,v\n", "target 'y' has an empty cell in data row 2"),
    "text in a number target": ("a,y\n1,2\n2,x\n4,5\n6,7\n8,9\n", "row 2 has the text 'x'"),
    "one class": ("a,y\n1,u\n2,u\n3,u\n4,u\n5,u\n", "one class, 'u': there is nothing to tell"),
    "one number": ("a,y\n1,7\n2,7\n3,7\n4,7\n5,7\n", "only one class, 7"),
    "one row": ("a,y\n1,2\n", "1 rows are too few"),
    "huge numbers": ("a,y\n1e300,2\n-1e308,3\n4,5\n6,7\n8,9\n", "too large"),
    "no target": ("a,b\n1,2\n3,4\n", "t.csv has no column 'y'"),
    "only the target": ("y\n1\n2\n3\n4\n5\n", "no column to learn from beside 'y'"),
    "texts like names": ("a,y\n" + "".join(f"n{i},{i}\n" for i in range(99)), "79 different texts"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_a_bad_table_is_one_clear_line(run, case):
    text, match = TABLES[case]
    Path("t.csv").write_text(text)

    run.refused("train", "t.csv", "--target", "y", *QUICK, match=match)
    assert os.listdir() == ["t.csv"]


def test_what_is_no_table_is_one_clear_line(run):
    Path("binary.csv").write_bytes(bytes(range(256)) * 4)
    Path("folder.csv").mkdir()
    Path("folder.npz").mkdir()
    Path("text.npz").write_text("a,b\n1,2\n")
    Path("empty.npz").write_bytes(b"")
    np.save("lone.npy", np.zeros(3))
    Path("lone.npy").rename("lone.npz")
    write_table("real.csv")
    Path("noread.csv").symlink_to("nowhere")

    for name, match in {
        "binary.csv": "is no CSV file in UTF-8",
        "folder.csv": "is a folder",
        "folder.npz": "is a folder",
        "text.npz": "text.npz (is no .npz file|cannot be read as arrays)",
        "empty.npz": "empty.npz (is no .npz file|cannot be read as arrays)",
        "lone.npz": "lone.npz is no .npz file",
        "rael.csv": "no file 'rael.csv'; did you mean 'real.csv'",
        "no/such.csv": "no file 'no/such.csv'",
        "noread.csv": "no file 'noread.csv'",
    }.items():
        run.refused("train", name, "--target", "y", "--output", "m.npz", *QUICK, match=match)


ARRAYS = {
    "no y": (
        {"x": np.zeros((5, 2)), "z": np.zeros(5)},
        "has no array 'y'; did you mean|has no array 'y'; it has x, z",
    ),
    "only y": (
        {"y": np.zeros(5)},
        "should have one array beside 'y', or one named 'x'; it has none",
    ),
    "two others": ({"a": np.zeros((5, 2)), "b": np.zeros(5), "y": np.zeros(5)}, "it has a, b"),
    "objects": (
        {"x": np.array([[1], ["a"]], object), "y": np.zeros(2)},
        "cannot be read as arrays of numbers",
    ),
    "complex": ({"x": np.zeros((5, 2), complex), "y": np.arange(5)}, "dtype complex128"),
    "text": ({"x": np.array([["a"], ["b"]]), "y": np.arange(2)}, "'x' has dtype <U1, and numbers"),
    "lengths": (
        {"x": np.zeros((5, 2)), "y": np.zeros(4)},
        r"'x' has shape \(5, 2\) and 'y' \(4,\)",
    ),
    "one axis": ({"x": np.zeros(5), "y": np.zeros(5)}, r"expected \(n, ...\) and \(n,\)"),
    "two targets": (
        {"x": np.zeros((5, 2)), "y": np.zeros((5, 2))},
        r"expected \(n, ...\) and \(n,\)",
    ),
    "NaN": ({"x": np.full((5, 2), np.nan), "y": np.arange(5)}, "'x' holds NaN or infinity"),
    "NaN target": ({"x": np.zeros((5, 2)), "y": np.full(5, np.nan)}, "target 'y' holds NaN"),
    "no rows": ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, "is empty"),
    "no columns": ({"x": np.zeros((5, 0)), "y": np.zeros(5)}, "is empty"),
    "one class": ({"x": np.zeros((5, 2)), "y": np.ones(5)}, "only one class, 1"),
    "a number": ({"x": np.zeros((5, 2)), "y": np.array(3)}, r"'y' \(\)"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_bad_arrays_are_one_clear_line(run, case):
    arrays, match = ARRAYS[case]
    np.savez("d.npz", **arrays)

    run.refused("train", "d.npz", *QUICK, match=match)
    assert os.listdir() == ["d.npz"]


def test_columns_cannot_be_left_out_of_arrays(run):
    np.savez("d.npz", x=np.zeros((20, 2)), y=[0, 1] * 10)
    run.refused(
        "train", "d.npz", "--ignore", "x", *QUICK, match="--ignore is for the columns of a CSV file"
    )


# ------------------------------------------------------------------ predict


@pytest.fixture
def trained(run):
    write_table(n=80)
    assert run("train", "t.csv", "--target", "label", "--ignore", "price", *QUICK) == 0
    return "t.npz"


def answers(run, *arguments):
    assert run("predict", *arguments) == 0, run.err
    return run.out


def test_predict_finds_columns_by_name(run, trained):
    write_table("new.csv", n=10, seed=3)
    wanted = answers(run, trained, "new.csv")
    rows = read_rows("new.csv")
    reordered = [[row[2], "extra", row[1], row[0]] for row in rows]  # no target, another order
    write_rows("other.csv", reordered)

    assert answers(run, trained, "other.csv") == wanted
    assert len(wanted.splitlines()) == 11


def test_predict_counts_unknown_texts_as_none_and_says_so(run, trained):
    write_table("new.csv", n=3, colour=["red", "purple", "Red"])

    assert run("predict", trained, "new.csv", warned=True) == 0
    assert run.err == (
        "backprop: warning: column 'colour' has texts that training never saw, which count as none "
        "of those it knows: Red, purple\n"
    )


def test_predict_refuses_what_does_not_fit(run, trained):
    write_table("new.csv", n=3, height=None)
    run.refused("predict", trained, "new.csv", match="new.csv has no column 'height'")
    write_table("new.csv", n=3, height=["1", "x", "2"])
    run.refused(
        "predict",
        trained,
        "new.csv",
        match="column 'height' holds numbers, but data row 2 has the text 'x'",
    )
    np.savez("new.npz", x=np.zeros((3, 2)))
    run.refused("predict", trained, "new.npz", match="trained on a table with named columns")
    Path("empty.csv").write_text("")
    run.refused("predict", trained, "empty.csv", match="empty.csv is empty")
    run.refused("predict", trained, "nothing.csv", match="no file 'nothing.csv'")
    run.refused("predict", "nothing.npz", "t.csv", match="no file 'nothing.npz'")
    run.refused("predict", "t.csv", "t.csv", match=r"reads .npz files, got 't.csv'")
    np.savez("data.npz", x=np.zeros((3, 2)))
    run.refused(
        "predict",
        "data.npz",
        "t.csv",
        match="'data.npz': it has no header, so it is no file of backprop",
    )
    write_table("new.csv", n=3)
    run.refused(
        "predict", trained, "new.csv", "--output", "no/such.csv", match="there is no folder 'no'"
    )
    for name in (trained, "new.csv"):
        run.refused(
            "predict", trained, "new.csv", "--output", name, match="would overwrite what is read"
        )
    run.refused(
        "predict",
        trained,
        "new.csv",
        "--outptu",
        "x",
        match="did you mean '--output'. .see backprop predict",
    )


def test_predict_applies_a_model_from_python(run):
    model = bp.Sequential([bp.Input((2,)), Dense(3)])
    model.save("m.npz")
    x = RNG.normal(size=(4, 2)).astype(np.float32)
    np.savez("x.npz", x=x)
    np.savetxt("x.csv", x, delimiter=",")

    found = np.loadtxt(answers(run, "m.npz", "x.npz").splitlines()[1:], delimiter=",")
    assert run.out.startswith("y0,y1,y2\n")
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5)
    assert answers(run, "m.npz", "x.csv") == answers(run, "m.npz", "x.npz")
    np.savez("x.npz", x=np.zeros((4, 3)))
    run.refused(
        "predict", "m.npz", "x.npz", match=r"built for inputs of shape \(2,\) and got \(3,\)"
    )
    np.savez("x.npz", x=np.array(["a"]))
    run.refused("predict", "m.npz", "x.npz", match="numbers were expected")
    np.savez("x.npz")
    run.refused("predict", "m.npz", "x.npz", match="holds no array of rows")


def test_predict_reads_digits_as_rows_of_pixels(run):
    assert run("train", "--quiet", "--epochs", 1, "--layers", "flatten, dense 16 relu") == 0
    (_, _), (x, _) = bp.datasets.digits.load_data()
    np.savetxt("pixels.csv", x.reshape(len(x), -1)[:20], fmt="%d", delimiter=",")
    np.savez("pixels.npz", x=x[:20])

    assert answers(run, "digits.npz", "pixels.csv") == answers(run, "digits.npz", "pixels.npz")
    assert run.out.splitlines()[0].split(",")[:2] == ["digit", "p(0)"]


def test_a_damaged_model_is_one_clear_line(run, trained):
    data = bytearray(Path(trained).read_bytes())
    data[len(data) // 2] ^= 255
    Path(trained).write_bytes(bytes(data))
    for command in (["predict", trained, "t.csv"], ["check", trained], ["summary", trained]):
        run.refused(*command, match=r"'t.npz'.*damaged")
    Path(trained).write_bytes(bytes(data[:1000]))
    run.refused("summary", trained, match="damaged or no file of backprop")


def test_made_up_preprocessing_is_one_clear_line(run, trained):
    model, extra = bp.saving.read_model(trained)
    extra["preprocessing"]["columns"][0]["levels"] = 3
    bp.saving.save_model(model, trained, extra=extra)

    run.refused("predict", trained, "t.csv", match="a column is described by")


# ------------------------------------------------------------------ check


def test_check_certifies_a_model_file(run, trained):
    assert run("check", trained) == 0, run.out
    assert re.search(r"^pass: \d+ gradients", run.out, re.MULTILINE)
    assert run("check", trained, "--input", "2,5") == 0
    assert "(2, 5)" in run.out


def test_check_certifies_a_layer_by_name(run):
    assert (
        run(
            "check",
            "backprop.layers:Dense",
            "--input",
            "5,8",
            "--config",
            "units=3",
            "activation=tanh",
        )
        == 0
    )
    assert "(8, 3)" in run.out
    assert (
        run(
            "check",
            "backprop.layers:Conv2D",
            "--input",
            "2,6,6,3",
            "--config",
            "filters=2",
            "kernel_size=3x2",
        )
        == 0
    )
    assert "(3, 2, 3, 2)" in run.out
    assert (
        run(
            "check",
            "backprop.layers:Embedding",
            "--input",
            "2,4",
            "--config",
            "input_dim=9",
            "output_dim=2",
        )
        == 0
    )
    assert "skipped: x: integers have no gradient" in run.out


USER = '''
from backprop.layer import INFERENCE, Layer
import numpy as np


class Right(Layer):
    def forward(self, x, ctx=INFERENCE):
        return x * x, x

    def backward(self, dy, x):
        return 2 * x * dy


class Wrong(Right):
    def backward(self, dy, x):
        return x * dy


class Jump(Right):
    """Noise that is not repeated."""
    def forward(self, x, ctx=INFERENCE):
        return x * x + np.random.default_rng().random(), x


class Broken(Right):
    def forward(self, x, ctx=INFERENCE):
        return {}["missing"], x


other = 3
'''


def test_check_judges_a_layer_of_the_users(run):
    Path("users_layers.py").write_text(USER)
    found = {
        name: run("check", f"users_layers:{name}", "--input", "3,4")
        for name in ("Right", "Wrong", "Jump")
    }

    assert found == {"Right": 0, "Wrong": 1, "Jump": 3}


def test_check_refuses_what_it_cannot_check(run, trained):
    Path("users_layers.py").write_text(USER)
    Path("users_typo.py").write_text("def f(:\n")
    for arguments, match in (
        (["backprop.layers:Dense", "--input", "5,8"], "units"),
        (
            ["backprop.layers:Dense", "--config", "units=3"],
            "needs --input, its input's shape with the batch",
        ),
        (
            ["backprop.layers:Dense", "--input", "5,8", "--config", "units"],
            "--config expects NAME=VALUE, got 'units'",
        ),
        (
            ["backprop.layers:Dense", "--input", "5,8", "--config", "unitz=3"],
            "did you mean 'units'",
        ),
        (
            ["backprop.layers:Dense", "--input", "5x8", "--config", "units=3"],
            "--input expects positive integers",
        ),
        (
            ["backprop.layers:Dense", "--input", "0,8", "--config", "units=3"],
            "--input expects positive integers",
        ),
        (
            ["backprop.layers:Dens", "--input", "5,8"],
            "backprop.layers has no 'Dens'; did you mean 'Dense'",
        ),
        (["backprop.layerz:Dense", "--input", "5,8"], "cannot import 'backprop.layerz'"),
        (
            ["nothing", "--input", "5,8"],
            "expected a model file .* or package.module:Layer, got 'nothing'",
        ),
        ([":Dense", "--input", "5,8"], "expected a model file"),
        (["..users:Dense", "--input", "5,8"], "."),
        (["users_layers:other", "--input", "5,8"], "makes a int, which is no Layer"),
        (["users_layers:Broken", "--input", "5,8"], "KeyError: 'missing' .--debug shows where"),
        (["users_typo:f", "--input", "5,8"], "SyntaxError"),
        (["backprop.losses:MeanSquaredError", "--input", "5,8"], "."),
        ([trained, "--config", "units=3"], "--config is for a layer"),
        ([trained, "--input", "5,9"], r"built for inputs of shape \(5,\) and got \(9,\)"),
        ([trained, "--seed", "-1"], "--seed expects at least 0"),
        (["nothing.npz"], "no file 'nothing.npz'"),
    ):
        run.refused("check", *arguments, match=match)


def test_summary_shows_layers_and_what_is_predicted(run, trained):
    assert run("summary", trained) == 0

    assert "dense (Dense)" in run.out and "Total params: 66" in run.out
    assert 'predicts \'label\': classes ["heavy", "tall"]' in run.out
    assert "from height, colour, weight" in run.out


# ------------------------------------------------------------------ the command itself


def test_without_a_command_the_usage_is_shown(run):
    assert run() == 2
    assert run.err.startswith("usage: backprop") and "train a network" in run.err
    assert run.out == ""


@pytest.mark.parametrize("command", [[], ["train"], ["predict"], ["check"], ["summary"]])
def test_help_is_help(run, command):
    assert run(*command, "--help") == 0
    assert run.out.startswith(" ".join(["usage: backprop", *command]))
    assert run.err == ""


def test_the_version_is_the_librarys(run):
    assert run("--version") == 0
    assert run.out == f"backprop {bp.__version__}\n"


def test_a_misspelt_command_or_option_names_the_nearest(run):
    run.refused(
        "trian", match=r"unknown command 'trian'; did you mean 'train'\? .see backprop --help"
    )
    run.refused("--verison", match="did you mean '--version'|required")
    run.refused(
        "summary", match="the following arguments are required: model .see backprop summary --help"
    )
    run.refused("check", "x.npz", "--inptu", "3", match="did you mean '--input'")


@pytest.mark.parametrize("order", ["before", "after"])
def test_debug_shows_the_traceback(order):
    arguments = ["summary", "nothing.npz"]
    arguments = ["--debug", *arguments] if order == "before" else [*arguments, "--debug"]
    with pytest.raises(FileNotFoundError):
        cli.main(arguments)


def test_an_interruption_is_no_traceback(run, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(bp.Sequential, "fit", interrupt)
    write_table()

    assert run("train", "t.csv", "--target", "price", *QUICK) == 130
    assert run.err == "backprop: interrupted\n"
    assert os.listdir() == ["t.csv"]


def test_warnings_are_one_line(run, monkeypatch):
    def warn(*args, **kwargs):
        warnings.warn("two\nlines", stacklevel=1)
        raise ValueError("three\nmore\nlines")

    monkeypatch.setattr(cli, "load", warn)
    assert run("summary", "x.npz") == 2
    assert run.err == "backprop: warning: two lines\nbackprop: three more lines\n"


# ------------------------------------------------------------------ as a process


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "backprop", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **options,
    )


def test_a_process_ends_with_the_status_and_the_line():
    done = process("summary", "nothing.npz")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "backprop: no file 'nothing.npz'\n"
    assert process().returncode == 2
    done = process("train", "--epochz", "3")
    assert done.returncode == 2 and "did you mean '--epochs'" in done.stderr


def test_help_loads_neither_scipy_nor_matplotlib():
    code = """
        import sys
        from backprop.cli import main
        try:
            main(["train", "--help"])
        except SystemExit:
            pass
        heavy = {"scipy", "matplotlib", "pandas"} & {name.partition(".")[0] for name in sys.modules}
        assert not heavy, heavy
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0


def test_ctrl_c_ends_a_training_with_130_and_no_traceback():
    child = subprocess.Popen(
        [sys.executable, "-m", "backprop", "train", "--epochs", "9999", "--layers", "flatten"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("Epoch 1"):
            break
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)

    assert child.returncode == 130
    assert err == "backprop: interrupted\n"
    assert os.listdir() == []


@pytest.mark.skipif(os.name == "nt", reason="a shell's pipe")
def test_a_reader_who_has_had_enough_is_no_error():
    np.savez("x.npz", x=np.zeros((50_000, 2)))
    bp.Sequential([bp.Input((2,)), Dense(3)]).save("m.npz")
    done = subprocess.run(
        f"'{sys.executable}' -m backprop predict m.npz x.npz | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert (done.stdout, done.stderr) == ("y0,y1,y2\n", "")
