"""`TensorBoard`: a run written down for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

import importlib
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from backprop.arguments import Convert
from backprop.callbacks.callback import BatchLogs, Callback, Logs, lazy
from backprop.callbacks.kinds import count
from backprop.checks import NotNegative, integer
from backprop.config import Configurable

IMAGES = 3  # of a kernel


def text_of_path(path: Any, who: str, name: str) -> str:
    return os.fspath(path)


def frequency(value: Any, who: str, name: str) -> str | int:
    if value in ("epoch", "batch"):
        return value
    if isinstance(value, str):
        raise ValueError(f"{who} expects {name} to be 'epoch', 'batch' or a number, got {value!r}")
    return integer(value, who, name)


def no_profile(value: Any, who: str, name: str) -> int:
    if value not in (0, None):
        raise ValueError(
            f"{who} expects {name} to be 0, got {value!r}: there is no engine to profile, and "
            "cProfile sees all that runs: python -m cProfile -o run.prof train.py"
        )
    return 0


def files_of(value: Any, who: str, name: str) -> Any:
    if not isinstance(value, str | os.PathLike | Mapping):
        raise TypeError(
            f"{who} expects {name} to be the path of a file, or a dict of paths by the names of "
            f"layers, got {value!r}"
        )
    return value


class TensorBoard(Configurable, Callback):
    """Write a run into the files that TensorBoard shows: ``tensorboard --logdir logs``.

    What is written, under Keras' names:

        train/        epoch_loss, epoch_learning_rate ... of each epoch; of batches batch_loss ...
        validation/   epoch_loss ..., and evaluation_loss_vs_iterations after each evaluation

    It needs the package tensorboardX: ``pip install "backprop[tensorboard]"``.

    Parameters
    ----------
    log_dir : str or path, default "logs"
    histogram_freq : int, default 0
        Epochs between two histograms of every weight; 0 for none.
    write_graph : bool, default True
        The layers, and which reads what.
    write_images : bool, default False
        With each histogram a picture of the weight too, its values from black to white: a kernel of
        three axes as the pictures of its first three channels, and none of one with more. Needs
        Pillow.
    write_steps_per_second : bool, default False
        The speed of each epoch, and of batches.
    update_freq : {"epoch", "batch"} or int, default "epoch"
        "batch" writes the logs of every batch, a number those of every so many batches.
    profile_batch : int, default 0
        There is no engine to profile: 0 alone.
    embeddings_freq : int, default 0
        Epochs between two copies of the `Embedding` layers' tables for TensorBoard's projector,
        which overwrite each other; 0 for none.
    embeddings_metadata : str or dict, optional
        A file with a label for each row, for all of these layers, or one by the name of each.

    Raises
    ------
    ImportError
        Before training, where tensorboardX is not installed.
    ValueError
        For arguments outside of what is said above; before training, where `embeddings_metadata`
        names no embedding of the model.

    Examples
    --------
    >>> from backprop.callbacks import TensorBoard
    >>> TensorBoard("logs/first", histogram_freq=1)
    TensorBoard('logs/first', histogram_freq=1)
    """

    writes_only = True
    remembers: ClassVar = {"batches": count}

    log_dir: Annotated[str | os.PathLike, Convert(text_of_path)] = "logs"
    histogram_freq: NotNegative = 0
    write_graph: bool = True
    write_images: bool = False
    write_steps_per_second: bool = False
    update_freq: Annotated[str | int, Convert(frequency)] = "epoch"
    profile_batch: Annotated[int, Convert(no_profile)] = 0
    embeddings_freq: NotNegative = 0
    embeddings_metadata: Annotated[Any, Convert(files_of)] = None

    def __post_init__(self):
        self.batches = 0  # of the run
        self._writers: dict[str, Any] = {}
        self._closing: list[Callable] = []
        self._training = False

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        tensorboard()  # an error now, and not after an epoch
        if self.embeddings_freq and isinstance(self.embeddings_metadata, Mapping):
            names = [layer.name for layer in embeddings(model)]
            if unknown := set(self.embeddings_metadata) - set(names):
                raise ValueError(
                    f"TensorBoard has embeddings_metadata of {', '.join(sorted(unknown))}, and the "
                    f"embeddings of {model.name} are {', '.join(names) or 'none'}"
                )

    # ------------------------------------------------------------------ the run

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        self._training, self.batches = True, 0
        if self.write_graph:
            self._add("train", 0, graph_def=graph_of(self.model))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._training = False
        self._close()

    def on_exception(self, error: BaseException) -> None:
        self._training = False
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began, self._before = time.perf_counter(), self.batches

    @lazy
    def on_train_batch_begin(self, batch: int, logs: BatchLogs = None) -> None:
        self._batch_began = time.perf_counter()

    @lazy
    def on_train_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        self.batches += 1
        freq = self.update_freq
        every = freq if isinstance(freq, int) else int(freq == "batch")
        if not every or self.batches % every:
            return
        found = dict(logs() if callable(logs) else logs or {})
        if self.write_steps_per_second:
            found["steps_per_second"] = 1 / (time.perf_counter() - self._batch_began)
        self._write("train", "batch_{}", found, self.batches)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        train = {name: v for name, v in logs.items() if not name.startswith("val_")}
        train["learning_rate"] = self.model.optimizer.learning_rate
        if self.write_steps_per_second:
            took = time.perf_counter() - self._epoch_began
            train["steps_per_second"] = (self.batches - self._before) / took
        self._write("train", "epoch_{}", train, epoch)
        validation = {name[4:]: v for name, v in logs.items() if name.startswith("val_")}
        if validation:
            self._write("validation", "epoch_{}", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        step = self.model.optimizer.iterations
        self._write("validation", "evaluation_{}_vs_iterations", logs or {}, step)
        if self._training:
            self._writer("validation").flush()
        else:
            self._close()

    # ------------------------------------------------------------------ what is written

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            folder = os.path.join(self.log_dir, name)
            os.makedirs(folder, exist_ok=True)
            suffix = f".{os.urandom(4).hex()}"  # else two files of one second are one
            # FileWriter's flush leaves behind what its thread has not yet taken up
            writer = tensorboard().event_file_writer.EventsWriter
            self._writers[name] = writer(os.path.join(folder, "events"), suffix)
            # a run that ends in an exception closes its files too
            self._closing.append(weakref.finalize(self, self._writers[name].close))
        return self._writers[name]

    def _add(self, folder: str, step: int, **what: Any) -> None:
        event = messages("event").Event(step=int(step), wall_time=time.time(), **what)
        self._writer(folder).write_event(event)

    def _close(self) -> None:
        for close in self._closing:
            close()
        self._writers, self._closing = {}, []

    def __getstate__(self) -> dict[str, Any]:
        # a copy writes files of its own
        return super().__getstate__() | {"_writers": {}, "_closing": []}

    def _write(self, folder: str, tag: str, logs: Mapping[str, Any], step: int) -> None:
        scalar = tensorboard().summary.scalar
        for name, value in logs.items():
            if np.ndim(value) == 0:  # a metric may report an array
                self._add(folder, step, summary=scalar(tag.format(name), float(value)))

    def _write_weights(self, epoch: int) -> None:
        summary = tensorboard().summary
        for variable in self.model.weights:
            values = np.asarray(variable)
            finite = values[np.isfinite(values)]
            if finite.size:
                histogram = summary.histogram(f"{variable.path}/histogram", finite, bins=30)
                self._add("train", epoch, summary=histogram)
            if self.write_images:
                for i, picture in enumerate(pictures(values)):
                    tag = f"{variable.path}/image" + (f"/{i}" if i else "")
                    image = summary.image(tag, picture, dataformats="HW")
                    self._add("train", epoch, summary=image)

    def _write_embeddings(self) -> None:
        """Tables for the projector: a file of numbers each, and one that lists them."""
        lines = []
        for layer in embeddings(self.model):
            file = f"{layer.name}.tsv"
            os.makedirs(self.log_dir, exist_ok=True)
            np.savetxt(os.path.join(self.log_dir, file), layer.embeddings, "%.9g", delimiter="\t")
            named = {"tensor_name": layer.name, "tensor_path": file}
            labels = self.embeddings_metadata
            labels = labels.get(layer.name) if isinstance(labels, Mapping) else labels
            if labels is not None:
                named["metadata_path"] = os.path.abspath(os.fspath(labels))
            lines += ["embeddings {", *(f'  {k}: "{v}"' for k, v in named.items()), "}"]
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "w") as config:
            config.write("\n".join(lines) + "\n")


def tensorboard() -> Any:
    """The package tensorboardX, imported when it is used first."""
    try:
        import tensorboardX
    except ImportError as error:
        raise ImportError(
            'TensorBoard\'s files are written by tensorboardX: pip install "backprop[tensorboard]"'
        ) from error
    return tensorboardX


def messages(kind: str) -> Any:
    """The module of tensorboardX with the messages of this kind."""
    return importlib.import_module(f"tensorboardX.proto.{kind}_pb2")


def graph_of(model: Any) -> bytes:
    """The layers of a model as a graph of TensorBoard's, in bytes."""
    node = messages("node_def").NodeDef
    nodes = [node(name=name, op=kind, input=reads) for name, kind, reads in nodes_of(model)]
    return messages("graph").GraphDef(node=nodes).SerializeToString()


def nodes_of(model: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Each layer's name and class, and the names of those that it reads."""
    if hasattr(model, "connections"):
        for layer, _, reads in model.connections():
            yield layer.name, type(layer).__name__, [read.partition("[")[0] for read in reads]
        return
    before: list[str] = []
    for layer in model.layers:
        yield layer.name, type(layer).__name__, before
        before = [layer.name]


def embeddings(model: Any) -> list[Any]:
    """The layers of a model with a table of vectors."""
    return [layer for layer in model.layers if hasattr(layer, "embeddings")]


def pictures(values: np.ndarray) -> Iterator[np.ndarray]:
    """An array of one to three axes as images, (height, width), of bytes."""
    values = np.nan_to_num(values.squeeze().astype(np.float64))
    if values.ndim > 3:
        return
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    grey = 255 * (values - low) / (high - low if high > low else 1)
    image = np.atleast_2d(grey).astype(np.uint8)
    if image.ndim == 2:
        yield image if image.shape[0] <= image.shape[1] else image.T
    else:
        yield from np.moveaxis(image, -1, 0)[:IMAGES]
