"""The bank as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from backprop.testing.bugs import BANK, FAMILIES, KINDS, VERDICTS, Bug, bugs
from backprop.testing.objects.bugs import MISTAKES

INTRODUCTION = """# The bank of planted mistakes

A checker that has never caught a bug is no evidence. `backprop.testing.bugs` holds {wrong} mistakes
that hand-written backward passes had or could have had, each planted in a small subclass of one of
{layers} layers and losses. Where one was seen in the public issues of a project, the last column
says in which. {right} more are no mistakes: they compute the same in another way, or choose another
slope at a kink, and a check that complains about them is wrong.

`python -m backprop.testing.selftest` confronts all of them with the checker and the laws, and says
who finds whom: each mistake has to break a law, and nothing that is right may. What no law can know
is where a moving average should move to; the mistakes there are found by a naive `reference`, as
those are that forward and backward share. This page is made by
`python -m backprop.testing.bugs > docs/bugs.md`.

| kind | | how many |
|---|---|---|
{kinds}
"""

OBJECTS = """{count} further mistakes are planted in regularizers, constraints, initializers,
metrics and optimizers (`backprop.testing.objects.bugs`), and found by the [laws of their
kinds](laws.md#what-is-no-layer): `python -m backprop.testing.selftest --objects`."""


def page() -> str:
    """All bugs as Markdown, one table a family."""
    wrong = bugs()
    text = INTRODUCTION.format(
        wrong=len(wrong),
        layers=len({bug.layer for bug in wrong}),
        right=len(BANK) - len(wrong),
        kinds="\n".join(
            f"| {k} | {meaning} | {len(bugs(kinds=k))} |" for k, meaning in KINDS.items()
        ),
    )
    for family in FAMILIES:
        name = family.__name__.rpartition(".")[2]
        those = bugs(family=name)
        doc = first_paragraph(family.__doc__)
        text += f"\n## {name.capitalize().replace('_', ' ')}\n\n{doc}\n\n{table(those)}\n"
    meanings = [f"{name.capitalize()}: {VERDICTS[name]}." for name in ("equivalent", "choice")]
    text += f"\n## Of what is no layer\n\n{OBJECTS.format(count=len(MISTAKES))}\n\n"
    text += "| name | in | what is wrong |\n|---|---|---|\n" + "".join(
        f"| {m.name} | {m.kind} | {escaped(m.wrong)} |\n" for m in MISTAKES
    )
    text += f"\n## What is right\n\n{' '.join(meanings)}\n"
    right = [bug for bug in BANK if not bug.to_be_found]
    return text + f"\n{table(right, 'verdict')}\n"


def table(those: Iterable[Bug], second: str = "kind") -> str:
    lines = [f"| name | {second} | breaks | what is wrong | seen in |", "|---|---|---|---|---|"]
    if second != "kind":
        lines[0] = (
            lines[0].replace("breaks", "changes").replace("what is wrong", "what is different")
        )
    for bug in those:
        cells = [bug.name, getattr(bug, second), bug.layer.__name__, bug.wrong, bug.source]
        lines.append(f"| {' | '.join(escaped(cell) for cell in cells)} |")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Markdown that shows the text as it is."""
    for mark in "\\*_[]|<":
        text = text.replace(mark, f"\\{mark}")
    return text


def first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").partition("\n\n")[0].split())
