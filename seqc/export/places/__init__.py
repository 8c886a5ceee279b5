"""Where files are to run: by name, or by the oldest onnxruntime that is to load them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from seqc.errors import ArgumentTypeError, ConfigError, ExportError
from seqc.export.options import USUAL_OPSET, check_opset
from seqc.export.places.rules import Place, Rule, Seen, Unfit, nodes_of
from seqc.export.places.tables import (
    COREML,
    INSTEAD,
    OPENCV,
    OPENVINO,
    ORT_CPU,
    ORT_CUDA,
    ORT_WEB,
    TENSORRT,
    UNITY,
)
from seqc.graph.ir import Graph, Input

if TYPE_CHECKING:
    from seqc.export.emitter import Emission

__all__ = ["PLACES", "Place", "check_emission", "check_graph", "check_place_opset", "find_place", "not_fit_for"]

_EACH = (ORT_CPU, ORT_CUDA, ORT_WEB, TENSORRT, OPENVINO, OPENCV, UNITY, COREML)
# What all of them have.
MIN = Place(
    "min", "every target", "run",
    opset=13,
    newest=min(p.newest for p in _EACH),
    lacking=frozenset().union(*(p.lacking for p in _EACH)),
    rules=tuple(rule for p in _EACH for rule in p.rules),
    silent=tuple(rule for p in _EACH for rule in p.silent),
    stops_at_lengths=all(p.stops_at_lengths for p in _EACH),
    fixed=any(p.fixed for p in _EACH),
    dtypes=frozenset.intersection(*(p.dtypes for p in _EACH)),
    forms={kind: form for p in _EACH for kind, form in p.forms.items()},
)  # fmt: skip
PLACES = {p.name: p for p in (*_EACH, MIN)}
# Newest opset and file format that releases of onnxruntime load, from each on.
_RELEASES = {
    (1, 15): (19, 9), (1, 17): (20, 9), (1, 18): (21, 10), (1, 21): (22, 10), (1, 23): (23, 11), (1, 24): (25, 13),
    (1, 26): (26, 13), (1, 32): (28, 14),
}  # fmt: skip
# The first whose optimizer does not break a cubic Resize between Transposes.
_CUBIC = (1, 21)


def find_place(target: Any = None, min_ort: Any = None) -> Place | None:
    """Returns what a file is made for; None where nothing is asked for.

    Args:
        target: name of one of `PLACES`. min_ort: the oldest onnxruntime that is to load the file, as "1.16".

    Raises:
        ArgumentTypeError, ConfigError, ExportError: there is none of that name, or no such version.
    """
    place = None if target is None else _named(target)
    if min_ort is None:
        return place
    release = _release(_version(min_ort))
    if place is None or place is ORT_CPU:
        return replace(release, name=place.name) if place else release
    if place not in (ORT_CUDA, COREML):
        raise ConfigError(
            f"min_ort={min_ort!r} is about onnxruntime; target={place.name!r} is {place.title}. Leave one of them out."
        )
    return _joined(place, release)


@cache
def _release(version: tuple[int, int]) -> Place:
    opset, ir = next(limits for since, limits in reversed(_RELEASES.items()) if since <= version)
    title = f"onnxruntime {version[0]}.{version[1]}"
    lacking = frozenset(("Resize.cubic_coeff_a",)) if version < _CUBIC else frozenset()
    return Place(title, title, "run", min(USUAL_OPSET, opset), opset, ir, lacking=lacking)


@cache
def _joined(place: Place, release: Place) -> Place:
    """Returns a place in a release of onnxruntime."""
    return replace(
        place,
        title=place.title.replace("onnxruntime", release.title),
        opset=min(place.opset, release.opset),
        newest=min(place.newest, release.newest),
        newest_ir=min(place.newest_ir, release.newest_ir),
        lacking=place.lacking | release.lacking,
    )


def check_place_opset(place: Place | None, opset: Any) -> int:
    """Returns the opset of a file: what is asked for, else what the place has.

    Raises:
        ExportError: the place does not read it.
    """
    if opset is None:
        return USUAL_OPSET if place is None else place.opset
    number = check_opset(opset)
    if place is not None and number > place.newest:
        raise ExportError(f"{_capital(place.title)} reads opset {place.newest} at most; got {number}. Leave opset out.")
    return number


def check_graph(place: Place, graph: Graph) -> None:
    """Raises ExportError for sizes that a model leaves open and the place must know, or an element type it has not."""
    for value in graph.walk():
        types = value.result if isinstance(value.result, tuple) else (value.result,)
        # Inputs stay what they are, and no pass makes anything else of texts.
        lacking = {t.dtype for t in types if isinstance(value.op, Input) or t.dtype == "string"} - place.dtypes
        if lacking:
            who = f"Input '{value.op.label}'" if isinstance(value.op, Input) else f"Layer '{value.scope}'"
            kind, instead = ("texts", "numbers") if "string" in lacking else (", ".join(lacking), "float32")
            raise ExportError(
                f"{who} cannot go to {place.title}: it has {kind}, which are not there. The nearest: use {instead} as "
                "input; or export with target='ort-cpu' (ort-cuda, ort-web or coreml)."
            )
    if not place.fixed:
        return
    for x, name in zip(graph.inputs, graph.input_names, strict=True):
        free = [str(d) for d in x.type.shape if not isinstance(d, int)]
        if free:
            sizes = ", ".join(f"'{axis}': ..." for axis in free)
            raise ExportError(
                f"target={place.name!r} needs fixed sizes, for {place.title}; input '{name}' leaves {', '.join(free)} "
                f"open. Say them: sizes={{{sizes}}}, or --size {free[0]}=1."
            )


def check_emission(place: Place, emission: Emission) -> tuple[str, ...]:
    """Returns what of a file runs elsewhere than it should, a sentence for each layer.

    Raises:
        ExportError: a layer cannot run in the place; it says which, why, and what is nearest.
    """
    told: dict[str, None] = {}
    for node in nodes_of(emission):
        wrong = place.refusal(node)
        if wrong is not None:
            raise ExportError(_refused(place, node, wrong))
        away = next((rule for rule in place.elsewhere if rule.holds(node)), None)
        if away is not None:
            instead = f"; nearest: {away.instead}" if away.instead else ""
            kind = node.op_type.rpartition(".")[2]
            told[f"{_who(node)}: {kind} runs on the processor ({away.why}{instead})"] = None
    return tuple(told)


def not_fit_for(nodes: Iterable[Seen]) -> tuple[Unfit, ...]:
    """Returns where the nodes of a file that is made for onnxruntime would give other numbers without a word of it."""
    kinds: dict[tuple[str, str], set[str]] = {}
    layers: dict[tuple[str, str], dict[str, None]] = {}
    for node in nodes:
        for place in _EACH:
            rule = next((rule for rule in place.silent if rule.holds(node)), None)
            if rule is not None:
                kinds.setdefault((place.name, rule.why), set()).add(node.op_type)
                layers.setdefault((place.name, rule.why), {})[node.scope] = None
    return tuple(
        Unfit(name, PLACES[name].title, f"{' and '.join(sorted(of))} {why}", tuple(filter(None, layers[name, why])))
        for (name, why), of in kinds.items()
    )


def _refused(place: Place, node: Seen, wrong: Rule) -> str:
    others = [p.name for p in _EACH if p is not place and p.refusal(node) is None]
    instead = wrong.instead or _instead(place, node.op_type)
    ways = [f"use {instead}"] if instead else []
    ways += [f"export with target={others[0]!r}" + (f" ({_listed(others[1:])} have it, too)" if others[1:] else "")]
    return (
        f"{_who(node)} cannot go to {place.title}: it becomes {node.op_type.rpartition('.')[2]}"
        f"{',' if wrong.why.startswith('which') else ''} {wrong.why}. "
        f"The nearest: {'; or '.join(ways)}."
    )


def _instead(place: Place, op_type: str) -> str:
    """Returns what comes nearest to an operator that is not there, unless that is not there either."""
    found = INSTEAD.get(op_type, "")
    return "" if "LSTM" in found and not place.has("LSTM") else found


def _who(node: Seen) -> str:
    return f"Layer '{node.scope}'" if node.scope else "The model"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _named(target: Any) -> Place:
    if not isinstance(target, str):
        raise ArgumentTypeError(f"target must be one of {_listed(list(PLACES))}; got {target!r}.")
    if target not in PLACES:
        raise ConfigError(f"There is no target {target!r}. It must be one of {_listed(list(PLACES))}.")
    return PLACES[target]


def _version(given: Any) -> tuple[int, int]:
    if not isinstance(given, str):
        raise ArgumentTypeError(f"min_ort must be text such as '1.16', since 1.20 is no number; got {given!r}.")
    parts = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)*", given.strip())
    if parts is None:
        raise ConfigError(f"min_ort must be a version of onnxruntime such as '1.16'; got {given!r}.")
    version = int(parts[1]), int(parts[2])
    oldest = min(_RELEASES)
    if version < oldest:
        raise ExportError(
            f"seqc writes files for onnxruntime {oldest[0]}.{oldest[1]} and newer; got min_ort={given!r}."
        )
    return version
