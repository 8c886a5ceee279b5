"""Training steps of models of several outputs, with steps of their own and losses that layers add, on onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc
from kit.graph_runs import step_file
from kit.meeting_programs import OPTIMIZERS, compiled, made, per_batch
from kit.step_programs import PROGRAMS, two_optimizers
from kit.step_programs import data as step_data
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array

TOLERANCE = 2e-5
TURNS = 6
MEETINGS = [
    ("heads", "tape", "momentum", "each"),
    ("shared", "tape", "clipped", "all"),
    ("shared", "added", "clipped together", "each"),
    ("nested", "added", "decay", "none"),
    ("nested", "more", "averaged", "all"),
    ("subclass", "added", "accumulated", "each"),
    ("subclass", "tape", "scaled", "none"),
    ("lists", "more", "averaged at the end", "each"),
    ("masked", "tape", "momentum", "each"),
    ("masked", "added", "decay", "none"),
]


def take_steps(model: Any, batches: list[Any]) -> None:
    """Takes steps on NumPy and on onnxruntime, each with its own state, and compares results and states."""
    pytest.importorskip("onnxruntime")
    from seqc.backends.onnxruntime import Session

    trainer = model._trainer
    rows = [trainer.labelled_data(*batch).rows(slice(None)) for batch in batches]
    trainer.prepare()
    step = trainer.step_for("train", rows[0])
    session, plan = Session(step_file(step.graph), threads=1), Interpreter(step.graph)
    states = [{v: np.asarray(v.array) for v in step.reads} for _ in range(2)]
    first = len(step.graph.outputs) - len(step.writes)

    def on_onnxruntime(arrays: list[Array]) -> list[Array]:
        named = zip(step.graph.input_names, arrays, strict=True)
        found = session.run({n: a for n, a in named if n in session.input_names})
        return [found[n] for n in step.graph.output_names]

    for turn in range(TURNS):
        given = [a for a in rows[turn % len(rows)] if a is not None]
        results = [
            run([*given, np.array(17, np.int64), np.array(turn, np.int64), *(state[v] for v in step.reads)])
            for run, state in zip((plan.run, on_onnxruntime), states, strict=True)
        ]
        for name, a, b in zip(step.graph.output_names, *results, strict=True):
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
            error = float(np.max(np.abs(a - b), initial=0.0))
            assert error <= TOLERANCE * max(1.0, float(np.max(np.abs(a), initial=0.0))), (name, turn, error)
        for state, found in zip(states, results, strict=True):
            state |= dict(zip(step.writes, found[first:], strict=True))
    moved = [v.path for v in step.writes if v.trainable and not np.array_equal(states[0][v], v.array)]
    assert moved


@pytest.mark.parametrize(
    "meeting",
    [pytest.param(m, marks=[pytest.mark.slow] if i % 2 else [], id=", ".join(m)) for i, m in enumerate(MEETINGS)],
)
def test_steps_of_models_of_several_outputs_are_the_same_on_onnxruntime(meeting: tuple[str, str, str, str]) -> None:
    kind, step, optimizer, weights = meeting
    assert optimizer in OPTIMIZERS
    model = made(seqc, seqc.GradientTape, kind, step)
    compiled(seqc, model, kind, optimizer)
    take_steps(model, [(*batch, None)[:3] for batch in per_batch(kind, weights)])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_steps_of_a_models_own_are_the_same_on_onnxruntime(program: Any) -> None:
    x, y = step_data()
    model = program(seqc, seqc.GradientTape)
    if program is not two_optimizers:
        model(x[:1])
    take_steps(model, [(x[:16], y[:16], None), (x[16:32], y[16:32], None)])
