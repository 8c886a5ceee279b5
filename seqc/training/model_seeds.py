"""What a model has besides weights: the seeds that random layers draw by, and the memories of stateful ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqc.draws import SeedGenerator
from seqc.errors import ConfigError
from seqc.graph.tracing import Variable
from seqc.training.trainable import Trainable

MOST = 2**63


def seeds_of(model: Trainable) -> dict[str, Any]:
    """Returns the seeds of a model as plain data: the same weights with the same seeds train to the same bits."""
    trainer = model._trainer
    generators = [[one.seed, one.uses] for one in _generators(model)]
    return {"model": trainer._seed, "drawn": trainer._drawn, "generators": generators}


def set_seeds(model: Trainable, seeds: Any) -> None:
    """Gives a model the seeds that `seeds_of` gave of one with the same layers.

    Raises:
        ConfigError: they are no such thing.
    """
    generators = list(_generators(model))
    if not isinstance(seeds, dict) or not isinstance(seeds.get("generators"), list):
        raise ConfigError("the seeds are wrong")
    trainer = model._trainer
    own, found = seeds.get("model"), seeds["generators"]
    # Files of earlier versions have no such number: training drew by the steps of the optimizer.
    drawn = seeds.get("drawn", 0 if trainer.settings is None else trainer.compiled.steps_taken)
    if not (own is None or _is_seed(own)) or not _is_seed(drawn) or len(found) != len(generators):
        raise ConfigError("the seeds are wrong")
    if not all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_seed, pair)) for pair in found):
        raise ConfigError("the seeds are wrong")
    trainer._seed, trainer._drawn = own, drawn
    for generator, (seed, uses) in zip(generators, found, strict=True):
        generator.seed, generator.uses = seed, uses
    if generators:
        trainer.forget_steps()  # the numbers of generators are constants of a step


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def memories_of(model: Trainable) -> list[Variable]:
    """Returns what stateful layers keep from one batch to the next, which no file of weights holds."""
    found = (getattr(owner, "_memory", None) for owner in _owners(model))
    return [variable for memory in found if memory is not None for variable in memory.variables]


def _generators(model: Trainable) -> Iterator[SeedGenerator]:
    """Yields the generators that layers keep as attributes, each once, in the order of the layers."""
    seen: set[int] = set()
    for owner in _owners(model):
        for value in vars(owner).values():
            if isinstance(value, SeedGenerator) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _owners(model: Trainable) -> Iterator[Any]:
    """Yields a model and all layers inside it, each once."""
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        owner = waiting.pop()
        if id(owner) not in seen:
            seen.add(id(owner))
            yield owner
            waiting += reversed(list(owner.sublayers()))
