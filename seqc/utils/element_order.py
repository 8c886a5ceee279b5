"""In which order, and in which company, the elements of a dataset come: each function goes through them once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from seqc.errors import DataError


def in_groups(items: Iterable[Any], size: int, whole: bool) -> Iterator[list[Any]]:
    """Yields so many items at a time, and the fewer ones at the end unless only whole groups are wanted."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        if len(some) == size or not whole:
            yield some


def sliding(items: Iterable[Any], reach: int, step: int, whole: bool) -> Iterator[list[Any]]:
    """Yields `reach` items that follow each other, then those that begin `step` items further on.

    Args:
        whole: whether to leave out groups at the end that have fewer.
    """
    rest = iter(items)
    held = list(islice(rest, reach))
    while len(held) == reach or (held and not whole):
        yield held
        skipped = max(step - len(held), 0)
        held = held[step:]
        held += islice(rest, skipped, skipped + reach - len(held))


def by_turns(sources: Iterator[Iterable[Any]], turns: int, block: int) -> Iterator[Any]:
    """Yields `block` items of each of `turns` sources, again and again; where one ends, the next source follows."""
    going: list[Any] = [None] * turns
    place, more = 0, True
    while more or any(going):
        if more and going[place] is None:
            source = next(sources, None)
            more = source is not None
            going[place] = None if source is None else iter(source)
            continue
        some = list(islice(going[place] or (), block))
        yield from some
        going[place] = going[place] if len(some) == block else None
        place = (place + 1) % turns


def shuffled(items: Iterable[Any], size: int, rng: np.random.Generator) -> Iterator[Any]:
    """Yields each next item at random out of `size` that have been read."""
    rest = iter(items)
    read = list(islice(rest, size))
    for item in rest:
        place = int(rng.integers(len(read)))
        yield read[place]
        read[place] = item
    yield from (read[place] for place in rng.permutation(len(read)))


def once(items: Iterable[Any], kept: list[list[Any]]) -> Iterator[Any]:
    """Yields items, and keeps them in a list for the next time when all have been read."""
    if kept:
        yield from kept[0]
        return
    read = []
    for item in items:
        read.append(item)
        yield item
    kept[:] = [read]


def forever(items: Iterable[Any]) -> Iterator[Any]:
    """Yields items again and again, until a time when there are none."""
    found = True
    while found:
        found = False
        for item in items:
            found = True
            yield item


def different(items: Iterable[Any]) -> Iterator[Any]:
    """Yields arrays without those that came before."""
    seen = set()
    for item in items:
        key = (item.dtype.str, item.shape, str(item.tolist()))
        if key not in seen:
            seen.add(key)
            yield item


def chosen(sources: Sequence[Iterable[Any]], choose: Callable[[list[bool]], int | None], stop: bool) -> Iterator[Any]:
    """Yields the next item of one source after another, as they are chosen.

    Args:
        choose: returns the number of a source, told which ones have not ended; None for the end. stop: whether all
        ends where a source is chosen that has ended; otherwise another one is chosen.
    """
    going = [iter(source) for source in sources]
    more = [True] * len(going)
    while any(more) and (place := choose(more)) is not None:
        try:
            item = next(going[place])
        except StopIteration:
            if stop:
                return
            more[place] = False
        else:
            yield item


def drawn(weights: Any, rng: np.random.Generator) -> Callable[[list[bool]], int]:
    """Returns what chooses at random among the sources that have not ended."""
    places = np.arange(len(weights))

    def choose(more: list[bool]) -> int:
        share = np.where(more, weights, 0.0)
        return int(rng.choice(places, p=share / share.sum()))

    return choose


def listed(numbers: Iterable[Any]) -> Callable[[list[bool]], int | None]:
    """Returns what chooses the sources with these numbers, and passes over those that have ended."""
    rest = map(int, numbers)

    def choose(more: list[bool]) -> int | None:
        for place in rest:
            if not 0 <= place < len(more):
                raise DataError(f"There is no dataset number {place} among {len(more)}.")
            if more[place]:
                return place
        return None

    return choose


def scanned(items: Iterable[Any], state: Any, step: Callable[[Any, Any], tuple[Any, Any]]) -> Iterator[Any]:
    """Yields what a function of a state and an item makes of them, beside the state for the next item."""
    for item in items:
        state, made = step(state, item)
        yield made


def by_key(
    items: Iterable[Any], key_of: Callable[[Any], int], size_of: Callable[[int], int]
) -> Iterator[tuple[int, list[Any]]]:
    """Yields keys and as many items of that key as its size says; at the end, key by key, those that are left."""
    groups: dict[int, list[Any]] = {}
    sizes: dict[int, int] = {}
    for item in items:
        key = key_of(item)
        if key not in sizes:
            sizes[key] = size_of(key)
        group = groups.setdefault(key, [])
        group.append(item)
        if len(group) >= sizes[key]:
            yield key, groups.pop(key)
    yield from sorted(groups.items(), key=lambda pair: pair[0])
