"""The rows of the recurrent operations, of their gradients, and of what they are in ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from kit.op_rows import Operand, OpSpec, real, row, still, truth, whole
from seqc.backends.numpy.residuals import GradOfResiduals, WithResiduals
from seqc.export.recurrent.forms import OnnxRecurrent, StepOrder, StepRows, TakeStep, TakeSteps
from seqc.graph import ir
from seqc.graph.dims import Dim
from seqc.ops._gates import GATES
from seqc.ops._recurrent import Recurrent
from seqc.ops.rnn import GRU, LSTM, SimpleRNN

_UNITS, _FEATURES = 3, 2
_STATE = real("batch", _UNITS)
_MASK = truth("batch", "time")


def _run_over_time(note: str, op: Recurrent, *mask: Operand, time: Dim | str = "time") -> Iterator[OpSpec]:
    """A recurrent operation and its gradient, each by itself and, where states are given, as NumPy runs them."""
    columns, shown = op.gates * _UNITS, 1 + op.states
    weights = (real(_FEATURES, columns), real(_UNITS, columns), real(*op.bias_shape(_UNITS)))
    states = (_STATE,) * (op.states * op.has_state)
    inputs = (real("batch", time, _FEATURES), *weights, *states, *mask)
    quiet = [replace(x, differentiable=False) for x in inputs]
    yield row(op, *inputs, note=note, results=shown)
    if op.has_state:
        yield row(WithResiduals(op), *quiet, note=f"residuals-{note}")
    types = WithResiduals(op).infer(*(ir.Type("bool" if x.dtype == "bool" else "float64", x.dims) for x in inputs))
    for given in ((True,) * shown, (False, True) + (False,) * (op.states - 1)):
        upstream = [still(*t.shape) for t, there in zip(types[:shown], given, strict=True) if there]
        gradient, ending = op.gradient(given), "" if all(given) else "-last-only"
        yield row(gradient, *quiet, *upstream, note=note + ending, results=4 + len(states))
        if op.has_state:
            left = (*quiet[1:3], *mask, *_left_by(op, types[shown:], mask), *upstream)
            yield row(GradOfResiduals(gradient), *left, note=f"residuals-{note}{ending}")


def _left_by(op: Recurrent, types: tuple[ir.Type, ...], mask: tuple[Operand, ...]) -> list[Operand]:
    """What a forward run with the weights and the mask drawn before leaves for the gradient."""

    def run(rng: np.random.Generator, size: tuple[int, ...], before: list[Any]) -> Any:
        batch, steps = size[1] if len(size) == 3 else size[2], size[0]
        shapes = ((batch, steps, _FEATURES), op.bias_shape(_UNITS), *[(batch, _UNITS)] * (op.states * op.has_state))
        x, b, *states = (np.random.default_rng(len(shapes)).normal(size=s) for s in shapes)
        masks = before[2 : 2 + len(mask)]
        return op.run(x, *before[:2], b, *states, *masks)[-2 if len(size) == 3 else -1]

    return [still(*t.shape, draw=run) for t in types]


def recurrent_rows() -> Iterator[OpSpec]:
    never = replace(_MASK, draw=lambda rng, size, before: np.zeros(size, bool))
    for kind in (LSTM, GRU, SimpleRNN, partial(GRU, reset_after=False)):
        before = "-before" if isinstance(kind, partial) else ""
        yield from _run_over_time("plain" + before, kind())
        yield from _run_over_time("one-step" + before, kind(), time=1)
        yield from _run_over_time("reverse" + before, kind(reverse=True))
        yield from _run_over_time("state" + before, kind(has_state=True))
        yield from _run_over_time("mask" + before, kind(has_mask=True), _MASK)
        full = partial(kind, has_mask=True, has_state=True)
        yield from _run_over_time("mask-reverse-state" + before, full(reverse=True), _MASK)
        yield from _run_over_time("mask-zero-output" + before, full(zero_output=True), _MASK)
        yield from _run_over_time("mask-zero-output-reverse" + before, full(zero_output=True, reverse=True), _MASK)
        yield from _run_over_time("nothing-valid" + before, full(), never)
    for name in ("softsign", "softplus", "linear", "elu"):
        yield from _run_over_time(name, LSTM(activation=name))
    for name in sorted(set(GATES) - {"tanh"}):
        yield from _run_over_time(name, SimpleRNN(activation=name))
    for kind in (LSTM, GRU):
        yield from _run_over_time("hard", kind(activation="relu", recurrent_activation="hard_sigmoid"))
    yield from _onnx_rows()
    yield from _step_rows()


def _onnx_rows() -> Iterator[OpSpec]:
    x, lengths = still("time", "batch", _FEATURES), whole("batch", low=1, high=5)
    hard: dict[str, Any] = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}
    for cell in (LSTM(), GRU(), GRU(reset_after=False), SimpleRNN(), LSTM(**hard), GRU(**hard)):
        note = f"{cell.onnx}{'-before' * (cell == GRU(reset_after=False))}{'-hard' * (cell.activation == 'relu')}"
        for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            rows = cell.gates * _UNITS
            weights = (still(count, rows, _FEATURES), still(count, rows, _UNITS), still(count, 2 * rows))
            states = (still(count, "batch", _UNITS),) * cell.states
            yield row(OnnxRecurrent(cell, direction), x, *weights, note=f"{note}-{direction}")
            full = OnnxRecurrent(cell, direction, True, True)
            yield row(full, x, *weights, lengths, *states, note=f"{note}-{direction}-lengths-state")


def _step_rows() -> Iterator[OpSpec]:
    for back in (False, True):
        yield row(StepOrder(back), _MASK, note=f"reverse{int(back)}")
        yield row(StepOrder(back), truth("batch", 5), note=f"static-reverse{int(back)}")
    for back in (False, True):
        yield row(StepRows(back), _MASK, note=f"reverse{int(back)}")
    steps = whole(4, "batch", low=0, high=3, dtype="int64")
    yield row(TakeSteps(), still(3, "batch", 2), steps)
    yield row(TakeSteps(), whole(3, "batch"), steps, note="ids")
    yield row(TakeSteps(1), whole("batch", 3), whole("batch", 4, low=0, high=3, dtype="int64"), note="rows")
    yield row(TakeStep(), still(4, 1, "batch", 2), whole("batch", low=0, high=3))
