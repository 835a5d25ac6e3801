"""What a gradient check found."""

from __future__ import annotations

from dataclasses import dataclass

PRECISION = 1e-5  # a bound above this share of the gradient's size decides nothing


@dataclass(frozen=True)
class Entry:
    """One input or parameter.

    Attributes
    ----------
    name, shape
    analytic : float
        <gradient, u> by the backward pass.
    numeric : float
        The slope along u by differences.
    bound : float
        The largest difference that the error of the differences and rounding explain.
    size : float
        Σ |gradient · u|: what a difference is to be compared with.
    evaluations : int
        Forward passes spent.
    """

    name: str
    shape: tuple[int, ...]
    analytic: float
    numeric: float
    bound: float
    size: float
    evaluations: int

    @property
    def difference(self) -> float:
        return abs(self.analytic - self.numeric)

    @property
    def floor(self) -> float:
        """The smallest error of a single entry that would have been seen: |u| is at least 1/2."""
        return 2 * self.bound

    @property
    def verdict(self) -> str:
        scale = max(self.size, abs(self.numeric), 1e-12)
        if not self.difference <= self.bound:  # NaN fails
            return "FAIL"
        return (
            "pass"
            if self.bound <= PRECISION * scale or self.difference == self.size == 0
            else "inconclusive"
        )


@dataclass(frozen=True)
class Report:
    """The verdict on every input and parameter; true in a condition if all passed."""

    subject: str
    entries: list[Entry]
    skipped: list[str]
    evaluations: int

    @property
    def verdict(self) -> str:
        verdicts = {entry.verdict for entry in self.entries}
        return next((v for v in ("FAIL", "inconclusive") if v in verdicts), "pass")

    def __bool__(self) -> bool:
        return self.verdict == "pass"

    def __str__(self) -> str:
        width = max([len("gradient of"), *(len(e.name) for e in self.entries)])
        lines = [
            f"{'gradient of':{width}}  {'shape':>16}  {'|difference|':>12}  {'bound':>9}  {'floor':>9}  verdict"
        ]
        for e in self.entries:
            lines.append(
                f"{e.name:{width}}  {e.shape!s:>16}  {e.difference:12.2e}  {e.bound:9.2e}  {e.floor:9.2e}  {e.verdict}"
            )
        lines += [f"skipped: {reason}" for reason in self.skipped]
        lines.append(
            f"{self.verdict}: {len(self.entries)} gradients, {self.evaluations} forward passes"
        )
        return "\n".join(lines)
