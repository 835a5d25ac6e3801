"""A saved model behind HTTP: what `backprop serve` runs, and an app for servers of your own.

    app = backprop.serving.app("model.npz")     # uvicorn module:app

`loading` reads a model's file, `limits` says how much a request may ask for and `refusals` what is
said where it asks for more. `questions` makes rows of a body, by `columns` for models of tables and
by `arrays` for others; `answering` has the model predict and writes the answer, and a schema of
both; `page` is what a browser is shown, `web` the app around them, and `server` the process that
`backprop serve` is. Starlette and uvicorn are imported by the last two, where they are called:
``pip install "backprop[serve]"``.
"""

from backprop.serving.limits import Limits
from backprop.serving.loading import load
from backprop.serving.web import app

__all__ = ["Limits", "app", "load"]


def __dir__() -> list[str]:
    return sorted(__all__)
