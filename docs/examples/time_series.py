"""Sunspots a year ahead: a recurrent network beside what needs none.

    python docs/examples/time_series.py

The data are the monthly means of sunspots since 1749, which are in the public domain. They come in
the wheel of statsmodels (``pip install statsmodels``), of which only that file is read. A window
holds twelve years, as 24 half years of six months each; the target lies twelve months behind it.
Everything is fitted to targets before 1950 and judged after. It prints the root mean squared
errors, in sunspots: of the last month carried on, of what was there eleven years before (a cycle),
of a linear function of the same 144 months (ridge regression, its penalty chosen on the years from
1920), and of the networks. It takes ten seconds.
"""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np

import backprop as bp

START, SPLIT = 1749, 1950
WINDOW, AHEAD, CYCLE = 144, 12, 132  # months


def monthly_sunspots() -> np.ndarray:
    package = importlib.util.find_spec("statsmodels")
    if package is None or package.origin is None:
        sys.exit("the data come with statsmodels: pip install statsmodels")
    file = Path(package.origin).parent / "datasets" / "sunspots" / "src" / "sunspots_monthly.dat"
    lines = [line.split()[1:] for line in file.read_text().splitlines() if re.match(r"\d{4}", line)]
    return np.array([float(number) for line in lines for number in line])


def linear(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Coefficients of ridge regression; the last one is the constant."""
    x = np.c_[x, np.ones(len(x))]
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def network(x: np.ndarray, y: np.ndarray, seed: int) -> bp.Sequential:
    bp.utils.set_random_seed(seed)
    model = bp.Sequential(
        [
            bp.Input((WINDOW,)),
            bp.layers.Reshape((24, 6)),
            bp.layers.GRU(24),
            bp.layers.Dense(1),
        ]
    )
    model.compile(bp.optimizers.Adam(0.003), loss="mse")
    model.fit(x, y, epochs=15, batch_size=32, verbose=0)
    return model


spots = monthly_sunspots()
series = np.sqrt(spots) / 10  # the spread of counts grows with them, that of their roots does not
windows = bp.utils.timeseries_dataset_from_array(
    series[:-AHEAD], series[WINDOW - 1 + AHEAD :], WINDOW, batch_size=len(series)
)
x, y = next(iter(windows))
year = START + (np.arange(len(y)) + WINDOW - 1 + AHEAD) / 12  # of the targets
train, test, early = year < SPLIT, year >= SPLIT, year < 1920


def error(prediction: np.ndarray, target: np.ndarray) -> float:
    return float(np.sqrt(np.mean((100 * prediction.clip(0) ** 2 - 100 * target**2) ** 2)))


def chosen(penalty: float) -> float:
    """The error of that penalty where it is chosen: before the test."""
    w, late = linear(x[early], y[early], penalty), train & ~early
    return error(x[late] @ w[:-1] + w[-1], y[late])


w = linear(x[train], y[train], min([0.01, 0.1, 1.0, 10.0, 100.0, 1000.0], key=chosen))
answers = [network(x[train], y[train], seed).predict(x[test], verbose=0)[:, 0] for seed in range(5)]
print(f"{len(spots)} months, {train.sum()} windows to learn from, {test.sum()} to foretell")
print(f"the last month                 {error(x[test, -1], y[test]):.1f}")
print(f"eleven years before            {error(x[test, WINDOW - 1 + AHEAD - CYCLE], y[test]):.1f}")
print(f"linear, of the same months     {error(x[test] @ w[:-1] + w[-1], y[test]):.1f}")
print(f"a GRU (mean of five)           {np.mean([error(a, y[test]) for a in answers]):.1f}")
print(f"the mean of five GRUs' answers {error(np.mean(answers, axis=0), y[test]):.1f}")
