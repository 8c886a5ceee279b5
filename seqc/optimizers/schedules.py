"""Learning rates that depend on the step, as functions of graph values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from seqc import ops, serialization
from seqc.dtype_policies import rate_dtype
from seqc.errors import ConfigError
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.serialization import Configurable
from seqc.utils.absent import absent

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


T = TypeVar("T")


def _known_schedule(cls: type[T]) -> type[T]:
    # Written as keras.optimizers.schedules, and looked up by the last of these words.
    known("schedules")(cls)
    return known("optimizers.schedules")(cls)


class LearningRateSchedule(Configurable):
    """A function from the step (int64 scalar) to the learning rate (float32 or as `floatx()`), by `seqc.ops`."""

    _kind = "optimizers.schedules"

    def __call__(self, step: Any) -> Value:
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, step)`."
        )


def _check_steps(name: str, steps: float) -> None:
    if steps <= 0:
        raise ConfigError(f"Argument `{name}` must be > 0. Received: {name}={steps}")


def _as_float(step: Any) -> Value:
    return ops.cast(as_value(step), rate_dtype())


@_known_schedule
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ^ (step / decay_steps); whole powers only with `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Value:
        done = _as_float(step) / float(self.decay_steps)
        done = ops.floor(done) if self.staircase else done
        return ops.power(float(self.decay_rate), done) * self.initial_learning_rate


@_known_schedule
class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); whole quotients only with `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Value:
        done = _as_float(step) / float(self.decay_steps)
        done = ops.floor(done) if self.staircase else done
        return float(self.initial_learning_rate) / (done * float(self.decay_rate) + 1.0)


@_known_schedule
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], and the last of `values` (one more than boundaries) after."""

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ConfigError(
                "The length of boundaries should be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of length {len(values)}."
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: Any) -> Value:
        now = _as_float(step)
        # As in Keras, boundaries are of the kind that steps are: whole for those of an optimizer.
        whole = as_value(step).dtype not in FLOATS
        rate = as_value(float(self.values[-1]))
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            rate = ops.where(now <= float(int(boundary) if whole else boundary), float(value), rate)
        return rate


@_known_schedule
class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end learning rate as (1 - step / decay_steps) ^ power, then constant.

    With `cycle`, decay_steps grows to the next multiple above the step instead.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Value:
        now, steps = _as_float(step), as_value(float(self.decay_steps))
        if self.cycle:
            steps = steps * ops.where(ops.equal(now, 0.0), 1.0, ops.ceil(now / steps))
        else:
            now = ops.minimum(now, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return ops.power(1.0 - now / steps, float(self.power)) * span + self.end_learning_rate


@_known_schedule
class CosineDecay(LearningRateSchedule):
    """A linear warm-up of `warmup_steps` to `warmup_target`, if given, then half a cosine down to the share `alpha`.

    Loshchilov and Hutter (2016), "SGDR: Stochastic Gradient Descent with Warm Restarts".
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Value:
        now = _as_float(step)
        if self.warmup_target is None:
            return self._decayed(now, float(self.initial_learning_rate))
        warm = float(self.warmup_steps)
        decayed = self._decayed(ops.maximum(now - warm, 0.0), float(self.warmup_target))
        if not warm:
            return decayed
        rise = float(self.warmup_target - self.initial_learning_rate)
        return ops.where(now < warm, now / warm * rise + float(self.initial_learning_rate), decayed)

    def _decayed(self, step: Value, start: float) -> Value:
        steps = float(self.decay_steps)
        wave = ops.cos(ops.minimum(step, steps) / steps * math.pi) * 0.5 + 0.5
        return (wave * (1.0 - self.alpha) + self.alpha) * start


@_known_schedule
class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine down to the share `alpha`, again and again.

    Each period is `t_mul` times as long as the one before and starts at `m_mul` times its rate. Loshchilov and Hutter
    (2016), "SGDR: Stochastic Gradient Descent with Warm Restarts".
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _check_steps("first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Value:
        done = _as_float(step) / float(self.first_decay_steps)
        period, fraction = self._period(done)
        wave = ops.cos(fraction * math.pi) * 0.5 + 0.5
        scaled = ops.power(float(self.m_mul), period) * wave
        return (scaled * (1.0 - self.alpha) + self.alpha) * float(self.initial_learning_rate)

    def _period(self, done: Value) -> tuple[Value, Value]:
        """Returns the number of the current period and which share of it is over."""
        ratio = float(self.t_mul)
        if ratio == 1.0:
            period = ops.floor(done)
            return period, done - period
        # The first n periods last (1 - ratio^n) / (1 - ratio) of the first.
        period = ops.floor(ops.log(1.0 - done * (1.0 - ratio)) / ops.log(ratio))
        length = ops.power(ratio, period)
        return period, (done - (1.0 - length) / (1.0 - ratio)) / length


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """Returns a schedule as plain data."""
    return serialization.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Returns the schedule that plain data describe; a number is the learning rate of all steps.

    Args:
        config: what `serialize` returned. custom_objects: classes of your own, by name.

    Raises:
        ConfigError: it describes something else. SavingError: its class is not known, or does not accept it.
    """
    if config is None or isinstance(config, int | float):
        return config
    if isinstance(config, Mapping) and "class_name" in config:
        found = serialization.deserialize({"module": "keras.optimizers.schedules", **config}, custom_objects)
        if isinstance(found, LearningRateSchedule):
            return found
    raise ConfigError(f"Could not interpret learning rate schedule: {config!r:.200}")


__getattr__ = absent(__name__, __all__, "A subclass of LearningRateSchedule with __call__(step) can do what none does.")
