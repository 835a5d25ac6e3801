"""Draw the rooms of the house from the imports of the code: `python docs/images/house.py`.

A room is a folder or a file of the package, or what stands apart in a folder. It stands one floor
above the highest room that it imports, so that every arrow points down; arrows that others imply
are left out. A room's number is that of its lines of code. Writes `house.png` beside this file.
"""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "backprop"
KINDS = {  # what a room is for: its colour, the rooms
    "the contract": (
        "#f6d9b0",
        "context layer layer_arrays layer_calls layer_face parameters vector variable",
    ),
    "names, arguments, settings": (
        "#dfe3ea",
        "arguments construction config registry spelling absent defaults backend checks tuning",
    ),
    "mathematics": (
        "#cfe8d5",
        "linalg parallel random masks seeds input_spec initializers regularizers constraints "
        "activations layers losses metrics optimizers",
    ),
    "training": (
        "#cfdff2",
        "training training.data callbacks distributed data run_state saving models generation",
    ),
    "trust": ("#ecd0dc", "gradcheck testing promises"),
    "to look at, and to tools": (
        "#e3dcf1",
        "diagnostics inspection summary interop interop.estimators interop.live serving cli",
    ),
}
COLOURS = {room: colour for colour, rooms in KINDS.values() for room in rooms.split()}
NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


LOWER = "class_weight ends hooks workers batches reader iterables data"
APART = {  # what stands on another floor than the folder that it is in
    "interop.estimators": "interop.estimators",
    "interop.live": "interop.live",
    **{f"training.{name}": "training.data" for name in LOWER.split()},
}


def room_of(name: str) -> str:
    """backprop.layers.dense → layers."""
    parts = name.split(".")[1:]
    return APART.get(".".join(parts[:2]), parts[0])


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {room_of(name) for name in names if name.startswith("backprop.")}


def lines_of_code(path: Path) -> int:
    """Lines that hold more than a comment or a docstring."""
    text = path.read_text()
    described = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            described |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - described)


def house() -> tuple[dict[str, set[str]], dict[str, int]]:
    """Each room with the rooms that it imports, and with its lines."""
    arrows: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if room in ("__init__", "__main__"):
            continue
        below = imported(path)
        if path.name == "__init__.py":  # a face shows what is in its own folder
            below = {other for other in below if not other.startswith(f"{room}.")}
        arrows.setdefault(room, set()).update(below)
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
    import matplotlib.pyplot as plt

    everything, sizes = house()
    arrows = direct(everything)
    at = places(arrows, floors(everything))
    figure, ax = plt.subplots(figsize=(15.5, 12))
    for room, below in arrows.items():
        for other in below:
            (x0, y0), (x1, y1) = at[room], at[other]
            ax.plot([x0, x1], [y0 - 0.28, y1 + 0.28], color="#8a8f98", lw=0.7, alpha=0.6, zorder=1)
    for room, (x, y) in at.items():
        box = {"boxstyle": "round,pad=0.35", "fc": COLOURS.get(room, "#f4f4f4"), "ec": "#555b66"}
        text = f"{room.removeprefix('interop.')}\n{sizes[room]:,}"
        ax.text(x, y, text, ha="center", va="center", fontsize=8, bbox=box, zorder=2)
    for i, (meaning, (colour, _)) in enumerate(KINDS.items()):
        where, box = (0.01, 0.99 - 0.03 * i), {"fc": colour, "ec": "none", "pad": 2}
        ax.text(*where, f"  {meaning}  ", transform=ax.transAxes, va="top", fontsize=8.5, bbox=box)
    ax.set_axis_off()
    ax.margins(0.04)
    figure.savefig(path, dpi=85, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(__file__).with_name("house.png"))
