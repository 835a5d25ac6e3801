"""Models to serve, and a server in a thread to ask."""

import contextlib
import csv
import http.client
import json
import threading

import numpy as np

import backprop as bp
from backprop import saving, serving, tabular
from backprop.serving import server

JSON, CSV = {"Content-Type": "application/json"}, {"Content-Type": "text/csv"}
COLUMNS = ["area", "built", "<script>alert(1)</script>", "sold", "share"]
LEVELS = ["hill", "old town", "Ünï 猫"]


def houses(path, rows=60):
    """A table with numbers, gaps, texts, dates and percentages, a price and a quality."""
    rng = np.random.default_rng(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, "price", "quality"])
        for i in range(rows):
            cells = [f"{rng.uniform(30, 200):.1f}", "" if i % 7 == 3 else 1900 + i, LEVELS[i % 3]]
            cells += [f"{1 + i % 28}.{1 + i % 12}.2024", f"{i % 50},5 %"]
            table.writerow([*cells, 1000 * i, "good" if i % 2 else "bad"])
    return path


def house_model(folder, target="price", name="houses", key=None):
    """The file of a model with the preprocessing that `train` would write, and random weights."""
    table = tabular.read_csv(houses(folder / f"{name}.csv"), decimal=",")
    prepared, everything = tabular.Preprocessing(), np.arange(len(table.rows))
    y, _ = tabular.read_target(table, target, "auto")
    task = tabular.choose_task(y, "auto", target)
    prepared.learn_target(y, everything, task, target)
    prepared.learn_columns(table, COLUMNS, everything)
    bp.utils.set_random_seed(0)
    ends = [bp.layers.Dense(2, "softmax")] if prepared.classes else [bp.layers.Dense(1)]
    width = prepared.encode(table).shape[1]
    model = bp.Sequential([bp.Input((width,)), bp.layers.Dense(16, "tanh"), *ends], name=name)
    path = folder / f"{name}.npz"
    saving.save_model(model, path, extra={"preprocessing": prepared.to_json()}, key=key)
    return path


class Client:
    """Asks a server of this process."""

    def __init__(self, port):
        self.port = port

    def __call__(self, method, path, body=None, headers=None):
        """(status, headers, body), the body read where it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            said = response.read()
            kind = response.headers.get_content_type()
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            if kind.endswith("json"):
                said = json.loads(said, parse_constant=lambda name: 1 / 0)  # no NaN
            return response.status, response.headers, said

    def predict(self, data, headers=JSON):
        body = data if isinstance(data, str | bytes) else json.dumps(data)
        return self("POST", "/predict", body.encode() if isinstance(body, str) else body, headers)

    def answer(self, data, headers=JSON):
        status, _, said = self.predict(data, headers)
        assert status == 200, said
        return said

    def error(self, status, data, headers=JSON):
        found, _, said = self.predict(data, headers)
        assert found == status, said
        assert said["error"]["status"] == status
        return said["error"]


@contextlib.contextmanager
def running(app):
    listener = server.listening("127.0.0.1", 0)
    port, ready, stop = listener.getsockname()[1], threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve, args=(app, listener, ready.set, stop))
    thread.start()
    try:
        assert ready.wait(20)
        yield Client(port)
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def serving_model(model, **options):
    return running(serving.app(model, **options))
