"""The command line, command by command; and one clear line for whatever goes wrong."""

import csv
import importlib
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
from backprop import cli, tabular
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


def test_the_digits_are_read_after_two_epochs_which_leave_model_picture_and_page(run):
    assert run("train", "--epochs", 2, "--quiet") == 0, run.err

    assert "1,438 rows to train on, 359 held out, 10 classes" in run.out
    assert re.search(r"test accuracy: 0\.\d{4} \(\d+ of 359 wrong\)", run.out)
    assert "pass: " in run.out and "gradients" in run.out
    assert set(os.listdir()) == {"digits.npz", "digits.png", "digits.html"}
    assert Path("digits.png").read_bytes().startswith(b"\x89PNG")
    model = bp.models.load_model("digits.npz")
    (_, _), (x, y) = bp.datasets.digits.load_data()
    accuracy = model.evaluate(x[..., None] / 16, y, verbose=0)[1]
    assert f"test accuracy: {accuracy:.4f}" in run.out
    assert accuracy > 0.93


@pytest.mark.slow
def test_the_digits_are_read_right_in_985_of_1000_cases(run):
    started = time.process_time()  # what the machine does besides does not count
    assert run("train") == 0, run.err
    took = time.process_time() - started

    accuracy = float(re.search(r"test accuracy: (\d\.\d+)", run.out)[1])
    assert accuracy >= 0.985
    curve = [float(value) for value in re.findall(r"val_accuracy: (\d\.\d+)", run.out)]
    assert len(curve) == 25 and curve[0] > 0.85 and min(curve[3:]) > 0.95
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


def test_an_interrupted_training_goes_on_from_its_backup(run, monkeypatch):
    write_table()
    command = ("train", "t.csv", "--target", "label", "--ignore", "price", "--epochs", 6)
    end = bp.callbacks.HTMLReport.on_epoch_end

    def interrupt(self, epoch, logs=None):
        end(self, epoch, logs)
        if epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bp.callbacks.HTMLReport, "on_epoch_end", interrupt)
        assert run(*command, "--backup", "kept") == 130
    assert os.listdir("kept") and not Path("t.npz").exists()

    assert run(*command, "--backup", "kept") == 0

    assert "Epoch 4/6" in run.out and "Epoch 3/6" not in run.out
    assert not Path("kept").exists()
    gone_on = bp.models.load_model("t.npz", compile=False).parameters.values
    run(*command)
    assert np.array_equal(bp.models.load_model("t.npz", compile=False).parameters.values, gone_on)


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
    _, held_out = tabular.hold_out(price, 0.2, 0)
    for i in held_out:
        rows[i + 1][0] = "1000000"
        rows[i + 1][1] = "a colour that training never sees"
    write_rows("b.csv", rows)
    found = []
    for name in "ab":
        arguments = ("--target", "price", "--ignore", "label", "--output", f"{name}.npz")
        assert run("train", f"{name}.csv", *arguments, *QUICK) == 0, run.err
        model, extra = bp.saving.models.read_model(f"{name}.npz")
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

    model, extra = bp.saving.models.read_model("m.npz")
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


def test_a_model_may_be_trained_again_over_itself_and_it_is_said(run):
    write_table()
    assert run("train", "t.csv", "--target", "price", *QUICK) == 0
    assert "replaced" not in run.out

    assert run("train", "t.csv", "--target", "price", *QUICK) == 0

    for name in ("t.npz", "t.png"):
        assert re.search(rf"^note: {name} of \d{{4}}-\d\d-\d\d \d\d:\d\d will be", run.out, re.M)


def test_a_picture_of_somebody_elses_is_never_overwritten(run):
    write_table()
    Path("t.png").write_bytes(b"a photograph")
    assert run("train", "t.csv", "--target", "price", *QUICK) == 0

    assert "learning curve: t_curve.png" in run.out
    assert Path("t.png").read_bytes() == b"a photograph"
    run.refused(
        *("train", "t.csv", "--target", "price", "--picture", "t.png", *QUICK),
        match="'t.png' exists and is no learning curve of backprop",
    )


def test_a_report_is_written_where_it_is_wanted_and_over_nobody_elses_page(run):
    write_table()
    train = ("train", "t.csv", "--target", "price", *QUICK)
    Path("t.html").write_text("<h1>my diary</h1>")
    assert run(*train) == 0
    assert "report: t_report.html" in run.out
    assert run(*train, "--report", "r.html") == 0
    assert "report: r.html" in run.out and "PASS: " in Path("r.html").read_text("utf-8")
    run.refused(*train, "--report", "t.html", match="'t.html' exists and is no report of backprop")
    os.remove("r.html")

    assert run(*train, "--report", "none") == 0
    assert "report:" not in run.out
    assert {path.name for path in Path().glob("*.html")} == {"t.html", "t_report.html"}
    assert Path("t.html").read_text() == "<h1>my diary</h1>"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_learning_curve_takes_the_place_of_a_learning_curve(run, suffix):
    write_table()
    for _ in range(2):
        arguments = ("--target", "price", "--picture", f"p.{suffix}")
        assert run("train", "t.csv", *arguments, *QUICK) == 0, run.err

    assert f"note: p.{suffix} of" in run.out


# ------------------------------------------------------------------ train: what is said


def test_the_report_shows_a_rare_class(run):
    write_table(n=100, label=["odd", "odd", *["even"] * 98])
    assert run("train", "t.csv", "--target", "label", *QUICK) == 0

    assert "note: classes of fewer than 5 rows can hardly be learned: 'odd' (2)" in run.out
    assert re.search(
        r"^always naming the most frequent class, 'even': (1.0000|0.9\d+)$", run.out, re.M
    )
    table = run.out[run.out.index("true class") :].splitlines()[:3]
    assert table[0].split("  ")[0] == "true class" and table[0].endswith("as even  as odd")
    counts = {row.split()[0]: row.split()[1:4] for row in table[1:]}
    trained, held = (sum(int(c[i]) for c in counts.values()) for i in (0, 1))
    assert (trained, held) == (80, 20)


def test_a_class_of_one_row_is_trained_with(run):
    for seed in range(3):
        write_table(n=40, label=["only", *["a", "b"] * 19, "a"])
        arguments = ("--target", "label", "--seed", seed, "--held-out", 0.6)
        assert run("train", "t.csv", *arguments, *QUICK) == 0

        assert re.search(r"^only +1 +0 +0 ", run.out, re.M), run.out


def test_many_classes_are_listed_without_a_square(run):
    write_table(n=160, label=[f"c{i % 16}" for i in range(160)])
    assert run("train", "t.csv", "--target", "label", *QUICK) == 0

    assert re.search(r"^true class +trained on +held out +right$", run.out, re.M)
    assert re.search(r"^c15 +8 +2 +[012]$", run.out, re.M)


def test_counts_that_are_taken_for_classes_are_hinted_at(run):
    write_table(label=RNG.integers(0, 6, 60))
    hint = "whole numbers of 'label' are taken for classes: say --task regression if"

    assert run("train", "t.csv", "--target", "label", *QUICK) == 0
    assert hint in run.out
    assert run("train", "t.csv", "--target", "label", "--task", "classification", *QUICK) == 0
    assert hint not in run.out


@pytest.mark.parametrize(
    ("prices", "share", "why"),
    [([5.5] * 60, 0.2, "the targets are all the same"), (range(60), 0.02, "of one row")],
)
def test_r2_is_not_a_number_where_targets_do_not_differ(run, prices, share, why):
    write_table(price=list(prices))
    arguments = ("--target", "price", "--task", "regression", "--held-out", share)

    assert run("train", "t.csv", *arguments, *QUICK) == 0, run.err
    assert run.out.splitlines()[1].endswith(f"R2 n/a ({why})")


def test_an_inconclusive_certificate_is_explained(run, monkeypatch):
    from backprop.gradcheck import report

    write_table()
    monkeypatch.setattr(report.Report, "verdict", "inconclusive")
    assert run("train", "t.csv", "--target", "price", *QUICK) == 0

    assert "inconclusive is no failure: no mistake was found" in run.out


def test_how_cells_were_read_is_said_and_saved(run):
    write_table(
        weight=[f"{1000 + i:,}" for i in range(60)],
        height=["" if i % 3 == 0 else i / 2 for i in range(60)],
        colour=[f"2024-01-{1 + i % 28:02d}" for i in range(60)],
    )
    assert run("train", "t.csv", "--target", "price", "--ignore", "label", *QUICK) == 0
    said = [line for line in run.out.splitlines() if line.startswith("note: column")]

    assert re.fullmatch(
        r"note: column 'height' is empty in \d+ of 48 training rows: its median \S+ stands there, "
        "and a column of 0 and 1 marks them", said[0],
    )  # fmt: skip
    assert said[1] == (
        "note: column 'colour' holds dates: the network sees the day, its place in the year, the "
        "weekday"
    )
    assert said[2] == "note: column 'weight' holds numbers with thousands separated as in '1,234'"
    assert run("summary", "t.npz") == 0
    assert all(line in run.out for line in said)


def test_a_target_of_text_with_separators_is_a_quantity(run):
    write_table(price=[f"{1000 + 7 * i:,}" for i in range(60)])
    for task in ((), ("--task", "regression")):
        assert run("train", "t.csv", "--target", "price", *task, *QUICK) == 0, run.err

        assert "regression of 'price'" in run.out
        assert "note: target 'price' holds numbers with thousands separated" in run.out


# ------------------------------------------------------------------ train: how long


def test_a_small_table_gets_enough_steps():
    epochs = {
        batches: cli.train.default_epochs(batches) for batches in (1, 4, 45, 300, 2_000, 10**5)
    }

    assert epochs == {1: 1_000, 4: 250, 45: 100, 300: 100, 2_000: 15, 10**5: 5}


def test_iris_is_learned_as_well_as_by_others(run):
    from sklearn.datasets import load_iris

    load_iris(as_frame=True).frame.to_csv("iris.csv", index=False)
    wrong = []
    for seed in range(3):
        assert run("train", "iris.csv", "--target", "target", "--quiet", "--seed", seed) in (0, 1)
        wrong.append(int(re.search(r"\((\d+) of 30 wrong", run.out)[1]))

    assert "250 epochs" in run.out
    assert sum(wrong) <= 5, wrong


def test_of_many_epochs_a_few_are_printed(run):
    write_table()
    assert run("train", "t.csv", "--target", "price", "--epochs", 200, "--layers", "dense 4") == 0

    lines = [line for line in run.out.splitlines() if line.startswith("Epoch ")]
    assert len(lines) == 20 and lines[-1].startswith("Epoch 200/200: loss ")
    assert all("val_mae" in line for line in lines)


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
        (["--report", "run.pdf"], "--report expects a name that ends in .html, .htm, or none"),
        (["--report", "no/run.html"], "there is no folder 'no' to write run.html"),
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


@pytest.mark.parametrize(
    "option",
    ["--target", "--ignore", "--task=auto", "--held-out=0.5", "--decimal=,", "--dates=dmy"],
)
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
    "ragged": ("a,y\n1,2\n3\n", "line 3 has 1 cell where there are 2 columns"),
    "bare decimal commas": ("a,y\n1,5,2,5\n", "line 2 has 4 cells .*decimal commas has semicolons"),
    "ambiguous commas": ("a;y\n" + "1,234;1\n5,678;2\n" * 5, "'1,234' may be 1234 or 1.234: say"),
    "ambiguous dates": (
        "a,y\n" + "03/04/2024,1\n05/06/2024,2\n" * 5,
        "'03/04/2024' may have the day or the month first: say --dates dmy or --dates mdy",
    ),
    "two notations": (
        "a;y\n1.234,5;1\n2.234,5;2\n1,234.5;3\n" + "2.234,5;2\n" * 5,
        "decimal commas and thousands .* line 4 has the text '1,234.5'",
    ),
    "two units": (
        "a,y\n" + "".join(f"{i} {'kg' if i % 2 else 'g'},{i}\n" for i in range(99)),
        "different units, '0 g' in line 2 and '1 kg' in line 3",
    ),
    "a bad date": (
        "a,y\n2024-02-28,1\n2024-02-30,2\n" + "2024-03-01,3\n" * 5,
        "column 'a' holds dates, but line 3 has the text '2024-02-30'",
    ),
    "dates to predict": (
        "a,y\n" + "".join(f"{i},{2000 + i}-01-01\n" for i in range(30)),
        "target 'y' holds dates, such as '2000-01-01'",
    ),
    "mixed target": (
        "a,y\n" + "".join(f"{i},{'many' if i % 2 else i}\n" for i in range(1, 100)),
        "target 'y' is taken for text: 49 cells are numbers, but 'many' in line 2 is none",
    ),
    "a mark never closed": ('a,y\n1,2\n"3,4\n', "mark in the row of line 3 is never closed"),
    "a mark inside": ('a,y\n"1"2,3\n', "line 2 has a quotation mark inside a quoted cell"),
    "all empty": ("a,y\n,1\n,2\n,3\n", "no column to learn from beside 'y'"),
    "duplicate names": ("a,a,y\n1,2,3\n", "two columns named 'a'"),
    "text in a number column": ("a,y\n1,2\nx,3\n4,5\n6,7\n8,9\n", "line 3 has the text 'x'"),
    "infinite cell": ("a,y\n1,2\ninf,3\n4,5\n6,7\n8,9\n", "column 'a' has inf in line 3"),
    "NaN target": ("a,y\n1,2\n2,nan\n4,5\n6,7\n8,9\n", "column 'y' has nan in line 3"),
    "empty target": ("a,y\n1,u\n2,\n4,v\n6,u\n8,v\n", "target 'y' has an empty cell in line 3"),
    "text in a number target": ("a,y\n1,2\n2,x\n4,5\n6,7\n8,9\n", "line 3 has the text 'x'"),
    "one class": ("a,y\n1,u\n2,u\n3,u\n4,u\n5,u\n", "one class, 'u': there is nothing to tell"),
    "one number": ("a,y\n1,7\n2,7\n3,7\n4,7\n5,7\n", "only one class, 7"),
    "one row": ("a,y\n1,2\n", "1 row is too few"),
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
        "text.npz": "text.npz is no .npz file",
        "empty.npz": "empty.npz is no .npz file",
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
        "x of d.npz holds objects of Python, where numbers or text were expected",
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


def digits_by_part(n=60, tests=20):
    """Arrays as in MNIST's file."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (n + tests, 5, 5)).astype(np.uint8), np.arange(n + tests) % 3
    x[np.arange(n + tests), 0, y] = 255
    return x, y.astype(np.uint8), n


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "y_train", "X_val", "y_val"),
    ],
)
def test_the_layout_of_mnists_file_brings_its_own_held_out_rows(run, names):
    x, y, n = digits_by_part()
    parts = zip(names, (x[:n], y[:n], x[n:], y[n:]), strict=True)
    np.savez("m.npz", **dict(parts))

    assert run("train", "m.npz", *QUICK) == 2  # dense 8 alone does not flatten an image
    spec = ("--epochs", 2, "--quiet", "--layers", "flatten, dense 8 relu")
    assert run("train", "m.npz", *spec) == 0, run.err
    assert "60 rows to train on, 20 held out, 3 classes" in run.out
    assert run("predict", "m_model.npz", "m.npz", warned=True) == 0, run.err
    assert len(run.out.splitlines()) == 21 and names[2] in run.err
    run.refused("train", "m.npz", "--held-out", 0.3, match="has held-out rows of its own")


@pytest.mark.parametrize(
    "names", [("X", "Y"), ("data", "target"), ("images", "labels"), ("arr_0", "arr_1")]
)
def test_inputs_and_targets_are_known_by_their_usual_names(run, names):
    x, y, _ = digits_by_part()
    np.savez("m.npz", **dict(zip(names, (x.reshape(80, 25), y), strict=True)))

    assert run("train", "m.npz", *QUICK) == 0, run.err
    assert "64 rows to train on, 16 held out, 3 classes" in run.out


def test_images_of_bytes_are_scaled(run):
    x, y, _ = digits_by_part()
    np.savez("m.npz", x=x, y=y)
    assert run("train", "m.npz", "--epochs", 1, "--quiet") == 0, run.err

    _, extra = bp.saving.models.read_model("m_model.npz")
    prepared = tabular.Preprocessing.from_json(extra["preprocessing"])
    scaled = prepared.encode(x)
    assert scaled.dtype == np.float32
    assert abs(scaled.mean()) < 0.1 and abs(scaled.std() - 1) < 0.1


def test_one_hot_targets_are_classes(run):
    x, y, _ = digits_by_part()
    np.savez("m.npz", x=x.reshape(80, 25), y=np.eye(3)[y])

    assert run("train", "m.npz", *QUICK) == 0, run.err
    assert "3 classes" in run.out


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_lone_array_is_a_table_with_numbered_columns(run, suffix):
    array = np.c_[RNG.normal(size=(60, 3)), np.arange(60) % 3]
    array[7, 1] = np.nan
    name = f"m.{suffix}"
    (np.save if suffix == "npy" else np.savez)(name, array)

    assert run("train", name, "--target", 3, "--output", "o.npz", *QUICK) == 0, run.err
    assert "3 classes" in run.out and "column '1' is empty in 1 of" in run.out
    assert len(answers(run, "o.npz", name).splitlines()) == 61
    run.refused("train", name, match="say which column to predict: --target, one of 0, 1, 2, 3")


def test_columns_cannot_be_left_out_of_arrays(run):
    np.savez("d.npz", x=np.zeros((20, 2)), y=[0, 1] * 10)
    run.refused(
        "train", "d.npz", "--ignore", "x", *QUICK, match="--ignore is for the columns of a table"
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


NOTATIONS = {
    "thousands": (lambda v: f"{1000 * v:,.0f}", lambda v: f"{1000 * v:.0f}"),
    "decimal commas": (lambda v: f"{v:.2f}".replace(".", ","), lambda v: f"{v:.2f}"),
    "per cent": (lambda v: f"{v:.2f} %", lambda v: f"{v:.2f}"),
    "dates": (
        lambda v: f"{1 + int(v) % 28}.3.2024",
        lambda v: f"2024-03-{1 + int(v) % 28:02d}",
    ),
}


@pytest.mark.parametrize("case", NOTATIONS)
def test_predict_reads_a_column_exactly_as_training_did(run, case):
    odd, plain = NOTATIONS[case]
    numbers = RNG.uniform(2, 20, 60)
    write_table("a.csv", height=[odd(v) for v in numbers])
    write_table("b.csv", height=[plain(v) for v in numbers])
    for name in "ab":
        arguments = ("--target", "price", "--ignore", "label", "--output", f"{name}.npz")
        assert run("train", f"{name}.csv", *arguments, *QUICK) == 0, run.err
    first = list(map(float, answers(run, "a.npz", "a.csv").split()[1:]))

    assert first == pytest.approx(
        list(map(float, answers(run, "b.npz", "b.csv").split()[1:])), rel=1e-3, abs=1e-3
    )
    rows = read_rows("a.csv")
    write_rows("one.csv", [rows[0], rows[3]])
    assert float(answers(run, "a.npz", "one.csv").split()[1]) == pytest.approx(first[2], abs=1e-4)
    if case != "thousands":  # a number below a thousand is written alike
        run.refused(
            "predict", "a.npz", "b.csv", match=r"column 'height' holds .*, but line \d+ has"
        )


def test_predict_fills_empty_cells_as_training_did(run):
    write_table(height=["" if i % 4 == 0 else i / 3 for i in range(60)])
    assert run("train", "t.csv", "--target", "price", "--ignore", "label", *QUICK) == 0
    rows = read_rows("t.csv")
    header, row = rows[0], rows[2]

    write_rows("one.csv", [header, ["NA", *row[1:]], ["", *row[1:]], row])
    found = answers(run, "t.npz", "one.csv").split()[1:]
    assert found[0] == found[1] != found[2]
    write_rows("one.csv", [header, [*row[:2], "?", *row[3:]]])
    assert run("predict", "t.npz", "one.csv", warned=True) == 0
    assert re.match(
        r"backprop: warning: column 'weight' has no value in line 2, and had one in every row of "
        r"training: its median \S+ stands there\n", run.err,
    )  # fmt: skip


def test_an_index_is_neither_learned_nor_asked_for(run):
    write_table()
    rows = read_rows("t.csv")
    write_rows("i.csv", [["", *rows[0]], *([i, *row] for i, row in enumerate(rows[1:]))])
    for name in "ti":
        arguments = ("--target", "price", "--ignore", "label", "--output", f"{name}.npz")
        assert run("train", f"{name}.csv", *arguments, *QUICK) == 0

    assert "note: the first column of i.csv has no name and numbers the rows: left out" in run.out
    wanted = answers(run, "t.npz", "t.csv")
    for model in ("t.npz", "i.npz"):
        for data in ("t.csv", "i.csv"):
            assert answers(run, model, data) == wanted


def test_a_single_row_is_read_as_the_table_of_training_was(run):
    write_rows("bare.csv", [[i / 7, "red" if i % 3 else "blue", i % 2] for i in range(60)])
    assert run("train", "bare.csv", "--target", 2, *QUICK) == 0, run.err
    wanted = answers(run, "bare.npz", "bare.csv").splitlines()

    for row in (["1.0", "red", "1"], ["1.0", "red"]):
        write_rows("one.csv", [row])
        assert answers(run, "bare.npz", "one.csv").splitlines() == [wanted[0], wanted[8]]


def test_names_that_are_numbers_are_found_again(run):
    write_rows("n.csv", [["0", "1", "2"], *([i % 7, i % 5, i % 2] for i in range(60))])
    assert run("train", "n.csv", "--target", 2, *QUICK) == 0, run.err
    wanted = answers(run, "n.npz", "n.csv").splitlines()

    assert len(wanted) == 61
    for head in (["0", "1"], ["1", "0"]):
        write_rows(
            "new.csv", [head, *([i % 7, i % 5][:: 1 if head[0] == "0" else -1] for i in (3, 9))]
        )
        assert answers(run, "n.npz", "new.csv").splitlines() == [wanted[0], wanted[4], wanted[10]]


def test_a_column_without_a_name_that_was_learned_from_is_found_again(run):
    write_rows("t.csv", [["", "y"], *([i % 9, i % 9 + 0.5] for i in range(60))])
    assert run("train", "t.csv", "--target", "y", *QUICK) == 0, run.err

    write_rows("new.csv", [["", "y"], [3, ""], [4, ""]])  # its cells are all different now
    assert len(answers(run, "t.npz", "new.csv").splitlines()) == 3


def test_predict_says_that_it_replaces_a_file(run, trained):
    for _ in range(2):
        assert run("predict", trained, "t.csv", "--output", "a.csv") == 0

    assert run.out == "predictions: a.csv (80 rows, in place of the file that was there)\n"


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
        match="column 'height' holds numbers, but line 3 has the text 'x'",
    )
    np.savez("new.npz", x=np.zeros((3, 2)))
    run.refused("predict", trained, "new.npz", match="trained on a table with named columns")
    Path("empty.csv").write_text("")
    run.refused("predict", trained, "empty.csv", match="empty.csv is empty")
    run.refused("predict", trained, "nothing.csv", match="no file 'nothing.csv'")
    run.refused("predict", "nothing.npz", "t.csv", match="no file 'nothing.npz'")
    run.refused("predict", "t.csv", "t.csv", match=r"reads .npz and .keras files, got 't.csv'")
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
    model, extra = bp.saving.models.read_model(trained)
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

    monkeypatch.setattr(cli.summary, "load", warn)
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
        [sys.executable, "-m", "backprop", "train", "--epochs", "999", "--layers", "flatten"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("Epoch "):
            break
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)

    assert child.returncode == 130
    assert err == "backprop: interrupted\n"
    assert os.listdir() == ["digits.html"]  # which says so
    assert "Interrupted after" in Path("digits.html").read_text("utf-8")


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


# ------------------------------------------------------------------------------------------- warmup


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """One loop to compile, and a folder of its own for it."""
    pytest.importorskip("numba", reason="compiles the kernels")
    compiled = importlib.import_module("backprop.kernels.compiled.compiler")
    monkeypatch.setattr("backprop.kernels.compiled.cache.folder", lambda: tmp_path / "kept")
    monkeypatch.setattr("backprop.cli.warmup.loops", lambda: [loop_of(compiled)])
    return compiled


def loop_of(compiled):
    @compiled.loop(compiled.Vector, compiled.optional(compiled.Vector))
    def doubled(x, y):
        for i in range(x.size):
            x[i] = x[i] + x[i]

    compiled.LOOPS.remove(doubled)
    return doubled


def test_warmup_compiles_each_form_once(run, compiler, tmp_path):
    assert run("warmup") == 0
    assert "loops: 1, for float32 and float64; forms: 4, of which 0 were there" in run.out
    assert f"kept in {tmp_path / 'kept'}: " in run.out
    assert len(list((tmp_path / "kept").glob("*.nbc"))) == 4

    assert run("warmup", "--dtype", "float32") == 0
    assert "loops: 1, for float32; forms: 2, of which 2 were there" in run.out


def test_warmup_says_so_where_what_it_compiles_will_not_run(run, compiler, monkeypatch):
    monkeypatch.setenv("BACKPROP_KERNELS", "numpy")

    assert run("warmup", "--dtype", "float32") == 0
    assert "as long as that is set, they do not run" in run.out


def test_warmup_without_numba_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    run.refused("warmup", match=r'Numba is not installed.* pip install "backprop\[fast\]"')


def test_warmup_of_a_numba_that_is_broken_says_what_is_wrong(run, monkeypatch):
    pytest.importorskip("numba", reason="is what is broken")
    monkeypatch.setitem(sys.modules, "backprop.kernels.compiled.compiler", None)

    run.refused("warmup", match="Numba is installed and does not work: ModuleNotFoundError")


def test_warmup_where_nothing_can_be_written_says_what_to_do(run, compiler, tmp_path, monkeypatch):
    (tmp_path / "kept").write_text("a file in the folder's place")

    run.refused("warmup", match=r"kept cannot be written to .*: set NUMBA_CACHE_DIR")


def test_warmup_finds_the_loops_of_the_library():
    pytest.importorskip("numba", reason="compiles the kernels")
    from backprop.cli.warmup import loops

    assert "adam" in {loop.dispatcher.__name__ for loop in loops()}
