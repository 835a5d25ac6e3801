"""Tables of mixed columns as what a network reads: an encoding for each column."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from backprop import layers, saving
from backprop.archive import ModelFileError, describing
from backprop.checks import Positive, choice, integer, one_of, sequence, text
from backprop.config import Configurable, deserialize, serialize
from backprop.layers.columns.column import as_array
from backprop.models import Model
from backprop.registry import reading
from backprop.spelling import nearest
from backprop.symbols import Symbol

Array = np.ndarray
Columns = Mapping[str, Any]


class Cross(Configurable):
    """Several features as one: what `FeatureSpace.cross` makes.

    Parameters
    ----------
    feature_names : tuple of str
    crossing_dim : int
        How many numbers there are for all combinations.
    output_mode : {"one_hot", "int"}
    """

    feature_names: Any
    crossing_dim: Positive
    output_mode: Annotated[str, choice("one_hot", "int")] = "one_hot"

    def __post_init__(self):
        names = sequence(self.feature_names, type(self).__name__, "feature_names")
        self.feature_names = tuple(names)

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)


class Feature(Configurable):
    """How a column is encoded: what `FeatureSpace.feature` makes.

    Parameters
    ----------
    dtype : {"float32", "int32", "string"}, or another dtype
        Of the column.
    preprocessor : Layer
    output_mode : {"one_hot", "int", "float"}
        "one_hot" makes rows of the integers that the preprocessor gives, the others leave what it
        gives as it is.
    """

    dtype: str
    preprocessor: Any
    output_mode: Annotated[str, choice("one_hot", "int", "float")]

    def get_config(self) -> dict[str, Any]:
        """The arguments, with what the preprocessor learned."""
        return super().get_config() | {"preprocessor": serialize(self.preprocessor)}


def named(name: str | None) -> str | None:
    """The name of a preprocessor; without one it gets that of its column."""
    if name is not None:
        text(name, "FeatureSpace", "name")
    return f"{name}_preprocessor" if name else None


class FeatureSpace:
    """y = the encodings of all columns of a table, side by side, or a dict of them.

        x: a dict of columns, each (N,) or (N, 1)    y: (N, width), or a dict of (N, width of each)

    A column is a feature of a kind: numbers as they are, rescaled, normalized or in bins;
    categories by their number in a vocabulary or by their hash. `adapt` learns what there is to
    learn from data: means, boundaries, vocabularies. Then it is called on dicts, in front of a
    model, or it stands in one: ``Model(space.get_inputs(), f(space.get_encoded_features()))``,
    which is saved with all that was learned. Features are put side by side in the order of their
    names, and crosses behind them. Keras' class of that name; it adapts without TensorFlow, to
    data frames and iterables as well.

    Parameters
    ----------
    features : mapping of str to str or Feature
        By the names of the columns: "float", "float_rescaled", "float_normalized",
        "float_discretized", "integer_categorical", "string_categorical", "integer_hashed" or
        "string_hashed"; or what the class methods of these names return, for other arguments than
        the defaults; or a layer of any kind by `feature`.
    output_mode : {"concat", "dict"}
    crosses : list of tuple of str, or of Cross, optional
        Features that say together what none says alone: see `layers.HashedCrossing`.
    crossing_dim : int, default 32
        The width of a cross that is given as a tuple.
    hashing_dim : int, default 32
        The width of "integer_hashed" and "string_hashed".
    num_discretization_bins : int, default 32
        The width of "float_discretized".
    name : str, optional

    Attributes
    ----------
    preprocessors, crossers, one_hot_encoders : dict of str to Layer
        By the names of features and crosses; the encoders once it is adapted.
    inputs : dict of str to Symbol

    Raises
    ------
    ValueError
        Where there are no features, a kind is unknown, a cross names no feature, or it is called
        before `adapt`.

    Examples
    --------
    >>> from backprop.utils import FeatureSpace
    >>> space = FeatureSpace(
    ...     {"age": "float_normalized", "city": "string_categorical", "day": "integer_categorical"},
    ...     crosses=[("city", "day")],
    ...     crossing_dim=4,
    ... )
    >>> table = {"age": [20.0, 40.0, 60.0], "city": ["Oslo", "Rome", "Oslo"], "day": [1, 2, 2]}
    >>> space.adapt(table)
    >>> space(table).shape  # 1 for the age, 3 and 3 for the categories, 4 for the cross
    (3, 11)
    >>> space({"age": 20.0, "city": "Bonn", "day": 1}).round(2)
    array([-1.22,  1.  ,  0.  ,  0.  ,  0.  ,  0.  ,  1.  ,  0.  ,  0.  ,
            1.  ,  0.  ], dtype=float32)
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Any = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ):
        who = type(self).__name__
        if not isinstance(features, Mapping) or not features:
            raise ValueError(f"{who} expects a dict of features that is not empty")
        self.output_mode = one_of(output_mode, ("concat", "dict"), who, "output_mode")
        self.hashing_dim = integer(hashing_dim, who, "hashing_dim")
        bins = integer(num_discretization_bins, who, "num_discretization_bins")
        self.num_discretization_bins = bins
        self.crossing_dim = integer(crossing_dim, who, "crossing_dim")
        crosses = [] if crosses is None else sequence(crosses, who, "crosses")
        self.name = (name if name is None else text(name, who, "name")) or "feature_space"
        self.features = {key: self._feature(key, given) for key, given in features.items()}
        self.crosses = [self._cross(given) for given in crosses]
        self.crosses_by_name = {cross.name: cross for cross in self.crosses}
        self.inputs = {
            key: layers.Input((1,), dtype=feature.dtype, name=key)
            for key, feature in self.features.items()
        }
        self.preprocessors = {key: feature.preprocessor for key, feature in self.features.items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name)
            for cross in self.crosses
        }
        self._adapted = False
        self._forget()

    # ------------------------------------------------------------------ kinds of features

    @classmethod
    def cross(cls, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Several features as one: a number below `crossing_dim` for each combination."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column of that dtype, encoded by a layer of your own choice."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", layers.Linear(name=named(name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None):
        """Numbers times `scale` plus `offset`."""
        made = layers.Rescaling(scale, offset, name=named(name))
        return Feature("float32", made, "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers less their mean, in units of their standard deviation."""
        made = layers.Normalization(name=named(name))
        return Feature("float32", made, "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int | None,
        bin_boundaries: Any = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """The bins of numbers: `num_bins` of them are learned, or `bin_boundaries` are given."""
        name = named(name)
        made = layers.Discretization(bin_boundaries, num_bins, name=name)
        return Feature("float32", made, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Integers that are names, by their numbers in a vocabulary."""
        name = named(name)
        return Feature(
            "int32", layers.IntegerLookup(max_tokens, num_oov_indices, name=name), output_mode
        )

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings by their numbers in a vocabulary."""
        name = named(name)
        return Feature(
            "string", layers.StringLookup(max_tokens, num_oov_indices, name=name), output_mode
        )

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None):
        """Strings by their hashes."""
        made = layers.Hashing(num_bins, name=named(name))
        return Feature("string", made, output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None):
        """Integers by their hashes."""
        made = layers.Hashing(num_bins, name=named(name))
        return Feature("int32", made, output_mode)

    def _feature(self, name: str, given: Any) -> Feature:
        if isinstance(given, Feature):
            if given.preprocessor._name is None:
                given.preprocessor.name = named(name)
            return given
        kind = one_of(given, KINDS, type(self).__name__, f"the feature {name!r}")
        sizes = {
            "float_discretized": (self.num_discretization_bins,),
            "integer_hashed": (self.hashing_dim,),
            "string_hashed": (self.hashing_dim,),
        }
        return getattr(self, kind)(*sizes.get(kind, ()), name=name)

    def _cross(self, given: Any) -> Cross:
        cross = given if isinstance(given, Cross) else Cross(given, self.crossing_dim)
        if len(cross.feature_names) < 2:
            raise ValueError(f"{self!r} expects two or more features in a cross, got {given!r}")
        for name in cross.feature_names:
            self._known(name, f"the cross {cross.name!r} names")
        return cross

    def _known(self, name: Any, where: str) -> None:
        if name not in self.features:
            known = list(self.features)
            raise ValueError(
                f"{self!r} has no feature {name!r}{nearest(str(name), known)}, which {where}"
            )

    # ------------------------------------------------------------------ learning

    def adapt(self, dataset: Any) -> None:
        """Learn from data what preprocessors learn; what was learned before is forgotten.

        Parameters
        ----------
        dataset : mapping of columns, data frame, or iterable of batches of such
            A batch may be a pair of columns and targets, of which the columns count, and may hold
            single values, of one sample.

        Raises
        ------
        ValueError
            Where a feature has no column, or its preprocessor cannot learn from it.
        """
        names = [name for name, layer in self.preprocessors.items() if learns(layer)]
        batches = [dataset] if is_table(dataset) else dataset
        if isinstance(batches, str | bytes) or not isinstance(batches, Iterable):
            raise TypeError(
                f"{self!r}.adapt() expects a dict of columns, a data frame or an iterable of such, "
                f"got {type(dataset).__name__}"
            )
        if iter(batches) is batches:  # it can be read but once
            batches = [{name: self._column(batch, name) for name in names} for batch in batches]
        for name in names:
            self.preprocessors[name].adapt(self._columns(batches, name))
        self._adapted = True
        self._forget()

    def _columns(self, batches: Iterable[Any], name: str) -> Iterator[Array]:
        for batch in batches:
            yield self._column(batch, name)

    def _column(self, batch: Any, name: str) -> Array:
        """A column of a batch: (N, 1)."""
        table = batch[0] if isinstance(batch, tuple) else batch
        if not is_table(table):
            raise TypeError(
                f"{self!r}.adapt() expects batches that are dicts of columns or data frames, got "
                f"{type(table).__name__}"
            )
        if name not in table:
            raise ValueError(f"{self!r} has a feature {name!r}, for which the data have no column")
        return column(table[name])

    def _forget(self) -> None:
        """Be ready to be drawn anew."""
        self.one_hot_encoders: dict[str, Any] = {}
        self.encoded_features: Any = None
        self._model: Any = None

    def _check_adapted(self) -> None:
        if not self._adapted and any(map(learns, self.preprocessors.values())):
            raise ValueError(f"{self!r} has learned nothing yet: call adapt(data) first")

    # ------------------------------------------------------------------ encoding

    def get_inputs(self) -> dict[str, Symbol]:
        """What goes in, by the names of the features: the inputs of a `Model`."""
        self._check_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """What comes out, as a symbolic array or a dict of them: what layers are called on."""
        self._check_adapted()
        if self.encoded_features is None:
            self.encoded_features = self._encoded()
        return self.encoded_features

    def _encoded(self) -> Any:
        given = {name: layer(self.inputs[name]) for name, layer in self.preprocessors.items()}
        crossed = {
            name: crosser([given[part] for part in self.crosses_by_name[name].feature_names])
            for name, crosser in self.crossers.items()
        }
        specs = self.features | self.crosses_by_name
        found = {
            name: self._one_hot(name, specs[name].output_mode, x)
            for name, x in (*sorted(given.items()), *sorted(crossed.items()))
        }
        if self.output_mode == "dict":
            return found
        for name in found:
            if specs[name].output_mode == "int":
                raise ValueError(
                    f"{self!r} cannot put feature {name!r} beside others, as it stays an integer "
                    "(output_mode='int'): take 'one_hot' for it, or FeatureSpace(..., "
                    "output_mode='dict')"
                )
        parts = list(found.values())
        return parts[0] if len(parts) == 1 else layers.Concatenate(axis=-1)(parts)

    def _one_hot(self, name: str, output_mode: str, x: Symbol) -> Symbol:
        if output_mode != "one_hot":
            return x
        layer = self.preprocessors.get(name) or self.crossers[name]
        if layer.output_kind != "i":
            raise ValueError(
                f"{self!r} makes rows of the integers of feature {name!r}, and {layer!r} gives "
                "none: take output_mode='float' for it"
            )
        if not hasattr(layer, "depth"):
            raise ValueError(
                f"{self!r} does not know how many integers {layer!r} of feature {name!r} can give: "
                "take output_mode='int' for it"
            )
        depth = layer.vocabulary_size() if hasattr(layer, "vocabulary_size") else layer.depth
        encoder = layers.CategoryEncoding(depth, output_mode="multi_hot")
        self.one_hot_encoders[name] = encoder
        return encoder(x)

    @property
    def model(self) -> Model:
        """The `Model` from columns to encodings."""
        if self._model is None:
            encoded = self.get_encoded_features()
            self._model = Model(self.get_inputs(), encoded, name=self.name)
        return self._model

    def __call__(self, data: Columns) -> Any:
        """The encodings of a table, or of one sample.

        Parameters
        ----------
        data : mapping of str to array-like, or data frame
            A column or a single value for each feature.

        Returns
        -------
        ndarray (N, width) or dict of them
            Without the batch axis where values are single ones.
        """
        if not is_table(data):
            raise ValueError(
                f"{self!r} is called on a dict of columns or a data frame, got "
                f"{type(data).__name__}"
            )
        for name in data:
            self._known(name, "the data have")
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ValueError(f"{self!r} has features for which the data have no column: {missing}")
        single = any(np.ndim(data[name]) == 0 for name in self.features)
        y = self.model({name: column(data[name]) for name in self.features})
        if not single:
            return y
        return {k: v[0] for k, v in y.items()} if isinstance(y, dict) else y[0]

    # ------------------------------------------------------------------ keeping

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, with the vocabularies and boundaries that it learned;
        `save` keeps means and variances too."""
        return {
            "features": {name: feature.get_config() for name, feature in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [cross.get_config() for cross in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
            "name": self.name,
        }

    @classmethod
    @reading
    def from_config(cls, config: Mapping[str, Any]) -> FeatureSpace:
        """Make one of what `get_config` returned."""
        if not isinstance(config, Mapping) or not {"features", "crosses"} <= config.keys():
            raise TypeError(
                f"{cls.__name__}.from_config() expects what get_config() returned, got {config!r}"
            )
        features = {name: feature_of(entry) for name, entry in config["features"].items()}
        crosses = [Cross(**entry) for entry in config["crosses"]]
        return cls(**{**config, "features": features, "crosses": crosses})

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, *, key: Any = None) -> None:
        """Write it with all that it learned to an ``.npz`` or ``.keras`` file, for `load`. What
        `models.load_model`, ours or Keras', makes of the file is the `Model` from columns to
        encodings."""
        learned = [name for name, layer in self.preprocessors.items() if learns(layer)]
        extra = {"feature_space": self.get_config(), "learned": learned}
        saving.save_model(self.model, filepath, overwrite, extra=extra, key=key)

    @classmethod
    def load(
        cls, filepath: str | os.PathLike, custom_objects: Any = None, *, key: Any = None
    ) -> FeatureSpace:
        """Read what `save` wrote; with a `SigningKey` what it signed.

        Raises
        ------
        ModelFileError
            Where the file is damaged, or holds no feature space.
        """
        model, extra = saving.models.read_model(filepath, custom_objects, key=key)
        if "feature_space" not in extra:
            raise ModelFileError(f"{str(filepath)!r} holds a model and no {cls.__name__}")
        with saving.custom_object_scope(custom_objects), describing(filepath):
            made = cls.from_config(extra["feature_space"])
            made._adapted = True
            for name in extra["learned"]:  # a vocabulary that was learned may be learned anew
                vars(made.preprocessors[name]).update(given=False)
            made.model.set_weights(model.get_weights())
        return made

    def __repr__(self) -> str:
        features = getattr(self, "features", None)
        return f"{type(self).__name__}({', '.join(features or ())})"


KINDS = (
    "float",
    "float_rescaled",
    "float_normalized",
    "float_discretized",
    "integer_categorical",
    "string_categorical",
    "integer_hashed",
    "string_hashed",
)


def learns(layer: Any) -> bool:
    """Whether a preprocessor has to be adapted."""
    return hasattr(layer, "adapt") and not getattr(layer, "given", False)


def is_table(data: Any) -> bool:
    """Whether data are columns by their names: a dict or a data frame."""
    return isinstance(data, Mapping) or (hasattr(data, "columns") and hasattr(data, "to_numpy"))


def column(values: Any) -> Array:
    """A column, or a single value, as an array of shape (N, 1), or (N, ...) where it has more."""
    found = np.asarray(as_array(values))
    return found.reshape(-1, 1) if found.ndim < 2 else found


def feature_of(entry: Mapping[str, Any]) -> Feature:
    preprocessor = deserialize(entry["preprocessor"])
    return Feature(entry["dtype"], preprocessor, entry["output_mode"])
