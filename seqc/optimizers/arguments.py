"""The arguments that every optimizer takes by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

from seqc.errors import ConfigError
from seqc.graph.tracing import Variable
from seqc.utils.display import note


class BaseArguments(TypedDict, total=False):
    """See `Optimizer`."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


def check_arguments(optimizer: Any) -> None:
    """Raises ConfigError where one of an optimizer's base arguments is out of range."""
    steps = optimizer.gradient_accumulation_steps
    if steps and steps < 2:
        raise ConfigError(
            f"`gradient_accumulation_steps` must be an integer >= 2. Received: gradient_accumulation_steps={steps}"
        )
    if optimizer.use_ema and not 0 <= optimizer.ema_momentum <= 1:
        raise ConfigError(
            f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={optimizer.ema_momentum}"
        )
    frequency = optimizer.ema_overwrite_frequency
    if optimizer.use_ema and frequency and (not isinstance(frequency, int) or frequency < 1):
        raise ConfigError(
            f"`ema_overwrite_frequency` must be an integer >= 1 or None. Received: ema_overwrite_frequency={frequency}"
        )
    limits = {name: getattr(optimizer, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
    if sum(limit is not None for limit in limits.values()) > 1:
        received = ", ".join(f"{name}={limit}" for name, limit in limits.items())
        raise ConfigError(f"Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: {received}")


def warn_of_idle_patterns(
    who: str, patterns: Iterable[str], match: Callable[[str, str], Any], variables: Sequence[Variable]
) -> None:
    """Warns of patterns for the paths of variables that match none, and so change nothing.

    Args:
        who: what they belong to. match: how they are looked for, with a pattern and a path.
    """
    paths = [variable.path for variable in variables]
    for pattern in patterns:
        if not any(pattern == path or match(pattern, path) for path in paths):
            shown = ", ".join(f"'{path}'" for path in paths[:4]) + (", ..." if len(paths) > 4 else "")
            note(
                f"The pattern '{pattern}' of {who} matches the path of no variable. They are {shown}: the name of a "
                "layer begins them, that of a model is no part of them.",
                warn=True,
            )
