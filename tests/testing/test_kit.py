"""`layer_laws`, `check_layer` and `check_law`: what they draw, count and print."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from small_layers import Scale

from backprop import seeds
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers import Dense, Embedding, MaxPooling2D
from backprop.losses import MeanSquaredError
from backprop.testing import (
    LAWS,
    TAGS,
    LawBroken,
    LawReport,
    LawResult,
    arrays,
    check_law,
    check_layer,
    images,
    layer_laws,
    numbers,
    pairs,
    sequences,
    shapes,
    strides,
    tokens,
)

ROOT = Path(__file__).resolve().parents[2]
NAMES = [law.__name__ for law in LAWS["v4"]]
LINEAR = ["backward_is_linear_in_dy"]


class SquaresDy(Layer):
    """y = x, and dx = dy², but only where its power is above 1 and x has two columns."""

    def __init__(self, power=1, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def forward(self, x, ctx=INFERENCE):
        return x * 1, None

    def backward(self, dy, cache):
        return dy**self.power if dy.shape[-1] > 1 else dy * 1


def failure(layer, inputs=None, laws=LINEAR, **options):
    report = check_layer(layer, inputs, laws=laws, **options)
    assert not report
    return report.failures[0].reason


# the line that users write
test_scale = layer_laws(lambda: Scale(), inputs=shapes(min_dims=1, max_dims=3))
test_scale_by_its_reference = layer_laws(
    Scale, inputs=shapes(), reference=lambda x, gamma: gamma * x, laws=["agrees_with_the_reference"]
)
test_pooling_with_drawn_arguments = layer_laws(
    lambda size, step: MaxPooling2D(size, step),
    inputs=images(min_side=3),
    configs={"size": st.integers(1, 3), "step": strides()},
    tags=["piecewise"],
)
test_a_loss = layer_laws(MeanSquaredError, inputs=pairs())
test_a_failure_that_is_expected = layer_laws(
    lambda: SquaresDy(2),
    inputs=shapes(1, 1, min_side=2),
    laws=[*LINEAR, "inference_is_deterministic"],
    expected_failures={"backward_is_linear_in_dy": "it is squared on purpose"},
)


# -------------------------------------------------------------------------------- under pytest


def run_pytest(tmp_path, source, *options):
    (tmp_path / "test_mine.py").write_text(textwrap.dedent(source))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *options]
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True).stdout


MINE = """
    import numpy as np
    from backprop.layer import INFERENCE, Layer
    from backprop.testing import layer_laws, shapes

    class ClipsDy(Layer):
        def __init__(self, limit=5.0, **kwargs):
            super().__init__(**kwargs)
            self.limit = limit

        def forward(self, x, ctx=INFERENCE):
            return x * x, x

        def backward(self, dy, x):
            return 2 * np.clip(dy, -self.limit, self.limit) * x

    test_mine = layer_laws(
        lambda limit: ClipsDy(limit), shapes(1, 2), configs={"limit": [5.0, 7.0]},
        expected_failures={"rows_are_independent": "not true"},
    )
"""


def test_pytest_collects_one_test_a_law_from_any_module_and_xdist_runs_them(tmp_path):
    out = run_pytest(tmp_path, MINE, "-v", "-n", "2", "-rs")

    for name in NAMES:
        assert f"test_mine[{name}]" in out
    assert "FAILED test_mine.py::test_mine[backward_is_linear_in_dy]" in out
    assert "no reference= was given" in out
    assert "<-" not in out  # pytest places the test in the user's module
    assert "keeps the law rows_are_independent" in out


def test_a_failure_prints_the_law_the_smallest_case_and_how_to_see_it_again(tmp_path):
    out = run_pytest(tmp_path, MINE, "-k", "linear")

    assert "ClipsDy() breaks the law backward_is_linear_in_dy" in out
    assert "backward(a u + b v) = a backward(u) + b backward(v)" in out
    assert "configuration  limit=5.0" in out
    assert "x              float64 (1, 1)" in out
    assert "from test_mine import ClipsDy" in out
    assert "check_law('backward_is_linear_in_dy', ClipsDy(), x=x" in out
    assert "Falsifying example" not in out
    assert "hypothesis" not in out.lower().partition("short test summary")[0].partition("E  ")[2]


@pytest.mark.parametrize("name", ["layer_laws", "check_layer", "shapes"])
def test_without_hypothesis_the_import_says_what_to_install(name):
    code = f"import sys; sys.modules['hypothesis'] = None; from backprop.testing import {name}"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode
    assert "pip install 'backprop[test]'" in run.stderr


def test_the_kit_is_not_loaded_with_the_library():
    names = ("hypothesis", "backprop.testing")
    code = f"import sys, backprop; print(*(name in sys.modules for name in {names}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert run.stdout.split() == ["False", "False"]


# -------------------------------------------------------------------------------- failures


def test_the_configuration_and_the_shape_are_shrunk():
    reason = failure(
        SquaresDy, shapes(1, 3), configs={"power": st.integers(1, 4)}, profile="thorough"
    )

    assert "configuration  power=2" in reason
    assert "x              float64 (1, 2)" in reason
    assert "seed           0" in reason


def test_the_reproducer_runs_and_fails_in_the_same_way():
    reason = failure(lambda: SquaresDy(2), shapes(1, 2))
    lines = textwrap.dedent(reason.partition("To see it again:")[2])

    with pytest.raises(LawBroken) as error:
        exec(lines.replace(f"from {__name__} import SquaresDy", ""), {"SquaresDy": SquaresDy})

    assert str(error.value) == reason


class Limited(Layer):
    """y = x, between -70 and 70; dx = dy."""

    def forward(self, x, ctx=INFERENCE):
        return np.clip(x, -70, 70), None

    def backward(self, dy, cache):
        return dy * 1


class Variance(Layer):
    """y = the mean of x² less the square of the mean: what is left of numbers around 1,000?"""

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

    def forward(self, x, ctx=INFERENCE):
        mean = x.mean(-1)
        return (x * x).mean(-1) - mean * mean, x - mean[..., None]

    def backward(self, dy, d):
        return dy[..., None] * 2 * d / d.dtype.type(d.shape[-1])


FAR_OUT = [
    (Limited, ["no_number_is_an_exception"], {}),
    (Variance, ["float32_agrees_with_float64"], {}),
    (Limited, ["agrees_with_the_reference"], {"reference": lambda x: x}),
]


@pytest.mark.parametrize(("layer", "laws", "options"), FAR_OUT)
def test_the_reproducer_of_a_law_that_looks_far_out_looks_there_too(layer, laws, options):
    reason = failure(layer, shapes(1, 2), laws, **options)
    lines = textwrap.dedent(reason.partition("To see it again:")[2])
    for given in ("layer = ...  # what your factory makes", "reference = ...  # the function"):
        lines = lines.replace(given, "#")

    assert "numbers(" in lines
    with pytest.raises(LawBroken):
        exec(lines, {"layer": layer, **options})


def test_the_reproducer_of_a_nested_layer_imports_what_it_needs():
    from backprop.layers import Chain

    reason = failure(lambda: Chain([Dense(2, kernel_regularizer="l2"), SquaresDy(2)]), shapes(1, 1))

    assert "from backprop.layers import Chain" in reason
    assert "from backprop.layers import Dense" in reason
    assert "check_law('backward_is_linear_in_dy', Chain([Dense(2, kernel_regul" in reason


def test_the_reproducer_of_a_layer_that_its_repr_does_not_make_leaves_a_gap():
    class Local(SquaresDy):
        pass

    assert "layer = ...  # what your factory makes" in failure(lambda: Local(2), shapes(1, 1))


def test_the_reproducer_of_a_loss_has_its_arrays():
    class NoMean(MeanSquaredError):
        def gradient(self, dvalues, cache):
            return 2 * super().gradient(dvalues, cache)

    reason = failure(NoMean, pairs(), laws=["gradients_match_finite_differences"])

    assert "y_true = np.array(" in reason
    assert "y_true=y_true, y_pred=y_pred" in reason


def test_an_error_of_the_layer_is_shown_with_its_line():
    class Fails(SquaresDy):
        def backward(self, dy, cache):
            raise KeyError("nothing here")

    reason = failure(Fails, shapes(1, 1))

    assert "KeyError: 'nothing here'" in reason
    assert 'raise KeyError("nothing here")' in reason


def test_a_law_that_is_broken_now_and_then_is_reported_as_broken():
    calls = iter(range(10**6))

    class Moody(SquaresDy):
        def backward(self, dy, cache):
            return dy * (1 + (next(calls) % 7 == 0))

    assert "breaks the law" in failure(Moody, shapes(1, 1), profile="thorough")


def test_a_diagnosis_is_printed(monkeypatch):
    from backprop.testing.laws import gradients

    class Found:
        verdict = "FAIL"
        diagnosis = "dkernel looks transposed"

        def __str__(self):
            return "the table"

    monkeypatch.setattr(gradients, "gradcheck", lambda *args, **kwargs: Found())

    with pytest.raises(LawBroken, match="dkernel looks transposed"):
        check_law("gradients_match_finite_differences", Dense(2), np.ones((2, 2)))


def test_verdicts_that_nothing_could_decide_are_counted_and_do_not_pass(monkeypatch):
    from backprop.testing.laws import gradients

    class Unsure:
        verdict = "inconclusive"

    monkeypatch.setattr(gradients, "gradcheck", lambda *args, **kwargs: Unsure())
    report = check_layer(Scale, shapes(1, 1), laws=["gradients_match_finite_differences"])

    assert report.counts["undecided"] == report.counts["cases"] > 0
    assert not report


# -------------------------------------------------------------------------------- counting


def test_the_report_counts_what_ran_was_expected_to_fail_and_was_skipped():
    report = check_layer(
        lambda: SquaresDy(2),
        shapes(1, 1, min_side=2),
        laws=[*LINEAR, "agrees_with_the_reference", "inference_is_deterministic"],
        expected_failures={"backward_is_linear_in_dy": "on purpose"},
    )

    assert report
    counts = report.counts
    assert (counts["held"], counts["broken as expected"], counts["skipped"]) == (1, 1, 1)
    assert "1 held, 0 broken, 1 broken as expected, 1 skipped, 0 held unexpectedly" in str(report)
    assert "on purpose" in str(report)
    assert "no reference= was given" in str(report)


def test_a_failure_that_does_not_come_is_a_failure():
    report = check_layer(
        Scale, shapes(1, 1), laws=LINEAR, expected_failures={"backward_is_linear_in_dy": "once"}
    )

    assert not report
    assert report.results[0].outcome == "held unexpectedly"
    assert "take it off the list" in str(report)


def test_the_report_is_falsy_if_a_law_is_broken_and_json_tells_all():
    report = check_layer(lambda: SquaresDy(2), shapes(1, 1), laws=[*LINEAR, NAMES[4]])
    told = json.loads(report.to_json())

    assert not report
    assert told["passed"] is False
    assert told["counts"]["broken"] == 1
    assert [r["law"] for r in told["results"]] == [*LINEAR, NAMES[4]]
    assert told["results"][0]["outcome"] == "broken"


def test_a_report_of_nothing_broken_is_true():
    assert LawReport("Scale()", "v1", "quick", [LawResult("a law", "held", 3)])


def test_the_same_seed_tries_the_same_cases():
    seen = {}

    def record(seed, run):
        class Looks(Scale):
            def forward(self, x, ctx=INFERENCE):
                seen.setdefault((seed, run), []).append(x.tobytes())
                return super().forward(x, ctx)

        check_layer(Looks, shapes(1, 2), laws=LINEAR, seed=seed)

    for seed, run in ((0, 1), (0, 2), (1, 1)):
        record(seed, run)
    assert seen[0, 1] == seen[0, 2]
    assert seen[0, 1] != seen[1, 1]


def test_profiles_try_more_or_fewer_cases(monkeypatch):
    def cases(**options):
        return check_layer(Scale, shapes(1, 3), laws=LINEAR, **options).counts["cases"]

    assert cases(profile="quick") < cases() < cases(profile="thorough")
    monkeypatch.setenv("BACKPROP_LAWS_PROFILE", "quick")
    assert cases() == cases(profile="quick")


def test_checking_touches_neither_the_layer_nor_the_seeds_of_the_process():
    layer = Dense(2)
    layer.build((None, 3))
    weights, root = layer.get_weights(), seeds._process.sequence.n_children_spawned

    assert check_layer(layer, profile="quick")
    assert seeds._process.sequence.n_children_spawned == root
    for before, after in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


# -------------------------------------------------------------------------------- inputs


def shapes_seen(inputs, make=Scale, **options):
    seen = []

    class Looks(make):
        def forward(self, x, ctx=INFERENCE):
            seen.append((x.shape, ctx.mask))
            return super().forward(x, ctx)

    assert check_layer(Looks, inputs, laws=["inference_is_deterministic"], **options)
    return seen


@pytest.mark.parametrize(
    "inputs",
    [
        (2, 3),
        numbers((2, 3)),
        [(2, 3)],
        [numbers((2, 3))],
        arrays((2, 3)),
        shapes(1, 1, min_side=3, max_side=3, batch=2),
        lambda config: (2, 3),
    ],
)
def test_inputs_may_be_shapes_arrays_lists_strategies_or_functions(inputs):
    assert {shape[1:] for shape, _ in shapes_seen(inputs)} == {(3,)}


def test_inputs_may_come_with_a_mask():
    masks = [
        mask for shape, mask in shapes_seen(sequences(steps=3, masked=True)) if mask is not None
    ]

    assert masks
    assert all(mask.dtype == bool and mask.shape[1:] == (3,) for mask in masks)


def test_a_function_of_the_configuration_sees_what_was_drawn():
    def inputs(config):
        return images(config["pool_size"], 5)

    assert check_layer(
        MaxPooling2D, inputs, configs={"pool_size": [1, 4]}, tags=["piecewise"], profile="quick"
    )


def test_without_inputs_the_input_spec_tells_what_to_draw():
    class Sequences(Scale):
        input_spec = InputSpec(ndim=3)

    assert {len(shape) for shape, _ in shapes_seen(None, Sequences)} == {3}


def test_a_built_layer_is_checked_on_its_own_shape():
    layer = Dense(2)
    layer.build((None, 5, 3))

    assert check_layer(layer, profile="quick")


def test_integer_input_needs_tokens():
    with pytest.raises(TypeError, match=r"inputs=tokens\(vocabulary\)"):
        check_layer(lambda: Embedding(3, 2))
    with pytest.raises(TypeError, match=r"inputs=tokens\(vocabulary\)"):
        check_layer(lambda: Embedding(3, 2), shapes(1, 1))
    assert check_layer(lambda: Embedding(3, 2), tokens(3), profile="quick")


def test_a_loss_needs_pairs():
    with pytest.raises(TypeError, match="is a loss"):
        check_layer(MeanSquaredError, shapes(1, 1))


def test_a_reference_may_ask_for_parameters_arguments_and_the_mask():
    asked = []

    def reference(x, gamma, mask, training, layer, factor, other=3):
        asked.append((gamma.shape, mask, training, type(layer), factor, other))
        return gamma * x

    laws = ["agrees_with_the_reference"]
    report = check_layer(
        lambda factor: Scale(), (2, 3), configs={"factor": 7}, reference=reference, laws=laws
    )

    assert report
    assert {a[:2] + a[3:] for a in asked} == {((3,), None, Scale, 7, 3)}


def test_a_reference_that_asks_for_what_there_is_not_is_an_error():
    reason = failure(
        Scale, (2, 3), reference=lambda x, kernel: x, laws=["agrees_with_the_reference"]
    )

    assert "the reference asks for kernel; there are gamma, mask" in reason


# -------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": ["piecwise"]}, "no tag 'piecwise'; did you mean 'piecewise'"),
        ({"laws": "v9"}, "no set of laws 'v9'"),
        ({"laws": ["rows_are_independant"]}, "did you mean 'rows_are_independent'"),
        ({"profile": "slow"}, "there is no profile 'slow'"),
        ({"expected_failures": {"rows": "why"}}, "there is no law 'rows'"),
        ({"tags": ["per_sample", "couples_rows"]}, "contradict each other"),
    ],
)
def test_a_misspelt_option_is_an_error_when_the_line_is_read(options, message):
    with pytest.raises(ValueError, match=message):
        layer_laws(Scale, **options)


def test_a_factory_whose_arguments_nothing_draws_is_an_error():
    with pytest.raises(TypeError, match="takes units: say what to draw for it"):
        layer_laws(Dense)
    with pytest.raises(TypeError, match="function or class that makes one"):
        layer_laws("Dense")


def test_what_is_no_layer_is_an_error():
    with pytest.raises(TypeError, match="which is no layer"):
        check_layer(lambda: 3)


def test_per_sample_does_not_let_the_law_of_rows_be_skipped():
    options = {"laws": ["rows_are_independent"], "configs": {"activity_regularizer": "l2"}}

    assert check_layer(Scale, shapes(1, 1), **options).results[0].outcome == "skipped"
    assert not check_layer(Scale, shapes(1, 1), tags=["per_sample"], **options)


def test_every_tag_is_explained():
    assert set(TAGS) >= {
        "per_sample", "stochastic", "integer_input", "piecewise", "couples_rows",
    }  # fmt: skip
    assert all(TAGS.values())


def test_a_set_of_laws_does_not_change_under_its_name():
    # to add or change a law, make a "v5": other people's suites rely on these
    assert [len(LAWS[name]) for name in ("v1", "v2", "v3", "v4")] == [25, 30, 35, 39]
    assert len(NAMES) == len(set(NAMES)) == 39
    assert LAWS["v4"][:35] == LAWS["v3"]
    assert LAWS["v3"][:30] == LAWS["v2"]
    assert LAWS["v2"][:25] == LAWS["v1"]


def test_tokens_end_in_padding_and_begin_with_a_token_of_their_own():
    from hypothesis import find

    x = find(tokens(5, (3, 4)), lambda x: (x[:, -1] == 0).all() and (x[:, 0] > 0).all())

    assert x.shape == (3, 4)
    assert find(tokens(5, (3, 4)), lambda x: (x > 0).all()).min() > 0
