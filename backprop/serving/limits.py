"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from backprop.checks import integer, number

WHO = "Limits"


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes
    ----------
    bytes : int, default 8 MiB
        Of the body of a request; more is refused with 413, before it is read where its length is
        announced.
    rows : int, default 100,000
        Of a request; more is refused with 413.
    seconds : float, default 30
        For a body to arrive (408), and for its answer to be computed (504); a prediction that takes
        longer is given up at its next batch.
    at_once : int, default 2
        Requests that are read and computed at the same time; each has a thread.
    waiting : int, default 32
        Requests that are in the house, those `at_once` among them; more are refused with 503.

    Raises
    ------
    TypeError, ValueError
        For a number that is none, or not positive.

    Examples
    --------
    >>> from backprop.serving import Limits
    >>> Limits(rows=1_000).seconds
    30.0
    """

    bytes: int = 8 << 20
    rows: int = 100_000
    seconds: float = 30.0
    at_once: int = 2
    waiting: int = 32

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "seconds":
                if not 0 < number(value, WHO, field.name) < float("inf"):
                    raise ValueError(f"Limits expects seconds to be positive, got {value}")
            else:
                integer(value, WHO, field.name, least=1)
        if self.waiting < self.at_once:
            raise ValueError(
                f"Limits expects waiting, all requests in the house, to be at least "
                f"at_once={self.at_once}, got {self.waiting}"
            )
