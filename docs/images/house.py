"""Draw the rooms of the house from the imports of the code: `python docs/images/house.py`.

A room is a folder or a file of the package. It stands one floor above the highest room that it
imports, so that every arrow points down; arrows that others imply are left out. A room's number is
that of its lines of code. Writes `house.png` beside this file.
"""

import ast
import io
import tokenize
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "backprop"
COLOURS = {  # what a room is for
    "the contract and its chain": ("context layer layer_arrays layer_calls layer_face parameters vector variable", "#f6d9b0"),
    "names, arguments, settings": ("arguments config registry spelling absent defaults backend checks tuning", "#dfe3ea"),
    "mathematics": ("linalg parallel random masks seeds input_spec initializers regularizers constraints activations layers losses metrics optimizers", "#cfe8d5"),
    "training": ("training callbacks models generation", "#cfdff2"),
    "trust": ("gradcheck testing promises", "#ecd0dc"),
}  # fmt: skip


def room_of(name: str) -> str:
    return name.split(".")[1] if name.count(".") else ""


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("backprop"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= (
                {room_of(name) for name in names}
                if node.module == "backprop"
                else {room_of(node.module)}
            )
        elif isinstance(node, ast.Import):
            found |= {room_of(a.name) for a in node.names if a.name.startswith("backprop.")}
    return found


def lines_of_code(path: Path) -> int:
    """Lines that hold more than a comment or a docstring."""
    text = path.read_text()
    described = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            described |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    skipped = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - described)


def house() -> tuple[dict[str, set[str]], dict[str, int]]:
    """Each room with the rooms that it imports, and with its lines."""
    arrows: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room in ("__init__", "__main__"):
            continue
        arrows.setdefault(room, set()).update(imported(path))
        sizes[room] = sizes.get(room, 0) + lines_of_code(path)
    return {room: (below - {room}) & arrows.keys() for room, below in arrows.items()}, sizes


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    known: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in known:
            known[room] = 0  # a circle would end here
            known[room] = max((floor(below) + 1 for below in arrows[room]), default=0)
        return known[room]

    for room in arrows:
        floor(room)
    return known


def direct(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that follow from others."""

    def reached(room: str) -> set[str]:
        return (
            set().union(*({below} | reached(below) for below in arrows[room]))
            if arrows[room]
            else set()
        )

    return {
        room: {b for b in below if not any(b in reached(other) for other in below - {b})}
        for room, below in arrows.items()
    }


def places(arrows: dict[str, set[str]], level: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Where each room stands: on its floor, near the middle of what it imports."""
    at: dict[str, tuple[float, float]] = {}
    for floor in range(max(level.values()) + 1):
        here = [room for room in arrows if level[room] == floor]
        wish = {
            r: sum(at[b][0] for b in arrows[r]) / len(arrows[r]) if arrows[r] else 0.0 for r in here
        }
        here.sort(key=lambda room: (wish[room], room))
        for i, room in enumerate(here):
            at[room] = (i - (len(here) - 1) / 2, floor)
    return at


def draw(path: Path) -> None:
    everything, sizes = house()
    arrows = direct(everything)
    level = floors(everything)
    at = places(arrows, level)
    colour = {room: c for names, c in COLOURS.values() for room in names.split()}
    figure, ax = plt.subplots(figsize=(12, 11))
    for room, below in arrows.items():
        for other in below:
            (x0, y0), (x1, y1) = at[room], at[other]
            ax.plot([x0, x1], [y0 - 0.28, y1 + 0.28], color="#8a8f98", lw=0.7, alpha=0.6, zorder=1)
    for room, (x, y) in at.items():
        style = {
            "boxstyle": "round,pad=0.35",
            "fc": colour.get(room, "#f4f4f4"),
            "ec": "#555b66",
            "lw": 0.8,
        }
        ax.text(
            x,
            y,
            f"{room}\n{sizes[room]:,}",
            ha="center",
            va="center",
            fontsize=8.5,
            bbox=style,
            zorder=2,
        )
    for i, (meaning, (_, c)) in enumerate(COLOURS.items()):
        ax.text(0.01, 0.99 - 0.03 * i, f"  {meaning}  ", transform=ax.transAxes, va="top", fontsize=8.5,
                bbox={"fc": c, "ec": "none", "pad": 2})  # fmt: skip
    ax.set_axis_off()
    ax.margins(0.04)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(__file__).with_name("house.png"))
