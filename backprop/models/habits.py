"""What a model of Keras has beside training: settings, configurations, files, text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backprop import saving
from backprop.callbacks.console import say
from backprop.config import serialize
from backprop.generation import generate
from backprop.layer import Array
from backprop.summary import as_html, summary


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


class Habits:
    """What Keras' users expect of a chain, and no layer needs."""

    run_eagerly = Fixed(True, "every run is eager, there is nothing to compile")
    jit_compile = Fixed(False, "there is nothing to compile")
    steps_per_execution = Fixed(1, "there is nothing to compile")

    def get_compile_config(self) -> dict[str, Any] | None:
        """Optimizer, loss and metrics as JSON can hold them; None before `compile`."""

        return saving.compiled.compile_config(self)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as `get_compile_config` says."""
        saving.compiled.recompile(self, config)

    def to_json(self, **options) -> str:
        """The configuration as JSON; `models.model_from_json` builds the model again."""
        return json.dumps(serialize(self), **options)

    def save(
        self,
        filepath,
        overwrite: bool = True,
        zipped=None,
        *,
        include_optimizer: bool = True,
        save_format: str | None = None,
        key=None,
    ) -> None:
        """Write the whole model to one file, ``.npz`` or ``.keras``; see `backprop.saving`."""
        saving.save_model(
            self,
            filepath,
            overwrite=overwrite,
            zipped=zipped,
            include_optimizer=include_optimizer,
            save_format=save_format,
            key=key,
        )

    def save_weights(
        self, filepath, overwrite: bool = True, max_shard_size=None, *, names=None, key=None
    ) -> None:
        """Write the weights alone to one file, ``.npz``, ``.weights.h5`` or ``.safetensors``; see
        `backprop.saving`."""
        saving.save_weights(self, filepath, overwrite, max_shard_size, names=names, key=key)

    def load_weights(
        self,
        filepath,
        skip_mismatch: bool = False,
        *,
        by_name=None,
        objects_to_skip=None,
        names=None,
        key=None,
    ) -> None:
        """Read what `save_weights` or `save` wrote, or Keras; see `backprop.saving`. Nothing
        changes unless all of it fits."""
        saving.load_weights(
            self,
            filepath,
            skip_mismatch=skip_mismatch,
            by_name=by_name,
            objects_to_skip=objects_to_skip,
            names=names,
            key=key,
        )

    def summary(
        self,
        line_length: int | None = None,
        positions=None,
        print_fn=None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range=None,
        *,
        batch_size: int = 32,
    ) -> None:
        """Print, or log, the layers with their output shapes, numbers of parameters and of
        multiply-adds for a row, and the memory that training on `batch_size` rows takes.

        A multiply-add is a product that is added to a sum, in a matrix product, a convolution or
        attention; biases, activations, gates, normalization and pooling work number by number and
        have none. ``?`` stands for what is not known: layers that nobody has counted, sizes that
        are free. Layers' outputs are what a step keeps at least; the other arguments are Keras'."""
        if print_fn is not None and not callable(print_fn):
            raise TypeError(f"summary() expects print_fn to be a function, got {print_fn!r}")
        (print_fn or say)(
            summary(
                self,
                line_length,
                positions,
                expand_nested,
                show_trainable,
                layer_range,
                batch_size,
            )
        )

    def _repr_html_(self) -> str:
        """The summary as a notebook shows it."""
        return as_html(self)

    def generate(
        self: Any,
        prompt,
        n: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed=None,
        *,
        source: Any = None,
        beams: int | None = None,
        length_penalty: float = 1.0,
        end: int | None = None,
    ) -> Array:
        """Continue sequences by n tokens each, for a model that predicts the next one: integers
        (N, T) → logits, or a softmax, of shape (N, T, vocabulary). Its other inputs, if it has
        any, stay what `source` says, as what is to be translated does.

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
        source : array_like, list or dict, optional
            The other inputs of a `Model` of several: the only one, a list in their order, or a
            dict by their names. The prompt is for the input that the dict does not name, else for
            the last. A prompt (T,) begins each row of source.
        beams : int, optional
            Search for the likeliest continuation instead of drawing one: keep so many beginnings
            of each sequence. Without an `end`, 1 is `temperature` 0.
        length_penalty : float, default 1.0
            Of a search among continuations that `end` makes unequally long: each has the score
            log p / length^length_penalty. 0 compares probabilities, which favours short ones;
            more favours longer ones.
        end : int, optional
            The token behind which a sequence is over: the rest of the n is filled up with it, and
            computed no more.

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
            option out of its range, source without an input for it, an input without source, or a
            model that does not predict a token for each step.

        Notes
        -----
        Where every layer can go step by step, as causal attention, recurrent layers and what works
        on each step by itself can, a new token costs one row, and what the layers need of the
        earlier ones is remembered. Otherwise, as with convolutions, the sequence is computed again.
        What a model makes of source alone is computed once, in either case.

        The search compares all continuations of its beams by one token (any of which may be
        `end`), and stops where no beam can come to a better score. With as many beams as there are
        sequences it finds the best of all.

        Examples
        --------
        >>> import backprop as bp
        >>> from backprop.layers import Dense, Embedding, TransformerDecoder
        >>> bp.utils.set_random_seed(0)
        >>> model = bp.Sequential([bp.Input((None,)), Embedding(9, 4), Dense(9)])
        >>> model.generate([1, 2, 3], 4, temperature=0).shape
        (7,)

        Two sentences of another language, each to be said in at most five words:

        >>> foreign, own = (bp.Input((None,), dtype="int32") for _ in range(2))
        >>> said = TransformerDecoder(8, 2)(Embedding(9, 4)(own), Embedding(20, 4)(foreign))
        >>> model = bp.Model([foreign, own], Dense(9)(said))
        >>> model.generate([1], 5, source=[[17, 3, 8], [4, 4, 2]], beams=3, end=0).shape
        (2, 6)
        """
        return generate(
            self,
            prompt,
            n,
            temperature,
            top_k,
            top_p,
            seed,
            source=source,
            beams=beams,
            length_penalty=length_penalty,
            end=end,
        )
