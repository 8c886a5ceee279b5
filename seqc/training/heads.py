"""The outputs of a model as `compile` sees them: each with its loss, its share of the whole loss, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqc import losses, metrics, tree
from seqc.errors import ConfigError, ShapeError, TraceError
from seqc.graph.ir import Array, Input, Value, as_value, walk
from seqc.graph.tracing import Variable, current_trace
from seqc.losses.crossing import crossed
from seqc.losses.label_shapes import check_fit
from seqc.ops.elementwise import cast
from seqc.ops.reduce import count_samples
from seqc.ops.shape import expand_dims
from seqc.serialization import refuse_foreign
from seqc.stored import blocks
from seqc.utils.display import note

Shape = tuple[int | None, ...]


class Head:
    """One output: what `compile` was told about it, made into objects once shapes are known.

    Args:
        name: of the output, where there are several; else empty.
        loss: name, object or function; None where the output has none. factor: of its loss in the whole.
        unweighted, weighted: metrics, as they were given.

    Attributes:
        tracker: the mean of the output's own loss, where the logs show it.
        prefix: what the names of its metrics begin with in logs.
    """

    def __init__(
        self, name: str, loss: Any, factor: float | Variable | None, unweighted: list[Any], weighted: list[Any]
    ) -> None:
        self.name, self.loss_id, self.factor = name, loss, factor
        self.prefix = f"{name}_" if name else ""
        self.metric_ids, self.weighted_ids = unweighted, weighted
        self.loss: Any = None
        self.metrics: list[Any] = []
        self.weighted: list[Any] = []
        self.tracker: Any = None
        self._doubted = False

    @property
    def loss_name(self) -> str:
        return losses.object_name(self.loss_id)

    @property
    def needs_labels(self) -> str:
        """What needs labels, for messages; empty where nothing does."""
        where = f" of output '{self.name}'" if self.name else ""
        if self.loss_id is not None:
            return f"The loss '{self.loss_name}'{where}"
        return f"A metric{where}" if self.metric_ids or self.weighted_ids else ""

    def resolve(self, y_true: Shape, y_pred: Shape) -> None:
        """Chooses loss and metrics for labels and predictions of these shapes."""
        if self.loss_id is not None:
            self.loss = losses.resolve(self.loss_id, y_true, y_pred)
        self.metrics = [metrics.resolve(m, y_true, y_pred) for m in self.metric_ids]
        self.weighted = [metrics.resolve(m, y_true, y_pred) for m in self.weighted_ids]

    def refuse_both(self) -> None:
        """Raises ConfigError where one metric would count with weights and without."""
        for metric in self.weighted:
            if metric in self.metrics:
                raise ConfigError(
                    f"Metric '{metric.name}' is given in `metrics` and in `weighted_metrics`, which would add up "
                    "in one total what is weighted and what is not. Make two objects."
                )

    def track(self, path: Sequence[Any] | None) -> None:
        """Shows the mean of the output's own loss in the logs.

        Args:
            path: of the output in what the model gives, where its outputs have no names: a place in a list is called by
            the loss then.
        """
        places = (
            [self.name] if path is None else [*path[:-1], self.loss_name if isinstance(path[-1], int) else path[-1]]
        )
        self.tracker = metrics.Mean(name="/".join(map(str, places)) + "_loss")

    def compute_loss(self, y: Value, y_pred: Value, sample_weight: Value | None) -> Value:
        """Returns the loss of a batch, without penalties, and counts it where the logs show it.

        The mask that the predictions carry is none of the arguments: a `Loss` finds it, one of its own may not care.

        Raises:
            ShapeError: it is not one number. TraceError: it is not made of its arguments with functions of `seqc.ops`.
        """
        if self.loss._labels_like_output:
            check_fit(f"Loss '{self.loss_name}'", y, y_pred)
        value = as_value(self.loss(y, y_pred, sample_weight))
        if crossed(value, y, y_pred):
            note(
                f"Loss '{self.loss_name}' sets labels {y.type} against predictions {y_pred.type} so that every label "
                "meets every prediction. Unless that is meant, give both one shape first: y[:, None], or "
                "seqc.ops.reshape.",
                warn=True,
            )
        if current_trace() is not None and _leaves(value).isdisjoint(_leaves(y_pred)):
            raise TraceError(
                f"Loss '{self.loss_name}' does not depend on the predictions, so that nothing can be learned from it. "
                "Compute it from (y_true, y_pred) with functions of seqc.ops, and return it."
            )
        if value.type.rank:
            raise ShapeError(
                f"Loss '{self.loss_name}' gives {value.type}; training needs one number. Give it a reduction such as "
                '"sum_over_batch_size".'
            )
        if self.tracker is not None and current_trace() is not None:
            self.tracker.update_state(value, sample_weight=count_samples(y_pred))
        return value if self.factor is None else value * self.factor

    def update_metrics(self, y: Value, y_pred: Value, sample_weight: Value | None, mask: Value | None) -> None:
        """Adds a batch to all metrics; a mask enters all of them, sample weights only the weighted ones."""
        for metric in (*self.metrics, *self.weighted):
            if metric._labels_like_output:
                check_fit(f"Metric '{metric.name}'", y, y_pred)
        valid = None if mask is None else cast(mask, y_pred.dtype)
        for metric in dict.fromkeys(self.metrics):
            metric.update_state(y, y_pred, sample_weight=valid)
        weight = sample_weight
        if valid is not None:
            weight = valid if sample_weight is None else valid * _align(sample_weight, valid)
        for metric in dict.fromkeys(self.weighted):
            metric.update_state(y, y_pred, sample_weight=weight)

    def check_labels(self, y: Array | None, y_pred_shape: Sequence[int | None]) -> None:
        """Raises DataError if label values cannot belong to the output; warns once if they can hardly be meant."""
        if y is None or self.loss is None:
            return
        for block in blocks(y):
            doubt = losses.check_labels(self.loss, block, tuple(y_pred_shape))
            if doubt is not None and not self._doubted:
                self._doubted = True
                note(doubt, warn=True)


def says_several(loss: Any = None, loss_weights: Any = None, **groups: Any) -> bool:
    """Tells whether the arguments of `compile` are those for a model of several outputs.

    Args:
        loss, loss_weights: as `compile` takes them. groups: among them metrics and weighted metrics.
    """
    each = [None if _is_one_loss(loss) else loss, loss_weights]
    metrics = [groups.get(name) for name in ("metrics_list", "weighted_metrics")]
    dicts = any(isinstance(given, Mapping) and len(given) > 1 for given in (*each, *metrics))
    lists = any(isinstance(given, list | tuple) and len(given) > 1 for given in each)
    nested = any(
        isinstance(given, list | tuple) and len(given) > 1 and any(isinstance(one, list | tuple) for one in given)
        for given in metrics
    )
    return dicts or lists or nested


def make_heads(
    names: Sequence[str], loss: Any, factors: Any, unweighted: Any, weighted: Any, form: Any = None, keyed: bool = False
) -> list[Head]:
    """Returns the outputs of a model with what `compile` says of each.

    Args:
        names: of the outputs. loss, factors, unweighted, weighted: as `compile` takes them.
        form: of what a model gives whose outputs have no names but the keys of a dictionary; None if all have.
        keyed: whether they are given as a dictionary, of which the losses may leave some out, as in Keras.

    Raises:
        ConfigError: they are not as many as outputs, or name others, or something is not understood.
    """
    if not names:  # nobody knows yet
        return []
    if len(names) == 1:
        kinds = {"loss": loss, "loss_weights": factors, "metrics": unweighted, "weighted_metrics": weighted}
        for what, given in kinds.items():
            _check_name(given, names[0], what)
        own = _listed(unweighted, "metrics"), _listed(weighted, "weighted_metrics")
        return [Head("", _one_loss(loss), _one_factor(factors), *own)]
    every = _is_one_loss(loss)
    each = [loss] * len(names) if every else _per_output(loss, names, "loss", complete=not keyed)
    scales = _per_output(factors, names, "loss_weights")
    groups = [
        _per_output(given, names, kind) for given, kind in ((unweighted, "metrics"), (weighted, "weighted_metrics"))
    ]
    heads = []
    for name, one, scale, *lists in zip(names, each, scales, *groups, strict=True):
        factor = _factor(scale, f"loss_weights needs one number per output; got {scale!r} for output '{name}'.")
        listed = [_listed(given if isinstance(given, list | tuple | None) else [given], "metrics") for given in lists]
        heads.append(Head(name, None if one is None else _one_loss(one), factor, *listed))
    _refuse_shared(heads)
    paths: list[Any] = [None] * len(heads) if form is None else [path for path, _ in tree.flatten_with_path(form)]
    if any(path is not None and (len(path) > 1 or isinstance(path[0], int)) for path in paths):
        for head in heads:
            head.prefix = ""
    tracked = [pair for pair in zip(heads, paths, strict=True) if pair[0].loss_id is not None]
    for head, path in tracked if len(tracked) > 1 else []:
        head.track(path)
    return heads


def _check_name(given: Any, name: str, what: str) -> None:
    """Raises ConfigError where a dictionary of one names another output than the one there is, if that is known."""
    if isinstance(given, dict) and len(given) == 1 and name and name not in given:
        raise ConfigError(
            f"`{what}` names {next(iter(given))!r}, which is no output of the model. Its output is '{name}'."
        )


def _refuse_shared(heads: list[Head]) -> None:
    """Raises ConfigError where one metric would count for two outputs."""
    seen: dict[int, str] = {}
    for head in heads:
        for metric in {id(m): m for m in (*head.metric_ids, *head.weighted_ids)}.values():
            other = seen.setdefault(id(metric), head.name) if isinstance(metric, metrics.Metric) else head.name
            if other != head.name:
                raise ConfigError(
                    f"Metric '{metric.name}' is given for the outputs '{other}' and '{head.name}', which would add "
                    "up in one total. Make two objects."
                )


def _per_output(given: Any, names: Sequence[str], what: str, complete: bool = False) -> list[Any]:
    """Returns what `compile` was given for each output, as a list in their order or a dictionary by their names.

    Args:
        complete: whether a dictionary has to name all outputs, and a list cannot be empty.
    """
    if given is None or (not complete and isinstance(given, list | tuple) and not given):
        return [None] * len(names)
    shown = ", ".join(f"'{name}'" for name in names)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ConfigError(
                f"`{what}` names {', '.join(map(repr, unknown))}, which is no output of the model. Its outputs are "
                f"{shown}."
            )
        missing = [name for name in names if name not in given]
        if missing and complete:
            raise ConfigError(
                f"`{what}` says nothing about the output {', '.join(map(repr, missing))}; the model's outputs "
                f"are {shown}. Give None for an output without a loss."
            )
        return [given.get(name) for name in names]
    if not isinstance(given, list | tuple):
        raise ConfigError(
            f"The model has {len(names)} outputs, {shown}: `{what}` is a list with an entry for each, or a "
            f"dictionary by their names; got {given!r}."
        )
    if len(given) != len(names):
        raise ConfigError(
            f"`{what}` has {len(given)} entries, and the model {len(names)} outputs: {shown}. Give one for each, None "
            "for an output without, or a dictionary by their names."
        )
    return list(given)


def _leaves(value: Value) -> set[Value]:
    """Returns the graph inputs that a value is computed from. Crossentropies go around the softmax before them."""
    return {v for v in walk([value]) if isinstance(v.op, Input)}


def _is_one_loss(loss: Any) -> bool:
    return not isinstance(loss, list | tuple | dict) or (isinstance(loss, dict) and "class_name" in loss)


def _one_loss(loss: Any) -> Any:
    """Returns the loss of the one output; names are checked here, not at the first batch."""
    if not _is_one_loss(loss):
        if len(loss) != 1:
            raise ConfigError(f"A model with one output takes one loss; got {loss!r}.")
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    if not (isinstance(loss, str) and loss in ("crossentropy", "ce")):
        losses.get(loss)
    return loss


def _one_factor(weights: Any) -> float | Variable | None:
    several = isinstance(weights, list | tuple | dict) and len(weights) == 1
    factor = next(iter(weights.values() if isinstance(weights, dict) else weights)) if several else weights
    return _factor(factor, f"loss_weights of a model with one output is one number; got {weights!r}.")


def _factor(given: Any, refusal: str) -> float | Variable | None:
    """Returns a number as what it is, and a variable, whose value then counts as it changes.

    Raises:
        ConfigError: it is none.
    """
    if given is None or isinstance(given, Variable):
        return given
    if not isinstance(given, int | float | np.number | np.ndarray) or np.size(given) != 1:
        raise ConfigError(refusal)
    return float(np.asarray(given).item())


def _listed(given: Any, name: str) -> list[Any]:
    """Returns the metrics of one output, whichever way they were given."""
    if given is None:
        return []
    if isinstance(given, dict):
        if len(given) != 1:
            raise ConfigError(f"The model has one output; `{name}` names {len(given)}: {list(given)}.")
        given = next(iter(given.values()))
        given = given if isinstance(given, list | tuple) else [given]
    if not isinstance(given, list | tuple):
        raise ConfigError(
            f"Expected `{name}` argument to be a list, tuple, or dict. Received instead: {name}={given!r} of type "
            f"{type(given)}"
        )
    if len(given) == 1 and isinstance(given[0], list | tuple):
        given = given[0]
    for metric in given:
        refuse_foreign(metric, "metrics", "metric")
    return [m for m in given if m is not None]


def _align(weight: Value, valid: Value) -> Value:
    """Gives sample weights the axes of a mask, on the right."""
    missing = valid.type.rank - weight.type.rank
    return expand_dims(weight, tuple(range(weight.type.rank, valid.type.rank))) if missing > 0 else weight
