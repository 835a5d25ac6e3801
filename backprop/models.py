"""`Sequential`: a chain of layers with a trainer, in Keras' shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from backprop.absent import face
from backprop.config import Registry, custom_object_scope, deserialize, serialize
from backprop.defaults import float_dtype, floatx
from backprop.input_spec import SymbolicArray
from backprop.layer import Array, Layer
from backprop.layer_arrays import unique
from backprop.layers.containers import Chain, Input, InputLayer
from backprop.spelling import nearest
from backprop.training.data import unpack_x_y_sample_weight
from backprop.training.hooks import hook, refuse
from backprop.training.tracking import fresh, metrics_in
from backprop.training.trainer import Trainer
from backprop.vector import ParameterVector


class Fixed:
    """A setting of Keras' engines that has one value here, and refuses another."""

    def __init__(self, value: Any, why: str):
        self.value, self.why = value, why

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, cls: type | None = None) -> Any:
        return self.value

    def __set__(self, model: Any, value: Any) -> None:
        if value != self.value:
            raise ValueError(f"{self.name} is {self.value} here: {self.why}")


class Sequential(Chain):
    """A model: layers one behind the other, trained by back-propagation.

    Parameters
    ----------
    layers : list of Layer, optional
        An `Input` at the front declares the shape, and the model is built at once; otherwise
        it is built for the first data that it sees.
    trainable : bool, default True
    name : str, optional
    dtype : {"float32", "float64"}, default "float32", or what `config.set_floatx` was given
        Of all parameters and of all that is computed; inputs are cast to it once.

    Attributes
    ----------
    parameters : ParameterVector
        All trainable values as one vector, all gradients as another.
    optimizer, loss, metrics
        As compiled.
    history : History
        Of the last `fit`.
    stop_training : bool
        Set it to True in a callback, and the run ends after the batch in hand.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.set_random_seed(0)
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(8, "tanh"), bp.layers.Dense(1)])
    >>> model.compile("adam", loss="mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> history = model.fit(x, x[:, :1] * x[:, 1:], epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
    """

    run_eagerly = Fixed(True, "every run is eager, there is no graph to compile")
    jit_compile = Fixed(False, "there is nothing to compile")
    steps_per_execution = Fixed(1, "there is nothing to compile")

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        dtype=None,
    ):
        self.trainer: Trainer | None = None
        self.history: Any = None
        self.stop_training = False
        self._vector: ParameterVector | None = None
        super().__init__(layers, trainable=trainable, name=name, dtype=dtype)
        self._build_if_declared()

    def __call__(self, inputs, training: bool = False, mask: Array | None = None) -> Array:
        refuse(type(self))
        return super().__call__(inputs, training, mask)

    # ------------------------------------------------------------------ the stack of layers

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Put a layer at the end. Layers that are built keep their values.

        Parameters
        ----------
        layer : Layer
        rebuild : bool, default True
            Build the new layer now, if the shape of its input is known.
        """
        count = len(self._entries)
        self.append(layer)
        try:
            self._restack(rebuild)
        except Exception:
            self._drop(self._entries[count:])
            self._restack(rebuild)
            raise

    def pop(self, rebuild: bool = True) -> Layer | None:
        """Take the last layer off and return it."""
        if not self.layers:
            return None
        layer = self.layers[-1]
        self._drop([layer])
        self._restack(rebuild)
        return layer

    def _drop(self, last: list[Layer]) -> None:
        """Take the last entries off."""
        for entry in reversed(last):
            self._entries.pop()
            if not isinstance(entry, InputLayer):
                self.__dict__["layers"].pop()

    def _restack(self, rebuild: bool) -> None:
        shape = self.build_shape
        self.built = False
        self._vector = None
        if shape is not None and rebuild and self.layers:
            self.build(shape)
        else:
            self._build_if_declared()

    def _build_if_declared(self) -> None:
        if self.declared_shape is not None and self.layers:
            self.build(self.declared_shape)

    def build(self, input_shape: Any = None):
        """Make all parameters.

        Parameters
        ----------
        input_shape : tuple, optional
            With the batch axis: ``(None, 784)``. Default: that of the `Input`.
        """
        if not self.layers:
            raise ValueError(f"{self.name} has no layers: add() some first")
        if self.dtype is None:
            self.__dict__["dtype"] = float_dtype(floatx())
        if self.declared_shape is not None and not fits(input_shape, self.declared_shape):
            raise ValueError(
                f"{self.name} was declared for inputs of {self.declared_shape[1:]} and got "
                f"{tuple(input_shape)[1:]}"
            )
        super().build(tuple(input_shape))
        _ = self.parameters  # lay them now: whoever takes an array from a layer takes the model's

    def check_input(self, shape):
        declared = self.declared_shape
        if declared is not None and not fits(shape, declared):
            advice = self.layers[0].advice(tuple(shape)) if self.layers else ""
            if len(shape) == len(declared) - 1 and fits((None, *shape), declared):
                advice = ", which is a single sample: give x[np.newaxis]"
            raise ValueError(
                f"{self.name} was built for inputs of shape {tuple(declared[1:])} and got "
                f"{tuple(shape[1:])}{advice}"
            )
        super().check_input(shape)

    @property
    def parameters(self) -> ParameterVector:
        """All trainable values as one vector, all gradients as another."""
        self._require_built("parameters")
        if self._vector is None:
            self._vector = ParameterVector(p for p in self.arrays() if p.gradient is not None)
        return self._vector

    def _require_built(self, what: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self.name} is not built yet, so it has no {what}: give it an Input, call it on "
                "data, or build((None, ...))"
            )

    @property
    def input_shape(self):
        """With the batch axis."""
        self._require_built("input_shape")
        shape = self.declared_shape or self.build_shape
        assert shape is not None
        return shape

    @property
    def output_shape(self):
        """With the batch axis."""
        return self.compute_output_shape(self.input_shape)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes a name or an index")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"{self.name} has {len(self.layers)} layers and was asked for number {index}"
                )
            return self.layers[index]
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise ValueError(
                f"{self.name} has no layer {name!r}{nearest(name, names)}; "
                f"it has {', '.join(names)}"
            )
        return self.layers[names.index(name)]

    # ------------------------------------------------------------------ training

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str or Loss
        loss_weights : float, optional
            A factor on the loss.
        metrics : list of str or Metric, optional
            ``"accuracy"`` picks the kind that suits loss and data.
        weighted_metrics : list, optional
            Given the sample weights.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Of Keras' engines; there is no graph here to compile, so only the defaults (or their
            equivalents) are taken.
        """
        if steps_per_execution != 1 or jit_compile is True:
            raise ValueError(
                "steps_per_execution and jit_compile are of Keras' engines: there is nothing to "
                "compile here"
            )
        self.trainer = Trainer(
            self,
            loss,
            optimizer,
            metrics,
            weighted_metrics=weighted_metrics,
            loss_weight=loss_weights,
        )
        self.stop_training = False

    def _trainer(self, what: str) -> Trainer:
        if self.trainer is None:
            raise RuntimeError(
                f"{what}() needs compile() first: model.compile(optimizer='adam', loss='mse')"
            )
        return self.trainer

    @property
    def optimizer(self) -> Any:
        return self.trainer and self.trainer.optimizer

    @property
    def loss(self) -> Any:
        return self.trainer and self.trainer.loss

    @property
    def metrics(self) -> list:
        """Those of `compile`, and those that are attributes of the model."""
        compiled = self.trainer.metrics.items if self.trainer else []
        return [metric for _, metric, _ in compiled] + metrics_in(self)

    @property
    def metrics_names(self) -> list[str]:
        return [] if self.trainer is None else list(self.trainer.results())

    @property
    def compiled(self) -> bool:
        return self.trainer is not None

    def fit(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks=None,
        validation_split: float = 0.0,
        validation_data=None,
        shuffle: bool = True,
        class_weight=None,
        sample_weight=None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ):
        """Train for a number of epochs.

        Parameters
        ----------
        x : array, memory map, SciPy sparse matrix, data frame, or iterable of batches
            A row per sample; an iterable yields ``(x, y)`` or ``(x, y, sample_weight)``.
        y : array, optional
            Targets, unless they come with `x`.
        batch_size : int, default 32
            Of arrays; an iterable has batches already. For L-BFGS the default is all rows, for a
            stateful model the number of sequences whose states it keeps.
        epochs : int, default 1
            The number of the last epoch; see `initial_epoch`.
        verbose : {"auto", 0, 1, 2}
            A progress bar, nothing, the bar, one line per epoch.
        callbacks : list of Callback, optional
        validation_split : float, default 0
            Share of the rows, from the end, that is kept for validation.
        validation_data : tuple or iterable, optional
            ``(x, y)`` or ``(x, y, sample_weight)``, or an iterable of batches. Comes before
            `validation_split`.
        shuffle : bool or "batch", default True
            Anew for each epoch; the order depends only on the seed and the epoch. Batches that can
            be read by index are shuffled as they are, those of other iterables are not. ``"batch"``
            shuffles the rows within each batch, and leaves the batches where they are.
        class_weight : dict of int to float, or "balanced", optional
            A factor for each class in the loss of training, by the class numbers that stand in `y`,
            or are one-hot there; those that are not named weigh 1. The loss says what the classes
            of its targets are: one for each sample, or for each step, pixel ... of it.
            ``"balanced"`` is n / (k n_c), as in scikit-learn, of the rows of `y` that are trained
            on. Rows of `validation_split` are not weighed.
        sample_weight : array, optional
            A factor for each row, or for each step of it. Those of `validation_split` keep theirs.
        initial_epoch : int, default 0
            Where to go on.
        steps_per_epoch, validation_steps : int, optional
            Batches of an epoch, of a validation. Default: all. The next epoch goes on where one of
            some steps stopped; the end of the data ends an epoch too. Of batches that are read by
            index an epoch has as many as there were when the run began, or what is left of them:
            the run warns when their number changes.
        validation_batch_size : int, optional
            Default: `batch_size`.
        validation_freq : int or list of int, default 1
            After how many epochs, or after which, to validate.

        Returns
        -------
        History
            ``history.history["loss"]`` and the like hold a number per epoch.

        Raises
        ------
        RuntimeError
            Before `compile`.
        ValueError, TypeError
            For data that do not fit; the model is then as it was.
        """
        return self._trainer("fit").fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight=None,
        steps: int | None = None,
        callbacks=None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics in inference: a list in the order of `metrics_names` (one number without
        metrics), or a dict.

        The arguments are those of `fit`.
        """
        logs = self._trainer("evaluate").evaluate(
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
        )
        return present(logs, return_dict)

    def predict(
        self,
        x,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks=None,
    ):
        """y for x, in inference and in batches.

        Parameters
        ----------
        x : array, or iterable of batches
            A list of arrays is, as in Keras, one input each, and a `Sequential` has one: a list of
            batches holds tuples, ``[(x,), (x,)]``.
        batch_size : int, optional
            Default: as many rows as keep all arrays in a cache, from 32 to 4096; 32 with `steps`.
        verbose : {"auto", 0, 1, 2}
            2 is one line an epoch, 1 and "auto" a bar.
        steps : int, optional
            Stop after so many batches.
        callbacks : list of Callback, optional

        Returns
        -------
        ndarray
        """
        trainer = self.trainer or Trainer(self)
        return trainer.predict(
            x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks
        )

    def predict_on_batch(self, x) -> Array:
        """y for x, as one batch."""
        return (self.trainer or Trainer(self)).predict_batch(x)

    def generate(
        self,
        prompt,
        n: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed=None,
    ) -> Array:
        """Continue sequences by n tokens each, for a model that predicts the next one: integers
        (N, T) → logits, or a softmax, of shape (N, T, vocabulary).

        Parameters
        ----------
        prompt : array_like of int, (T,) or (N, T)
            What to continue; at least one token. Sequences of a batch have one length.
        n : int
            How many tokens to append to each.
        temperature : float, default 1.0
            What the logits are divided by: less is safer, more is more varied, 0 takes the
            likeliest token each time.
        top_k : int, optional
            Choose among the k likeliest tokens only.
        top_p : float, optional
            Choose among the fewest tokens that hold the share `top_p` of the probability.
        seed : int, optional
            Of the choices. Default: from `utils.set_random_seed`.

        Returns
        -------
        ndarray of int, (T + n,) or (N, T + n)
            The prompt and what follows it.

        Raises
        ------
        TypeError
            Where the prompt does not hold integers.
        ValueError
            For a token outside of the vocabulary, more steps than there are learnt positions, an
            option out of its range, or a model that does not predict a token for each step.

        Notes
        -----
        Where every layer can go step by step, as causal attention, recurrent layers and what works
        on each step by itself can, a new token costs one row, and what the layers need of the
        earlier ones is remembered. Otherwise, as with convolutions, the sequence is computed again.

        Examples
        --------
        >>> import backprop as bp
        >>> bp.utils.set_random_seed(0)
        >>> layers = [bp.layers.Embedding(9, 4), bp.layers.Dense(9)]
        >>> model = bp.Sequential([bp.Input((None,)), *layers])
        >>> model.generate([1, 2, 3], 4, temperature=0).shape
        (7,)
        """
        from backprop.generation import generate

        return generate(self, prompt, n, temperature, top_k, top_p, seed)

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict: bool = False
    ):
        """One optimisation step on a batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As `fit` takes them; all rows are one batch.
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            Loss and metrics of this batch alone, before the step, as `evaluate` returns them.
        """
        logs = self._trainer("train_on_batch").one_batch(
            x, y, sample_weight, class_weight, training=True
        )
        return present(logs, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict: bool = False):
        """Loss and metrics of one batch alone, in inference, as `evaluate` returns them."""
        logs = self._trainer("test_on_batch").one_batch(x, y, sample_weight, training=False)
        return present(logs, return_dict)

    def reset_metrics(self) -> None:
        """Forget the loss and the metrics so far. `fit`, `evaluate`, `train_on_batch` and
        `test_on_batch` begin with it, so only `compute_metrics` by hand needs it."""
        self._trainer("reset_metrics").reset()

    def get_metrics_result(self) -> dict[str, float]:
        """The loss and the metrics so far: of the last batch of `train_on_batch` or
        `test_on_batch`, of the epoch until now within a `fit`, of its last epoch behind it."""
        return self._trainer("get_metrics_result").results()

    # ------------------------------------------------------------------ hooks of a subclass

    @hook
    def train_step(self, data) -> dict[str, float]:
        """One optimisation step on a batch of `fit` or `train_on_batch`.

        For subclasses: `fit` calls it only where it is overridden. An override changes the data and
        ends in ``super().train_step(data)``, or writes the step itself: ``self.trainer.gradients(x,
        y, sample_weight)`` returns (loss, y_pred, mask) and sets ``self.parameters.gradients``,
        ``self.optimizer.step(self.parameters)`` moves the weights.

        Parameters
        ----------
        data : tuple
            ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``; see
            `utils.unpack_x_y_sample_weight`.

        Returns
        -------
        dict
            Loss and metrics of the epoch so far: what the last batch returns is the epoch's.
        """
        return self._trainer("train_step").default_step(data, "train_step")

    @hook
    def test_step(self, data) -> dict[str, float]:
        """The loss and the metrics of a batch of `evaluate`, of a validation or of
        `test_on_batch`; for subclasses, as `train_step`."""
        return self._trainer("test_step").default_step(data, "test_step")

    @hook
    def predict_step(self, data) -> Array:
        """y for a batch ``(x,)`` of `predict` or `predict_on_batch`; for subclasses, as
        `train_step`."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return (self.trainer or Trainer(self)).forward_batch(x)

    @hook
    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training: bool = True
    ) -> float:
        """The loss of predictions, with the penalties on the weights.

        For subclasses: where it is overridden, it is what `evaluate` reports. To be trained on it
        needs its gradient, `compute_loss_gradient`. Within a step the penalties are left out, as
        the trainer adds them to what an override returns.
        """
        return self._trainer("compute_loss").default_loss(y, y_pred, sample_weight)

    @hook
    def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None) -> Array:
        """dL/dy_pred, where L is what an overridden `compute_loss` returns, without penalties.

        It is called after `compute_loss` of the same batch, and only where a subclass writes both.
        """
        raise TypeError(
            f"{type(self).__name__} has no compute_loss_gradient(self, x, y, y_pred, "
            "sample_weight): the trainer knows the gradient of its loss by itself"
        )

    @hook
    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> dict[str, float]:
        """Update the metrics with predictions; returns the loss and the metrics so far.

        For subclasses: where it is overridden, it makes the logs of each batch. Metrics that are
        attributes of the model are reset by themselves, and are in what this method returns.
        """
        return self._trainer("compute_metrics").default_metrics(y, y_pred, sample_weight)

    @property
    def inputs(self) -> list[SymbolicArray]:
        """Shape and dtype of the input, as the one of a list."""
        return [self.input]

    @property
    def outputs(self) -> list[SymbolicArray]:
        """Shape and dtype of the output, as the one of a list."""
        return [self.output]

    # ------------------------------------------------------------------ configuration, files, text

    def get_config(self) -> dict[str, Any]:
        """Name, dtype, layers and input shape."""
        config = super().get_config()
        if self.built and self.dtype is not None and "dtype" in config:
            config["dtype"] = self.dtype.name
        if self.built and not any(entry.declared_shape for entry in self._entries[:1]):
            config["build_shape"] = self.build_shape
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """A model of the same layers, with fresh values."""
        config = dict(config)
        shape = config.pop("build_shape", None)
        model = super().from_config(config, custom_objects)
        if shape:
            model.build(tuple(shape))
        return model

    def get_compile_config(self) -> dict[str, Any] | None:
        """Optimizer, loss and metrics as JSON can hold them; None before `compile`."""
        from backprop import saving

        return saving.compile_config(self)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as `get_compile_config` says."""
        from backprop import saving

        saving.recompile(self, config)

    def to_json(self, **options) -> str:
        """The configuration as JSON; `models.model_from_json` builds the model again."""
        return json.dumps(serialize(self), **options)

    def save(self, filepath, overwrite: bool = True, zipped=None) -> None:
        """Write the whole model to one ``.npz`` file; see `backprop.saving`."""
        from backprop import saving

        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped)

    def save_weights(self, filepath, overwrite: bool = True) -> None:
        """Write the weights alone to one ``.npz`` file."""
        from backprop import saving

        saving.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath, skip_mismatch: bool = False) -> None:
        """Read what `save_weights` or `save` wrote; nothing changes unless all of it fits."""
        from backprop import saving

        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch)

    def summary(
        self,
        line_length: int | None = None,
        positions=None,
        print_fn=None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range=None,
    ) -> None:
        """Print the layers with their output shapes and numbers of parameters."""
        from backprop.summary import summary

        (print_fn or print)(
            summary(self, line_length, positions, expand_nested, show_trainable, layer_range)
        )

    def __getstate__(self):
        return self.__dict__ | {"_vector": None}

    def __setstate__(self, state):
        self.__dict__ |= state
        for p in (p for layer in self.walk() for p in layer._parameters.values()):
            p.memory = None


def fits(shape, declared) -> bool:
    """Whether a shape is one that was declared; None is free."""
    return len(shape) == len(declared) and all(
        want is None or have is None or want == have
        for have, want in zip(shape[1:], declared[1:], strict=True)
    )


def present(logs: dict[str, float], return_dict: bool):
    """Results as Keras returns them: a dict, a list, or the loss alone."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


registry = Registry("models", [Sequential])
registry.base = Sequential


def clone_model(
    model: Sequential,
    input_tensors=None,
    clone_function=None,
    call_function=None,
    recursive: bool = False,
):
    """A model of the same layers with fresh values, compiled alike; the optimizer begins anew.

    Parameters
    ----------
    model : Sequential
    clone_function : callable, optional
        Layer → layer of the new model. Default: a layer of the same configuration.
    input_tensors, call_function, recursive
        Of Keras' functional API, which is not offered here.
    """
    if input_tensors is not None or call_function is not None or recursive:
        raise ValueError(
            "input_tensors, call_function and recursive are of Keras' functional API: not offered"
        )
    twin = with_layers(
        model, copies(model) if clone_function is None else clones(model, clone_function)
    )
    if model.trainer is not None:
        twin.trainer = model.trainer.anew(twin)
    return twin


def copies(model: Sequential) -> list[Layer]:
    """Layers of the same configuration; own classes need not be registered for it."""
    own = {
        type(layer).__name__: type(layer)
        for layer in model.walk()
        if not type(layer).__module__.startswith("backprop.")
    }
    with custom_object_scope(own):
        return deserialize(serialize(model._entries))


def clones(model: Sequential, clone_function: Callable[[Layer], Layer]) -> list[Layer]:
    """What a function makes of each layer; for one in two places it is called once."""
    made = {id(layer): clone_function(layer) for layer in unique(model.layers)}
    shape: list[Layer] = [Input(batch_shape=model.input_shape)] if model.built else []
    return shape + [made[id(layer)] for layer in model.layers]


def with_layers(model: Sequential, layers: list[Layer]) -> Sequential:
    """A model of the same class of other layers. What a constructor of its own has added is copied;
    the constructor, which may make layers, is not called."""
    cls = type(model)
    twin = cls.__new__(cls)
    Sequential.__init__(twin, layers, model.trainable, model.name, dtype=model.dtype)
    if model.built and not twin.built:
        twin.build(model.build_shape)
    twin._arguments = model._arguments | {"layers": twin._entries}
    memo: dict[int, Any] = {id(model): twin}
    memo |= {id(old): new for old, new in zip(model.layers, twin.layers, strict=True)}
    added = {k: v for k, v in model.__dict__.items() if k not in twin.__dict__}
    twin.__dict__ |= {name: fresh(value, memo) for name, value in added.items()}
    return twin


def model_from_json(json_string: str, custom_objects=None) -> Sequential:
    """A model from what `to_json` returned, with fresh values."""
    with custom_object_scope(custom_objects or {}):
        return deserialize(json.loads(json_string))


def save_model(model: Sequential, filepath, overwrite: bool = True, zipped=None) -> None:
    """Write a model to one ``.npz`` file; see `backprop.saving.save_model`."""
    model.save(filepath, overwrite=overwrite, zipped=zipped)


def load_model(
    filepath, custom_objects=None, compile: bool = True, safe_mode: bool = True
) -> Sequential:
    """Read what `save_model` wrote; see `backprop.saving.load_model`."""
    from backprop import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode)


__getattr__ = face(__name__)
