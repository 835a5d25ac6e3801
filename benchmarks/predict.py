"""A prediction, in microseconds, beside the libraries that predict on a CPU.

    python benchmarks/predict.py [--rows mlp-digits ...] [--sizes one many] [--peers torch jax ...]
                                 [--quick] [--isa avx2] [--repeat 3] [--json FILE]
    python benchmarks/predict.py --show FILE ...     # what several files say together

The networks of `train_step.py`, with their initial weights, asked for one row and for many: 10,000
of numbers, 256 of images and sequences. All inputs are in memory as the library likes them best.
Before anything is timed, every library must predict what ours predicts. The rest is as there.

    predict        ours is `model.predict`, which takes the rows in batches of the size that suits
                   the network; the ratio is to the fastest function of another library
    NumPy alone    ours without compiled kernels, in a process of its own
    best           our fastest way, which for one row is `model(x)` or `predict_on_batch`
    torch          the same, beside PyTorch's `inference_mode`, compiled or not
    keras          `predict`, beside Keras' `predict`
"""

from __future__ import annotations

from dataclasses import replace

from shared.machine import unset_blas_limits

unset_blas_limits()

from shared import study  # noqa: E402 - the environment comes first
from shared.peers import OURS, PLAIN  # noqa: E402
from shared.results import ALONE, Claims, Result  # noqa: E402
from shared.rows import ROWS, Row  # noqa: E402
from shared.study import Study  # noqa: E402

USUAL = [
    *("mlp-tiny", "mlp-digits", "mlp-mnist", "mlp-large", "mlp-wide-sgd", "autoencoder"),
    *("cnn-mnist", "cnn-cifar", "lstm", "gru", "transformer", "embed-bag"),
]


def claims(result: Result) -> Claims:
    """Each ratio's name, whom it is taken to, and which way of ours."""
    fastest = result.fastest
    calls = fastest([*result.loops(), *result.of_keras("predict_on_batch")])
    best = (fastest(result.of(OURS)) or (OURS, "predict"))[1]
    return {
        "predict": (calls, "predict"),
        ALONE: (fastest([s for s in result.of(PLAIN) if s[1] == "predict"]), "predict"),
        "best": (calls, best),
        "torch": (fastest(result.of("torch", "torch.compile")), best),
        "keras": (fastest(result.of_keras("predict", "predict, one batch")), "predict"),
    }


STUDY = Study("predictions", "µs a call", ("", "predictions"), 0, 2, "predict", claims)


def asked(row: Row, size: str) -> Row:
    """The row as a question: its batch is all that is asked at once."""
    many = 10_000 if row.kinds() <= {"Dense"} else 256
    return replace(row, name=f"{row.name}, {size}", batch=1 if size == "one" else many)


def main() -> None:
    parser = study.parser(STUDY, __doc__)
    parser.add_argument("--rows", nargs="+", default=USUAL, choices=ROWS)
    parser.add_argument("--sizes", nargs="+", default=["one", "many"], choices=["one", "many"])
    options = parser.parse_args()
    rows = [asked(ROWS[name], size) for name in options.rows for size in options.sizes]
    study.run(STUDY, rows, options)


if __name__ == "__main__":
    main()
