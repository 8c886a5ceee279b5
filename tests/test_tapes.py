"""What a tape records and gives, against Keras 3.15.1 on TensorFlow; `kit/tape_programs.py` has the steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import seqc
from kit.tape_programs import X, Y, model_of, run
from seqc import ops
from seqc._tensorflow import stand_in
from seqc.errors import ConfigError, SeqcError, ShapeError, TraceError

TF = stand_in()
EXPECTED = [
    ("float32", "target_before", [0.27405, -2.3406]),
    ("float32", "penalty_after", [0.40412, -0.60197]),
    ("float32", "stopped", [0.80824, -1.2039]),
    ("float32", "reset", [0.80824, -1.2039]),
    ("float32", "two_spans", [1.3539, -1.6664]),
    ("float32", "nested", [-1.4275, -0.38955]),
    ("float32", "slope_of_before", [-0.075036, 0.19656]),
    ("float32", "source_on_the_way", [0.070982, 1.2675]),
    ("float32", "assigned", [0.34764, -0.52691]),
    ("float32", "own_gradient", [0.35208, 2.6621]),
    ("float32", "list", [1.669, -3.672]),
    ("float32", "dict", [1.669, -3.672]),
    ("float32", "output_gradients", [1.6165, -2.4079]),
    ("float32", "several output_gradients", [4.8494, -7.2236]),
    ("float32", "unconnected", [0.40412, -0.60197, 0.0]),
    ("float32", "jacobian", [-0.25551, -1.1266]),
    ("float32", "batch_jacobian", [0.80952]),
    ("float32", "clip_by_global_norm", [0.024438, -0.036402]),
    ("float32", "global_norm", [1.6537]),
    ("float32", "clip_by_norm", [0.069809, -0.043525]),
    ("float32", "clip_by_value", [0.074189, -0.12675]),
    # Casts of weights are shared by what is computed before the tape and inside it.
    ("mixed_float16", "target_before", [0.27392, -2.3403]),
    ("mixed_float16", "stopped", [0.80822, -1.2042]),
    ("mixed_float16", "assigned", [0.34786, -0.52694]),
]


@pytest.fixture
def policy() -> Iterator[Any]:
    yield seqc.mixed_precision.set_dtype_policy
    seqc.mixed_precision.set_dtype_policy("float32")


@pytest.mark.parametrize(("precision", "name", "expected"), EXPECTED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_tape_gives_the_gradients_of_tensorflow(
    policy: Any, precision: str, name: str, expected: list[float]
) -> None:
    policy(precision)
    tolerance = 1e-4 if precision == "float32" else 3e-3
    assert run(TF, name) == pytest.approx(expected, rel=tolerance, abs=1e-6)


def outside(m: Any, x: Any, **options: Any) -> Any:
    loss = ops.mean(m(x))
    with seqc.GradientTape() as tape:
        pass
    return tape.gradient(loss, m.trainable_variables, **options)


def again(tape: Any) -> None:
    with tape, tape:
        pass


def of_three(m: Any, x: Any) -> Any:
    with seqc.GradientTape() as tape:
        p = m(x)
    return tape.gradient([p, p], m.trainable_variables, output_gradients=[p, p, p])


def of_another_shape(m: Any, x: Any) -> Any:
    with seqc.GradientTape() as tape:
        p = m(x)
    return tape.gradient(p, m.trainable_variables, output_gradients=p[:, :1])


def by_samples(m: Any, x: Any) -> Any:
    with seqc.GradientTape() as tape:
        loss = ops.mean(m(x))
    return tape.batch_jacobian(loss, x)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (outside, TraceError, r"computed outside of `with GradientTape\(\)`"),
        (lambda m, x: outside(m, x, unconnected_gradients="nil"), ConfigError, "is 'none' or 'zero'; got 'nil'"),
        (lambda *_: again(seqc.GradientTape()), ConfigError, "recording already"),
        (lambda *_: seqc.GradientTape().reset(), ConfigError, "reset works inside the `with`"),
        (lambda *_: seqc.GradientTape().stop_recording().__enter__(), ConfigError, "stop_recording works inside"),
        (of_three, ShapeError, "There are 2 targets; got 3 output_gradients"),
        (of_another_shape, ShapeError, "output_gradients are of the shape of the target"),
        (by_samples, ShapeError, "as many samples in target and source"),
    ],
)
def test_a_tape_says_what_it_cannot_do(step: Any, error: type[SeqcError], message: str) -> None:
    with pytest.raises(error, match=message):
        model_of(TF, lambda _, m, x, y: step(m, x)).train_on_batch(X, Y)


def test_zeros_or_none_for_what_was_computed_outside_where_that_is_said() -> None:
    found: list[Any] = []

    def step(_: Any, m: Any, x: Any, y: Any) -> Any:
        found[:] = outside(m, x, unconnected_gradients=TF.UnconnectedGradients.NONE)
        return outside(m, x, unconnected_gradients="zero")

    assert model_of(TF, step).train_on_batch(X, Y, return_dict=True) == {"0": 0, "1": 0}
    assert found == [None, None]


def test_names_in_parts_of_tensorflow_that_are_not_there_say_what_to_take() -> None:
    with pytest.raises(AttributeError, match=r"tensorflow\.linalg\.slogdet is not there.*Take keras\.ops\.slogdet,"):
        _ = TF.linalg.slogdet
    with pytest.raises(AttributeError, match=r"tensorflow\.nn\.ctc_greedy_decoder is not there.*Take NumPy"):
        _ = TF.nn.ctc_greedy_decoder
    with pytest.raises(AttributeError, match=r"tensorflow\.config\.experimental\.enable_op_determinism is not there"):
        _ = TF.config.experimental.enable_op_determinism
    assert not hasattr(TF.random, "Generator")
