"""The output of a notebook's cell, drawn anew as a run goes on.

IPython shows what has HTML and plain text as the front end can: a bar in a browser, lines where a
notebook is turned into text. It is asked through what the kernel has imported already; nothing here
imports it.
"""

from __future__ import annotations

import sys
from html import escape
from typing import Any

from backprop.callbacks.console import VOICE, has_cells
from backprop.spelling import printable

MOST_LINES = 20  # epochs that stay on the screen; a run's History has all


class Cell:
    """Finished lines, and below them a bar that moves.

    Parameters
    ----------
    display : function
        IPython's.
    """

    def __init__(self, display: Any):
        self.display = display
        self.handle: Any = None
        self.lines: list[tuple[str, str]] = []
        self.left_out = 0
        self.moving: tuple[str, str] | None = None

    def draw(self, label: str, done: int, target: int | None, text: str) -> None:
        """Show that so many steps are done."""
        self.moving = label, text
        of = f' max="{target}" value="{min(done, target)}"' if target else ""
        self._show(label, text, f"<progress{of}></progress>")

    def finish(self, label: str, text: str) -> None:
        """The bar becomes a line."""
        self.lines.append((label, text))
        if len(self.lines) > MOST_LINES:
            del self.lines[0]
            self.left_out += 1
        self.moving = None
        self._show()

    def stop(self) -> None:
        """The run has ended where it was: a bar that moves no more becomes a line that says so."""
        if self.moving is not None:
            label, text = self.moving
            self.finish(label, f"{text} - stopped")

    def _show(self, label: str = "", text: str = "", bar: str = "") -> None:
        if VOICE.muted:
            return
        earlier = [("", f"{self.left_out:,} lines before")] * bool(self.left_out)
        lines = [*earlier, *self.lines]
        rows = [row(*line, bar="") for line in lines]
        if bar:
            lines.append((label, text))
            rows.append(row(label, text, bar))
        said = (" - ".join(filter(None, map(printable, line))) for line in lines)
        html = f"<table>{''.join(rows)}</table>"
        data = {"text/html": html, "text/plain": "\n".join(said)}
        if self.handle is None:
            self.handle = self.display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)


def row(label: str, text: str, bar: str) -> str:
    """A line of the table; label and text are text, the bar is HTML."""
    cells = escape(label), bar, escape(text)
    left = 'style="text-align: left"'
    return f"<tr>{''.join(f'<td {left}>{cell}</td>' for cell in cells)}</tr>"


def cell_of() -> Cell | None:
    """A cell of the notebook that this process is the kernel of, None elsewhere."""
    return Cell(sys.modules["IPython"].display.display) if has_cells() else None
