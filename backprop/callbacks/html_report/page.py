"""The page: what a run was and is, as HTML that needs nothing but itself."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backprop.callbacks.html_report.charts import Line, curves, histogram, levels
from backprop.callbacks.html_report.network import Drawing
from backprop.callbacks.html_report.text import duration, escaped, figure
from backprop.gradcheck.report import Report

MARK = '<meta name="generator" content="backprop.callbacks.HTMLReport">'
STYLE = Path(__file__).with_name("style.css")
REFRESH = 5  # seconds after which an open page of a run that goes on is loaded anew
ROWS = 1000  # of the table of epochs, at most
SIDE = 276.0  # pixels: a network that is wider stands below all else, and not aside
USUAL = 1e-3  # update beside weight
REACHED = 'tabindex="0" role="region" aria-label="{}"'  # what scrolls, by the keyboard too
BESIDES = ("epoch", "seconds")  # what rows have beside what was logged
ALONE = {  # what there is but one of, and the name of its line
    "learning_rate": ("learning rate", "rate"),
    "seconds": ("time of an epoch", "seconds"),
}
VERDICTS = {
    "pass": ("PASS", "gradients certified"),
    "fail": ("FAIL", "gradients checked"),
    "inconclusive": ("open", "gradients undecided"),
}
STATES = {  # what a run does, and whether that is good
    "training": "live",
    "finished": "good",
    "interrupted": "poor",
    "failed": "poor",
}


@dataclass
class Run:
    """What the page shows.

    Attributes
    ----------
    title : str
    state : {"training", "finished", "interrupted", "failed"}
    note : str
        How it ended, if otherwise than at its last epoch.
    epochs : int
        That were asked for.
    rows : list of dict
        Of each epoch "epoch" from 0, "seconds", and what was logged.
    network : Drawing
    settings, environment : mapping of str to str
    warnings : list of str
    flow, activations
        A `GradientFlow` and an `ActivationStatistics`, or None.
    certificate : Report, str or None
        The check of the gradients, or why there is none.
    """

    title: str
    state: str
    epochs: int
    network: Drawing
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    note: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    warnings: Sequence[str] = ()
    flow: Any = None
    activations: Any = None
    certificate: Report | str | None = None


def page(run: Run) -> str:
    """All of it as text."""
    live = f'<meta http-equiv="refresh" content="{REFRESH}">' if run.state == "training" else ""
    aside = run.network.width <= SIDE
    drawn = f'<div class="scroll" {REACHED.format("network")}>{run.network.text}</div>'
    graph = section("Network", drawn, "graph" if aside else "graph wide")
    main = [warned(run), learning(run), flowing(run), active(run), certified(run), all_numbers(run)]
    side = [graph if aside else "", listed("Settings", run.settings)]
    side += [listed("Environment", run.environment)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{MARK}{live}"
        # a page that can neither load nor run anything, whatever the names in it are
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escaped(run.title)} · training report</title>"
        f"<style>{STYLE.read_text('utf-8')}</style></head>\n<body>{header(run)}\n<main>"
        f'<div class="main">{"".join(main)}</div>\n<div class="side">{"".join(side)}</div>'
        f"{'' if aside else graph}</main>\n"
        f"<footer>Written by backprop on {datetime.datetime.now():%Y-%m-%d at %H:%M:%S}.</footer>"
        "</body></html>\n"
    )


def section(title: str, inside: str, kind: str = "") -> str:
    return f'<section class="{kind}"><h2>{title}</h2>{inside}</section>\n' if inside else ""


# ---------------------------------------------------------------------------- head


def header(run: Run) -> str:
    return (
        f"<header><p class='above'>Training report</p><h1>{escaped(run.title)}</h1>"
        f'<p class="state {STATES[run.state]}"><i></i>{escaped(said(run))}</p>'
        f'<dl class="figures">{"".join(key_figures(run))}</dl></header>'
    )


def said(run: Run) -> str:
    done, took = len(run.rows), sum(row["seconds"] for row in run.rows)
    epochs = f"{done:,} epoch{'' if done == 1 else 's'}"
    if run.state == "training":
        last = run.rows[-1]["epoch"] + 1 if run.rows else 0
        return f"Training: epoch {last:,} of {run.epochs:,} is done, after {duration(took)}"
    ending = f", {run.note}" if run.note else ""
    word = {"finished": "Trained", "interrupted": "Interrupted", "failed": "Failed"}[run.state]
    return f"{word} {'after' if word != 'Trained' else 'for'} {epochs} in {duration(took)}{ending}"


def key_figures(run: Run) -> Iterator[str]:
    names = logged(run.rows)
    chosen = [name for name in names if f"val_{name}" in names or name == "loss"]
    # the metrics first: they are what is wanted; losses of single outputs last
    chosen.sort(key=lambda name: 1 if name == "loss" else 2 * name.endswith("_loss"))
    for name in chosen[:3]:
        held = f"val_{name}" in names
        value = latest(run.rows, f"val_{name}" if held else name)
        of = "held out" if held else "training"
        yield key_figure(figure(value), f"{spoken(name)}, {of}")
    if "Parameters" in run.settings:
        yield key_figure(run.settings["Parameters"].partition(" ")[0], "parameters")
    if isinstance(run.certificate, Report):
        verdict = run.certificate.verdict
        yield key_figure(*VERDICTS[verdict], verdict)


def key_figure(value: str, name: str, kind: str = "") -> str:
    return f'<div class="{kind}"><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>'


def logged(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was logged in any epoch, in the order in which it came."""
    return [n for n in dict.fromkeys(n for row in rows for n in row) if n not in BESIDES]


def latest(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return next((row[name] for row in reversed(rows) if name in row), None)


def spoken(name: str) -> str:
    return name.replace("_", " ")


# ---------------------------------------------------------------------------- what happened


def warned(run: Run) -> str:
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in run.warnings)
    count = len(run.warnings)
    title = "A warning" if count == 1 else f"{count} warnings"
    return section(title, f"<ul>{items}</ul>", "warnings") if items else ""


def learning(run: Run) -> str:
    """A chart for the loss and each metric, the rate, and the time."""
    if not run.rows:
        return section("Learning curves", "<p>The first epoch is not over yet.</p>")
    names = logged(run.rows)
    plain = [name for name in names if not name.startswith("val_")]
    plain += [name[4:] for name in names if name.startswith("val_") and name[4:] not in plain]
    plain.sort(key=lambda name: (name != "loss", name == "learning_rate"))
    cards = [curve(run.rows, name) for name in [*plain, "seconds"]]
    return section("Learning curves", f'<div class="cards">{"".join(cards)}</div>')


def curve(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """A chart of what was logged under a name, in training and of the held-out rows."""
    title, words = ALONE.get(name, (spoken(name), "training"))
    lines = [
        Line(said, kind, *values)
        for said, kind, key in ((words, "train", name), ("held out", "held", f"val_{name}"))
        if (values := values_of(rows, key))[0]
    ]
    if name in ALONE:
        lines = [line._replace(kind="plain") for line in lines]
    now = "".join(
        f'<span class="{line.kind}">{line.name} <b>{figure(line.values[-1])}</b></span>'
        for line in lines
    )
    chart = curves(title, lines, log=name == "loss")
    return card(title, f'<p class="now">{now}</p>{chart}')


def values_of(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Epochs, counted from 1, and what was logged in them under a name."""
    there = [row for row in rows if name in row]
    return [row["epoch"] + 1 for row in there], [row[name] for row in there]


def card(title: str, inside: str) -> str:
    return f"<figure><figcaption>{escaped(title)}</figcaption>{inside}</figure>"


def flowing(run: Run) -> str:
    flow = run.flow
    if flow is None or not flow.steps:
        return ""
    maps = (
        ("gradient norm", "√Σ (dL/dw)² of each layer", flow.gradient_norms, None),
        ("update / weight", "|Δw| / |w| of a step; about 1e-3 is usual", flow.update_ratios, USUAL),
    )
    cards = "".join(
        card(name, f'<p class="now">{note}</p>{levels(name, flow.layers, flow.steps, table, at)}')
        for name, note, table, at in maps
    )
    sound = (
        "" if run.warnings else f'<p class="sound">Sound at each of {len(flow.steps)} looks.</p>'
    )
    return section("Gradient flow", f'{sound}<div class="cards">{cards}</div>')


def active(run: Run) -> str:
    """What each layer puts out, at the last look."""
    seen = run.activations
    if seen is None or not seen.steps:
        return ""
    drawn = seen.histograms  # counted when it is asked for
    columns = {
        "layer": [broken(name) for name in seen.layers],
        "mean ± deviation": [
            f"{figure(mean, 3)} ± {figure(deviation, 3)}"
            for mean, deviation in zip(seen.means[-1], seen.deviations[-1], strict=True)
        ],
        "dead": [share(value) for value in seen.dead[-1]],
        "saturated": [share(value) for value in seen.saturated[-1]],
        "histogram": [histogram(*drawn[name]) if name in drawn else "" for name in seen.layers],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    rows = list(zip(*columns.values(), strict=True))
    note = f'<p class="note">What each layer puts out, at step {seen.steps[-1]:,}.</p>'
    return section("Activations", note + table(list(columns), rows, "activations"))


def share(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.3g} %"


# ---------------------------------------------------------------------------- certificate


def certified(run: Run) -> str:
    found = run.certificate
    if not isinstance(found, Report):
        return section("Certificate", f"<p class='note'>{escaped(found)}</p>" if found else "")
    rows = [
        [
            broken(e.name),
            escaped(" × ".join(map(str, e.shape)) or "1"),
            f"{e.difference:.1e}",
            f"{e.bound:.1e}",
            f'<span class="{e.verdict}">{escaped(verdict_of(e))}</span>',
        ]
        for e in found.entries
    ]
    head = ["gradient of", "shape", "|difference|", "bound", "verdict"]
    notes = "".join(f"<li>{escaped(note)}</li>" for note in found.notes())
    return section(
        "Certificate",
        f'<p class="verdict {found.verdict}">{escaped(summed_up(found))}</p>'
        + table(head, rows, "certificate")
        + (f'<ul class="note">{notes}</ul>' if notes else ""),
    )


def verdict_of(entry: Any) -> str:
    word = "FAIL" if entry.verdict == "fail" else entry.verdict
    return f"{word}: {entry.reason}" if entry.reason else word


def summed_up(found: Report) -> str:
    """The verdict in a sentence, with the error that stands behind it."""
    count = len([e for e in found.entries if e.method != "float32"])
    gradients = f"{count} gradient{'' if count == 1 else 's'}"
    if found.verdict == "fail":
        return f"FAIL: of {gradients} {len(found.failed)} are wrong"
    if found.verdict == "inconclusive":
        open_ones = sum(e.verdict == "inconclusive" for e in found.entries)
        return (
            f"Open: no mistake was found in {gradients}, and in {open_ones} none could be ruled out"
        )
    return (
        f"PASS: {gradients} agree with finite differences; the largest difference is "
        f"{largest(found):.1e} of the gradient’s size"
    )


def largest(found: Report) -> float:
    """The largest difference of a gradient's slope, beside that slope's size."""
    shares = [e.difference / e.size for e in found.entries if e.size and e.method != "float32"]
    return max((s for s in shares if math.isfinite(s)), default=0.0)


# ---------------------------------------------------------------------------- tables


def all_numbers(run: Run) -> str:
    """The history as a table: what the curves show, exactly."""
    if not run.rows:
        return ""
    names = [*logged(run.rows), "seconds"]
    step = -(-len(run.rows) // ROWS)
    rows = [
        [f"{row['epoch'] + 1:,}", *(exactly(row.get(name)) for name in names)]
        for row in run.rows[::-step][::-1]
    ]
    note = f"<p class='note'>Every epoch in {step}.</p>" if step > 1 else ""
    shown = table(["epoch", *map(spoken, names)], rows, "epochs")
    return (
        f"<section><details><summary><h2>All numbers</h2></summary>{note}{shown}</details>"
        "</section>\n"
    )


def broken(name: str) -> str:
    """A name that a narrow column may break where its words end."""
    return escaped(name).replace("_", "_<wbr>").replace("/", "/<wbr>")


def exactly(value: float | None) -> str:
    return "–" if value is None else f'<data value="{value!r}">{figure(value)}</data>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str) -> str:
    """Cells are HTML; the first of a row names it. A wide table scrolls in a box of its own."""
    top = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{c}</td>" for c in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" {REACHED.format(kind)}><table class="{kind}">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def listed(title: str, found: Mapping[str, str]) -> str:
    items = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in found.items()
    )
    return section(title, f'<dl class="list">{items}</dl>') if items else ""
