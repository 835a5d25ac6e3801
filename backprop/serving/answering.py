"""A question put to a model, and its answer as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import threading
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from backprop.callbacks import Callback
from backprop.nest import as_tuple
from backprop.serving.arrays import ArrayReader
from backprop.serving.columns import TableReader
from backprop.serving.limits import Limits
from backprop.serving.questions import Question, Reader, parse_json, text_of
from backprop.serving.refusals import Refusal
from backprop.tabular import Preprocessing, answers
from backprop.training.ends import ends_of

Array = np.ndarray
JSON, CSV = "application/json", "text/csv"
LONGEST_HEADER = 4_000


class LateError(Exception):
    """Nobody waits for the answer any more."""


class GivenUp(Callback):
    """Ends a prediction between two batches once it is late, or the server goes down."""

    writes_only = True

    def __init__(self, seconds: float, stop: threading.Event):
        self.due, self.stop = perf_counter() + seconds, stop

    def check(self) -> None:
        if self.stop.is_set() or perf_counter() > self.due:
            raise LateError

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.check()


@dataclass(frozen=True)
class Answer:
    """The body of a response, what it is, and what was odd about the question."""

    body: bytes
    media_type: str
    warnings: list[str]

    @property
    def headers(self) -> dict[str, str]:
        """Where CSV has no room for warnings, a header has it."""
        if self.media_type == JSON or not self.warnings:
            return {}
        said = json.dumps(self.warnings)
        short = len(said) <= LONGEST_HEADER
        return {
            "Backprop-Warnings": said if short else json.dumps([f"{len(self.warnings)} warnings"])
        }


class Served:
    """A model with what its questions and answers are like.

    Parameters
    ----------
    model : Sequential or Model
    prepared : Preprocessing or None
    limits : Limits

    Raises
    ------
    ValueError
        For a model that is not built, or whose layers carry states from one request to the next.
    """

    def __init__(self, model: Any, prepared: Preprocessing | None, limits: Limits):
        model._require_built("predictions to serve")
        for layer in model.walk():
            if getattr(layer, "stateful", False):
                raise ValueError(
                    f"{layer.name} is stateful: what it says would depend on the requests before; "
                    "make it with stateful=False"
                )
        self.model, self.prepared, self.limits = model, prepared, limits
        inputs, self.outputs = ends_of(model)
        self.reader: Reader = (
            TableReader(prepared, model.input_shape[-1], limits)
            if prepared is not None and prepared.columns
            else ArrayReader(inputs, model.inputs, prepared, limits)
        )
        self.stop = threading.Event()

    def answer(self, body: bytes, media_type: str, wanted: str, given_up: GivenUp) -> Answer:
        """The answer to a body of JSON or CSV, in the wanted form."""
        given_up.check()
        if media_type == JSON:
            question = self.reader.from_json(parse_json(body))
        else:
            question = self.reader.from_csv(text_of(body))
        given_up.check()
        y = self.predict(question, given_up)
        if wanted == CSV:
            return Answer(self.as_csv(y), f"{CSV}; charset=utf-8", question.warnings)
        return Answer(self.as_json(y, question.warnings), JSON, question.warnings)

    def predict(self, question: Question, given_up: GivenUp) -> Any:
        try:
            with np.errstate(all="ignore"):  # what comes of it is said in the answer
                return self.model.predict(question.x, verbose=0, callbacks=[given_up])
        except (ValueError, TypeError) as error:
            raise Refusal(422, f"the model takes no such rows: {error}") from error
        except MemoryError as error:
            raise Refusal(413, "there is not enough memory for so many rows") from error

    def as_json(self, y: Any, warnings: list[str]) -> bytes:
        said: dict[str, Any] = {}
        prepared = self.prepared
        if prepared is None:
            parts = as_tuple(self.outputs.in_order(y, "y"))
            found = [
                plain(part, name, warnings) for part, name in zip(parts, self.names, strict=True)
            ]
            said["outputs"] = (
                dict(zip(self.names, found, strict=True)) if len(found) > 1 else found[0]
            )
        else:
            said["target"] = prepared.target
            decoded = prepared.decode(y)
            if prepared.classes is None:
                said["predictions"] = plain(
                    np.array(decoded, np.float64), prepared.target, warnings
                )
            else:
                said |= {"predictions": decoded, "classes": prepared.classes}
                said["probabilities"] = plain(y, prepared.target, warnings)
        said["warnings"] = warnings
        return json.dumps(said, allow_nan=False).encode()

    def as_csv(self, y: Any) -> bytes:
        header, rows = answers(y, self.prepared)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        return text.getvalue().encode()

    @property
    def names(self) -> list[str]:
        """Of the outputs."""
        ends = self.outputs
        return ends.names if len(set(ends.names)) == len(ends.names) else ends.places

    # ------------------------------------------------------------------ what it says of itself

    def schema(self) -> dict[str, Any]:
        """What a body of JSON is like, as JSON Schema; its ``$defs/answer`` is what comes back."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": str(self.model.name),
            **self.reader.schema(),
            "examples": [self.reader.example()],
            "$defs": {"answer": self.answer_schema()},
        }

    def answer_schema(self) -> dict[str, Any]:
        warnings = {"type": "array", "items": {"type": "string"}}
        prepared = self.prepared
        if prepared is None:
            one = {"type": "array"}
            several = {"type": "object", "properties": dict.fromkeys(self.names, one)}
            properties: dict[str, Any] = {"outputs": several if len(self.names) > 1 else one}
        else:
            numbers = {"type": "array", "items": {"type": ["number", "null"]}}
            properties = {"target": {"const": prepared.target}, "predictions": numbers}
            if prepared.classes is not None:
                properties["predictions"] = {"type": "array", "items": {"enum": prepared.classes}}
                properties["classes"] = {"const": prepared.classes}
                properties["probabilities"] = {"type": "array", "items": numbers}
        properties["warnings"] = warnings
        return {"type": "object", "properties": properties, "required": list(properties)}


def plain(y: Array, name: str, warnings: list[str]) -> Any:
    """An array as lists; null, with a warning, for what is not finite, of which JSON knows none."""
    y = np.asarray(y)
    bad = ~np.isfinite(y) if y.dtype.kind == "f" else np.zeros(y.shape, bool)
    if not bad.any():
        return y.tolist()
    row = int(np.flatnonzero(bad.reshape(len(y), -1).any(1))[0])
    warnings.append(f"{name!r} is not finite in row {row}, and null stands there")
    said = y.astype(object)
    said[bad] = None
    return said.tolist()
