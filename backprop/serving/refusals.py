"""What is said to who asked for something that cannot be."""

from __future__ import annotations

from typing import Any

LONGEST = 400  # letters of a message, which may repeat what came


class Refusal(Exception):
    """A request that is not answered: its status, and what was expected instead.

    Attributes
    ----------
    status : int
        Of HTTP.
    message : str
    column : str, optional
        The column, or the input, that does not fit.
    row : int, optional
        Counted from 0, in the order of the request.
    expected : str, optional
        What should stand there, in words.
    headers : dict
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        column: str | None = None,
        row: int | None = None,
        expected: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        if len(message) > LONGEST:
            message = message[: LONGEST // 2] + " ... " + message[5 - LONGEST // 2 :]
        super().__init__(message)
        self.status, self.message = status, message
        self.column, self.row, self.expected = column, row, expected
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        said = {"status": self.status, "message": self.message}
        details = {"column": self.column, "row": self.row, "expected": self.expected}
        return {"error": said | {k: v for k, v in details.items() if v is not None}}
