"""Gradients in a `train_step` of a model's own, in the form of TensorFlow's scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ConfigError, DTypeError, ShapeError, TraceError
from seqc.graph.autodiff import pulled, total
from seqc.graph.ir import Value, as_value
from seqc.graph.scopes import Recording
from seqc.graph.tracing import Trace, Variable, current_trace
from seqc.ops._common import scalar
from seqc.ops.elementwise import cast
from seqc.ops.loops import StepsUnknown
from seqc.ops.shape import ones_like, reshape, shape, zeros_like
from seqc.ops.slicing import stack
from seqc.training.own_steps import end_rehearsal


class UnconnectedGradients(Enum):
    """What a tape gives for a source that the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """Gives gradients in a `train_step` of a model's own, in the form of TensorFlow's scripts.

    Gradients go through what was computed inside `with`; what was computed before or afterwards is constant for the
    tape. `watch` has nothing to do, since any tensor may be a source, and a tape may be asked as often as one likes,
    for gradients of gradients too.

    Args:
        persistent, watch_accessed_variables: taken and not needed.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._made = Recording()

    def __enter__(self) -> GradientTape:
        if self._made.on:
            raise ConfigError("This tape is recording already. Take another GradientTape for a `with` inside its own.")
        self._made.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._made.stop()

    def watch(self, tensor: Any) -> None:
        """Does nothing; see the class."""

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """What is computed inside is constant for the tape."""
        self._require_recording("stop_recording")
        self._made.stop()
        try:
            yield
        finally:
            self._made.start()

    def reset(self) -> None:
        """Forgets what was recorded so far, and records on."""
        self._require_recording("reset")
        self._made = Recording()
        self._made.start()

    def _require_recording(self, what: str) -> None:
        if not self._made.on:
            raise ConfigError(f"GradientTape.{what} works inside the `with` of its tape; this one is not recording.")

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: Any = None
    ) -> Any:
        """Returns d target / d source for each source, in the form of `sources`.

        Args:
            target: a tensor, or a tree of them; of several numbers, their sum.
            sources: variables or tensors, one or a tree of them.
            output_gradients: what the numbers of the target count, in its form; 1 by default.
            unconnected_gradients: "none" for None where the target does not depend on a source; zeros by default.

        Raises:
            TraceError: no step is being traced, or the target was computed outside of `with`.
        """
        trace = _require_step()
        targets = _targets(target)
        given = [None] * len(targets) if output_gradients is None else tree.flatten(output_gradients)
        if len(given) != len(targets):
            raise ShapeError(f"There are {len(targets)} targets; got {len(given)} output_gradients.")
        weights = [_weight(g, y) for g, y in zip(given, targets, strict=True)]
        return self._rows(trace, targets, [weights], sources, unconnected_gradients, lambda rows, _: rows[0])

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: Any = None,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Returns the derivative of each number of the target by each of a source: of its shape and the source's.

        Args:
            target: a tensor. Where it has an axis of samples, the step is traced for batches of one size.
            sources, unconnected_gradients: as for `gradient`.
            parallel_iterations, experimental_use_pfor: taken and not needed.
        """
        trace, (y,) = _require_step(), _targets([target])
        sizes = _known_sizes(y, "jacobian", 0)
        return self._rows(
            trace, [y], [[_only(y, one)] for one in _ones(sizes)], sources, unconnected_gradients,
            lambda rows, x: reshape(stack(rows), (*sizes, *shape(x))),
        )  # fmt: skip

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: Any = None,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Returns the derivative of each sample of the target by the same sample of the source, as `jacobian` does.

        Args:
            target, source: tensors, samples along the first axis; a sample depends on no other.
            unconnected_gradients, parallel_iterations, experimental_use_pfor: as for `jacobian`.
        """
        trace, (y,) = _require_step(), _targets([target])
        read = as_value(source)
        if not y.type.rank or not read.type.rank or y.type.shape[0] != read.type.shape[0]:
            raise ShapeError(f"batch_jacobian needs as many samples in target and source; got {y.type}, {read.type}.")
        sizes = _known_sizes(y, "batch_jacobian", 1)
        return self._rows(
            trace, [y], [[_only(y, one[None])] for one in _ones(sizes)], source, unconnected_gradients,
            lambda rows, x: reshape(stack(rows, axis=1), (shape(x)[0], *sizes, *shape(x)[1:])),
        )  # fmt: skip

    def _rows(
        self, trace: Trace, targets: list[Value], rows: list[list[Value]], sources: Any, unconnected: Any, joined: Any
    ) -> Any:
        """Returns what `joined` makes of the gradients of a source, in the form of the sources.

        Args:
            rows: what the targets count in each of these gradients. unconnected: as `gradient` takes it.
        """
        wanted = None if unconnected is None else _option(unconnected)
        read = [_read(trace, leaf) for leaf in tree.flatten(sources)]
        end_rehearsal(trace)
        found = [self._summed(trace, targets, weights, read) for weights in rows]
        if wanted is None and found:
            _refuse_outside(targets, rows[0], read, found[0])
        results: list[Value | None] = []
        for i, (first, *_) in enumerate(read):
            parts = [row[i] for row in found]
            if wanted is UnconnectedGradients.NONE and all(part is None for part in parts):
                results.append(None)
            else:
                results.append(joined([zeros_like(first) if part is None else part for part in parts], first))
        return tree.pack_sequence_as(sources, results)

    def _summed(
        self, trace: Trace, targets: list[Value], weights: list[Value], read: list[list[Value]]
    ) -> list[Value | None]:
        """Returns the gradient of each source, of all values that stand for it; None where there is none."""

        def passes(value: Value) -> bool:
            return value in self._made or trace.is_read(value)

        found = iter(pulled(targets, weights, [value for values in read for value in values], passes))
        met = [[part for part in [next(found) for _ in values] if part is not None] for values in read]
        return [total(parts) if parts else None for parts in met]


def _require_step() -> Trace:
    trace = current_trace()
    if trace is None:
        raise TraceError(
            "GradientTape.gradient works only inside a step of training: elsewhere tensors are plain numbers, and "
            "nothing remembers what they were made of. Put the body of the loop into train_step(self, data) of a "
            "subclass of Model, which fit and train_on_batch run; 'Loops with GradientTape' in docs/from-keras.md "
            "has an example."
        )
    return trace


def _targets(target: Any) -> list[Value]:
    found = [as_value(leaf) for leaf in tree.flatten(target)]
    for y in found:
        if not y.type.is_float:
            raise DTypeError(f"Gradients start from floating-point numbers; got {y.type}.")
    return found


def _weight(given: Any, y: Value) -> Value:
    """Returns what each number of a target counts."""
    if given is None:
        return ones_like(y) if y.type.rank else scalar(1, y)
    weight = cast(given, y.dtype)
    if weight.type.shape != y.type.shape:
        raise ShapeError(f"output_gradients are of the shape of the target {y.type}; got {weight.type}.")
    return weight


def _known_sizes(y: Value, what: str, first: int) -> tuple[int, ...]:
    """Returns the sizes of a target's axes from one on, of which each number has a gradient of its own."""
    sizes = tuple(size for size in y.type.shape[first:] if isinstance(size, int))
    if first + len(sizes) != y.type.rank:
        raise StepsUnknown(
            f"GradientTape.{what} takes a gradient for each number of the target, and not all sizes of {y.type} are "
            "known. Take batch_jacobian for derivatives of each sample, or gradient of what a sum is taken of."
        )
    return sizes


def _ones(sizes: tuple[int, ...]) -> Sequence[Any]:
    """Returns arrays of these sizes, each with a one at another place."""
    return list(np.eye(prod(sizes), dtype="float32").reshape(-1, *sizes))


def _only(y: Value, one: Any) -> Value:
    return zeros_like(y) + cast(one, y.dtype)


def _option(given: Any) -> UnconnectedGradients:
    try:
        return UnconnectedGradients(given)
    except ValueError:
        raise ConfigError(f"unconnected_gradients is 'none' or 'zero'; got {given!r}.") from None


def _refuse_outside(
    targets: list[Value], weights: list[Value], read: list[list[Value]], found: list[Value | None]
) -> None:
    """Refuses a target that depends on the sources by what was computed outside of `with` only."""
    if any(g is not None for g in found):
        return
    if any(g is not None for g in pulled(targets, weights, [value for values in read for value in values])):
        raise TraceError(
            "The target depends on these sources only by what was computed outside of `with GradientTape()`, which is "
            "constant for the tape. Compute inside `with` what the gradient is to go through; where zeros are meant, "
            "say unconnected_gradients='zero'."
        )


def _read(trace: Trace, source: Any) -> list[Value]:
    """Returns all values that stand for a source: of a variable that was assigned to, the old and the new ones."""
    if isinstance(source, Value):
        return [source] if source.known is None else [source, source.known]
    if not isinstance(source, Variable):
        return [as_value(source)]
    return trace.reads_of(source) or [trace.read(source)]
