"""`Story`: sections of short paragraphs, figures and small matrices, as text or as HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import numpy as np

from backprop.spelling import printable

Array = np.ndarray

WIDTH = 96  # characters of a line of text

STYLE = (
    "<style>.backprop-story{font-size:.92em;max-width:60em}"
    ".backprop-story summary{cursor:pointer;font-weight:600;margin:.4em 0}"
    ".backprop-story table{font-size:inherit;color:inherit;border-collapse:collapse;"
    "margin:.2em 0 .6em 1.2em}"
    ".backprop-story td{text-align:left;vertical-align:top;padding:.1em .8em .1em 0;border:0;"
    "background:none}"
    ".backprop-story td:first-child{opacity:.7;white-space:nowrap}"
    ".backprop-story pre{margin:.2em 0 .4em 1.2em;white-space:pre-wrap;background:none}"
    ".backprop-story p{margin:.3em 0}</style>"
)


@dataclass
class Block:
    """What is said of one thing.

    Attributes
    ----------
    title : str
    formulas : list of str
        Lines that are shown as they stand.
    rows : list of (str, str)
        What a figure is called, and the figure.
    arrays : list of (str, ndarray)
        Small ones, with what they are called.
    """

    title: str
    formulas: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    arrays: list[tuple[str, Array]] = field(default_factory=list)


@dataclass
class Section:
    """A heading, what is said below it, and the blocks."""

    title: str
    lines: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class Story:
    """A story in sections: `print` it in a terminal, or let a notebook show it.

    Attributes
    ----------
    title : str
    sections : list of Section
        Each with its `title`, `lines` and `blocks`; a block has a `title`, `formulas`, `rows` of a
        name and a figure, and `arrays`.
    """

    def __init__(self, title: str, sections: list[Section]):
        self.title = title
        self.sections = sections

    def __str__(self) -> str:
        lines = [*wrapped(self.title, ""), "═" * min(len(self.title), WIDTH)]
        for section in self.sections:
            lines += ["", section.title, "─" * len(section.title)]
            for line in section.lines:
                lines += wrapped(line, "")
            for block in section.blocks:
                lines += ["", f"  {block.title}"] if block.title else [""]
                for formula in block.formulas:
                    lines += wrapped(formula, "      ")
                width = max((len(name) for name, _ in block.rows), default=0)
                for name, figure in block.rows:
                    lines += wrapped(figure, f"    {name.ljust(width)}  ")
                for name, array in block.arrays:
                    lines += beside(f"    {name} = ", shown(array))
        return "\n".join(printable(line) for line in lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """As HTML, with every name and number escaped; needs no script and no network."""
        parts = [STYLE, f'<div class="backprop-story"><p><b>{escape(self.title)}</b></p>']
        for section in self.sections:
            parts.append(f"<details open><summary>{escape(section.title)}</summary>")
            parts += [f"<p>{escape(line)}</p>" for line in section.lines]
            for block in section.blocks:
                parts.append(f"<p><b>{escape(block.title)}</b></p>")
                if block.formulas:
                    parts.append(f"<pre>{escape(chr(10).join(block.formulas))}</pre>")
                if block.rows:
                    cells = (
                        f"<tr><td>{escape(name)}</td><td>{escape(figure)}</td></tr>"
                        for name, figure in block.rows
                    )
                    parts.append(f"<table>{''.join(cells)}</table>")
                for name, array in block.arrays:
                    text = "\n".join(beside(f"{name} = ", shown(array)))
                    parts.append(f"<pre>{escape(text)}</pre>")
            parts.append("</details>")
        return "".join([*parts, "</div>"])


def shown(array: Array) -> str:
    """The numbers of a small array; those of 0 to some digits as people write them."""
    return np.array2string(
        np.asarray(array), precision=4, suppress_small=True, max_line_width=WIDTH - 24
    )


def beside(head: str, text: str) -> list[str]:
    """Lines of text, the first behind a head, the others below it."""
    first, *rest = text.split("\n")
    return [head + first, *(" " * len(head) + line for line in rest)]


def wrapped(text: str, head: str) -> list[str]:
    """A text in lines of at most `WIDTH` characters, of which the first begins with a head."""
    lines, line = [], head
    for word in text.split(" "):
        if len(line) + len(word) > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = " " * len(head)
        line += f"{word} "
    return [*lines, line.rstrip()]
