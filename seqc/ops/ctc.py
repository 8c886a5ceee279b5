"""Connectionist temporal classification: labels for a sequence of which nobody says when each of them comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DTypeError, NoLoweringError, ShapeError
from seqc.graph.ir import Array, Op, Type, Value, apply, apply_many, as_value
from seqc.ops._common import as_float
from seqc.ops._ctc import Alignments, beam_search, log_softmax
from seqc.ops.arithmetic import negative
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, equal, greater_equal, logical_or, where
from seqc.ops.gather import take_along_axis
from seqc.ops.reduce import argmax, max, sum
from seqc.ops.shape import expand_dims, shape
from seqc.ops.slicing import concatenate
from seqc.ops.sorting import argsort


class _Aligned(Op):
    """Operands: labels (batch, labels), logits (batch, steps, classes), how many of each count (batch,)."""

    blank: int
    sequential = True

    def check(self, target: Type, output: Type, lengths: Sequence[Type]) -> None:
        """Raises ShapeError or DTypeError for operands that do not fit."""
        ranks = (target.rank, output.rank, *(t.rank for t in lengths))
        if ranks != (2, 3, 1, 1):
            raise ShapeError(
                "ctc_loss needs labels (batch, labels), outputs (batch, steps, classes), and the lengths of both "
                f"(batch,); got {target}, {output}, {lengths[0]} and {lengths[1]}."
            )
        if any(t.shape[0] != output.shape[0] for t in (target, *lengths)):
            raise ShapeError(
                "ctc_loss needs as many labels and lengths as outputs; got "
                f"{target}, {lengths[0]} and {lengths[1]} for {output}."
            )
        classes = output.shape[2]
        if isinstance(classes, int) and not 0 <= self.blank < classes:
            raise ShapeError(f"ctc_loss has no class {self.blank} for no label among the classes of {output}.")

    def lower(self, e: Any, y: Value, *names: Any) -> str | tuple[str, ...]:
        raise NoLoweringError(
            f"{self.name} cannot be expressed in ONNX. Export the model alone; it trains with ctc_loss in seqc."
        )


@dataclass(frozen=True, repr=False)
class CTCLoss(_Aligned):
    """Minus the log-probability that logits align with labels, a number per sample; see `Alignments`."""

    blank: int

    def infer(self, target: Type, output: Type, target_length: Type, output_length: Type) -> Type:
        self.check(target, output, (target_length, output_length))
        return output.with_shape(output.shape[:1])

    def eval(self, target: Array, output: Array, target_length: Array, output_length: Array) -> Array:
        return Alignments(target, output, target_length, output_length, self.blank).losses()

    def vjp(self, g: Value, y: Value, *operands: Value) -> Sequence[Value | None]:
        slope = apply(CTCGrad(self.blank), *operands)
        return None, slope * expand_dims(expand_dims(g, -1), -1), None, None


@dataclass(frozen=True, repr=False)
class CTCGrad(_Aligned):
    """The gradient of each sample's `CTCLoss` by its logits."""

    blank: int

    def infer(self, target: Type, output: Type, target_length: Type, output_length: Type) -> Type:
        self.check(target, output, (target_length, output_length))
        return output

    def eval(self, target: Array, output: Array, target_length: Array, output_length: Array) -> Array:
        return Alignments(target, output, target_length, output_length, self.blank).gradients()


@dataclass(frozen=True, repr=False)
class CTCBeamSearch(Op):
    """The most probable label sequences of logits (batch, steps, classes) of which so many steps count (batch,).

    Results: the sequences (paths, batch, steps), int32, filled up with -1, and their log-probabilities (batch, paths).
    """

    width: int
    paths: int
    blank: int

    sequential = True

    def infer(self, output: Type, length: Type) -> tuple[Type, ...]:
        _check_decoded(output, length)
        batch, steps, _ = output.shape
        return Type("int32", (self.paths, batch, steps)), output.with_shape((batch, self.paths))

    def eval(self, output: Array, length: Array) -> Any:
        batch, steps, _ = output.shape
        sequences = np.full((self.paths, batch, steps), -1, np.int32)
        scores = np.full((batch, self.paths), -np.inf, output.dtype)
        logs = log_softmax(output)
        for i in range(batch):
            for k, (score, found) in enumerate(
                beam_search(logs[i], int(length[i]), self.width, self.blank)[: self.paths]
            ):
                sequences[k, i, : len(found)] = found
                scores[i, k] = score
        return sequences, scores

    def lower(self, e: Any, y: Value, *names: Any) -> str | tuple[str, ...]:
        raise NoLoweringError(
            f"{self.name} cannot be expressed in ONNX. Export the model without ctc_decode, or with strategy='greedy'."
        )


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Value:
    """Returns minus the log-probability of labels, however they lie in a sequence: a number per sample.

    It is infinite, with a gradient of zeros, where labels do not fit into the steps.

    Args:
        target: class numbers (batch, labels). output: logits (batch, steps, classes).
        target_length: how many labels count, (batch,). output_length: how many steps count, (batch,).
        mask_index: the class of no label; a negative one counts from the last.

    Raises:
        ShapeError: operands do not fit. DTypeError: lengths are no integers. DataError: a label is no class.
    """
    logits = as_float(output)
    mask_index = _blank(mask_index, logits.type)
    lengths = [_integers(name, x) for name, x in (("target_length", target_length), ("output_length", output_length))]
    return apply(CTCLoss(mask_index), cast(as_value(target), "int32"), logits, *lengths)


def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Value, Value]:
    """Returns the labels that a model trained with `ctc_loss` says, and how sure they are.

    Args:
        inputs: logits (batch, steps, classes). sequence_lengths: how many steps count, (batch,).
        strategy: "greedy" takes the best class of each step, "beam_search" the most probable sequences.
        beam_width: how many sequences a beam search follows. top_paths: how many of them it returns.
        merge_repeated: whether a label that follows itself without a blank counts once; a beam search does that always.
        mask_index: the class of no label; a negative one counts from the last.

    Returns:
        Class numbers (paths, batch, steps), int32, of one path where the strategy is greedy, filled up with -1; and
        per sample and path minus the sum of the best logits where the strategy is greedy, else the log-probability.

    Raises:
        ConfigError: there is no such strategy, or more paths than the beam is wide. ShapeError: operands do not fit.
    """
    logits, lengths = as_float(inputs), _integers("sequence_lengths", sequence_lengths)
    _check_decoded(logits.type, lengths.type)
    mask_index = _blank(mask_index, logits.type)
    if strategy == "greedy":
        return _greedy(logits, lengths, merge_repeated, mask_index)
    if strategy != "beam_search":
        raise ConfigError(f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'.")
    if not 1 <= top_paths <= beam_width:
        raise ConfigError(f"ctc_decode gives 1 to beam_width={beam_width} paths; got top_paths={top_paths}.")
    paths, scores = apply_many(CTCBeamSearch(beam_width, top_paths, mask_index), logits, lengths)
    return paths, scores


def _greedy(logits: Value, lengths: Value, merge_repeated: bool, blank: int) -> tuple[Value, Value]:
    steps = shape(logits)[1]
    places = arange(steps, dtype="int32")
    beyond = greater_equal(expand_dims(places, 0), expand_dims(cast(lengths, "int32"), -1))
    best = where(beyond, blank, cast(argmax(logits, -1), "int32"))
    score = negative(sum(where(beyond, 0.0, max(logits, -1)), 1, True))
    nothing = equal(best, blank)
    if merge_repeated:
        repeated = equal(best[:, 1:], best[:, :-1])
        nothing = logical_or(nothing, concatenate([nothing[:, :1] & False, repeated], 1))
    labels = where(nothing, -1, best)
    # Labels come first, in their order.
    order = argsort(where(nothing, cast(steps, "int32"), expand_dims(places, 0)), 1)
    return expand_dims(take_along_axis(labels, order, 1), 0), score


def _blank(index: int, output: Type) -> int:
    """Returns the class of no label, counted from the first."""
    classes = output.shape[-1] if output.rank else 0
    return index + classes if index < 0 and isinstance(classes, int) else index


def _integers(name: str, x: Any) -> Value:
    value = as_value(x)
    if not value.dtype.startswith(("int", "uint")):
        raise DTypeError(f"{name} are integers; got {value.type}.")
    return value


def _check_decoded(output: Type, length: Type) -> None:
    if output.rank != 3 or length.rank != 1:
        raise ShapeError(
            f"ctc_decode needs outputs (batch, steps, classes) and lengths (batch,); got {output} and {length}."
        )
