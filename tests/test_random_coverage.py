"""Random models and graphs are of all layers there are."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kit import random_beginnings, random_graphs, random_images, random_layers
from seqc import Input, layers
from seqc.errors import SeqcError

# Layers that no random model has, and why.
NOT_DRAWN = {
    "CustomScaleLayer": "of one application, in which it is compared",
    "InputSpec": "no layer",
    "Layer": "what all layers are made of",
    "MaxNumBoundingBoxes": "takes boxes beside images, and gives both",
    "Wrapper": "what layers around others are made of",
}
_EXAMPLES = {1: (3,), 2: (4, 2), 3: (4, 4, 3), 4: (2, 3, 2, 2)}


def layer_makers() -> dict[str, Callable[[st.DrawFn], Any]]:
    """Returns everything that draws one layer or some, by name."""
    found: dict[str, Callable[[st.DrawFn], Any]] = {}
    tables = [(f"{rank}-", rank, table) for rank, table in random_layers.BY_RANK.items()]
    images = ("AUGMENTATIONS", "COLORS", "TONES")
    tables += [("", 3, random_layers.ANY), *((f"{name}-", 3, getattr(random_images, name)) for name in images)]
    for before, rank, table in tables:
        for name, make in table.items():
            found[before + name] = lambda draw, make=make, shape=_EXAMPLES[rank]: make(shape, draw)  # type: ignore[misc]
    for name, (_, _, begin) in random_beginnings.BEGINNINGS.items():
        found[f"begin-{name}"] = begin
    for step in {*random_graphs.STEPS} - {random_graphs.layer}:
        found[f"graph-{step.__name__}"] = lambda draw, step=step: _grown(step, draw)  # type: ignore[misc]
    found["graph-input"] = lambda draw: random_graphs._input(draw, images=False)
    return found


def _grown(step: Callable[[random_graphs.Growing], None], draw: st.DrawFn) -> None:
    step(random_graphs.Growing(draw, False, [Input((4, 2))]))


def draw_some(make: Callable[[st.DrawFn], Any]) -> None:
    @settings(
        max_examples=24, phases=[Phase.generate], database=None, derandomize=True, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=st.data())
    def drawn(data: st.DataObject) -> None:
        with contextlib.suppress(SeqcError):  # a merge of what does not fit
            make(data.draw)  # type: ignore[arg-type]

    drawn()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_layer_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    made: set[type] = set()
    begin = layers.Layer.__init__

    def counted(self: Any, *arguments: Any, **more: Any) -> None:
        made.add(type(self))
        begin(self, *arguments, **more)

    monkeypatch.setattr(layers.Layer, "__init__", counted)
    for make in layer_makers().values():
        draw_some(make)
    public = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    missing = {getattr(layers, name).__name__ for name in public if getattr(layers, name) not in made}
    assert missing == set(NOT_DRAWN)
