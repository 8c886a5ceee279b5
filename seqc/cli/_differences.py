"""How two ONNX files differ: their ends, nodes layer by layer, weights, and numbers on the same inputs."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from seqc.cli._by_layer import layer_of
from seqc.cli._narrowed import narrowed
from seqc.cli._onnx import captured, list_nodes, metadata, opsets, ports, read_model, with_functions_in_place
from seqc.cli._output import amount, shape_text
from seqc.cli._self_check import batch_axis, check_shapes, draw_inputs, open_lengths, vocabularies
from seqc.errors import DataError
from seqc.text import shorten

# Characters of a text kept in a file.
_LONGEST = 60
_TAGS = {"replace": "nodes", "insert": "only in the second", "delete": "only in the first"}


@dataclass(frozen=True)
class Part:
    """A node: what it does, on what, the shapes and types of its weights, and a digest of their numbers."""

    op: str
    attributes: str
    shapes: tuple[tuple[int, ...], ...]
    types: tuple[int, ...]
    reads: tuple[str, ...]
    weights: str

    @property
    def form(self) -> tuple[Any, ...]:
        return self.op, self.attributes, self.shapes, self.types, self.reads


@dataclass(frozen=True)
class Side:
    """One file, as far as two are compared: `layers` holds its nodes, `made` what makes each of its outputs."""

    path: Path
    facts: Mapping[str, str]
    ends: Mapping[str, str]
    texts: Mapping[str, str]
    layers: Mapping[str, Sequence[Part]]
    made: Sequence[Part]


@dataclass(frozen=True)
class Change:
    """A layer, or a run of nodes, that is another one in the second file."""

    where: str
    first: str
    second: str
    what: str


@dataclass(frozen=True)
class Distance:
    """How far the results of one output are apart.

    Attributes:
        scale: the largest number of the first file. differs: whether that is more than the first file is apart from
        itself.
    """

    output: str
    largest: float
    scale: float
    argmax_agreement: float | None
    differs: bool = False


def read_side(path: Path, sizes: Mapping[str, int]) -> Side:
    """Reads a file for a comparison.

    Raises:
        DataError: it is not an ONNX file, or its weights are not there.
    """
    bare = read_model(path)
    try:
        whole = onnx.load(str(path))
    except Exception as error:  # besides its own errors, onnx lets those of files and protobuf through
        raise DataError(f"{path} cannot be read with its weights: {error}") from error
    bare, whole = with_functions_in_place(bare), with_functions_in_place(whole)
    nodes = list_nodes(bare, sizes)
    flops = [node.flops for node in nodes]
    facts = {
        "format": f"{opsets(bare)}, IR {bare.ir_version}",
        "producer": f"{bare.producer_name} {bare.producer_version}".strip() or "nobody named",
        "bytes": f"{path.stat().st_size:,}",
        "nodes": f"{len(nodes):,}",
        "parameters": f"{sum(node.parameters for node in nodes):,}",
        "FLOPs": amount(None if None in flops else sum(f for f in flops if f is not None)),
    }
    layers: dict[str, list[Part]] = {}
    try:
        parts = list(_parts(whole.graph))
        for node, part in zip(whole.graph.node, parts, strict=False):
            layers.setdefault(layer_of(node.name), []).append(part)
        made = parts[len(whole.graph.node) :]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} has weights that cannot be read: {error}") from error
    ends = {
        f"{kind} {i}": f"{p.name} {p.dtype}{shape_text(p.shape)}"
        for kind, values in (("input", bare.graph.input), ("output", bare.graph.output))
        for i, p in enumerate(ports(values))
    }
    return Side(path, facts, ends, metadata(bare), layers, made)


def changed_texts(a: Mapping[str, str], b: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Returns what two files say otherwise: the key, and both texts, "-" where there is none."""
    keys = dict.fromkeys((*a, *b))
    return [
        (key, shorten(a.get(key, "-"), _LONGEST), shorten(b.get(key, "-"), _LONGEST))
        for key in keys
        if a.get(key) != b.get(key)
    ]


def changes(a: Side, b: Side) -> list[Change]:
    """Returns how the nodes differ: by layer where both files name layers alike, else along the order of nodes."""
    if {*a.layers} & {*b.layers} - {""}:
        # Where nodes differ, what makes an output may be called otherwise for that alone.
        return [*_by_layer(a.layers, b.layers)] or [*_of_outputs(a.made, b.made)]
    nodes = ([p for some in side.layers.values() for p in some] for side in (a, b))
    # What makes an output is told by names, which differ here; a weight that is one is not.
    made = ([replace(p, reads=()) for p in side.made] for side in (a, b))
    return [*_in_order(*nodes)] or [*_of_outputs(*made)]


def distances(a: Side, b: Side, sizes: Mapping[str, int]) -> list[Distance] | str:
    """Returns how far apart the results of both are on the same inputs, or a sentence on why they were not run.

    Raises:
        MissingDependencyError: onnxruntime or seqc-runtime is not installed.
    """
    from seqc.cli._runtime import load_runtime

    runtime = load_runtime("seqc diff")
    try:
        first, second = (runtime.load(side.path, device="cpu") for side in (a, b))
        if [(x.dtype, len(x.shape)) for x in first.inputs] != [(x.dtype, len(x.shape)) for x in second.inputs]:
            return "Their inputs differ, so that they were not run."
        check_shapes(a.path)
        tokens = vocabularies(a.path)
        pairs = zip((*first.inputs, *first.outputs), (*second.inputs, *second.outputs), strict=False)
        both = narrowed(first, {one.name: other for one, other in pairs})
        batch, lengths = batch_axis(both), open_lengths(both, both.open_sizes(sizes), tokens)
        feeds = draw_inputs(both.inputs, sizes.get(batch or "", 7), lengths, seed=0, tokens=tokens)
        renamed = dict(zip((x.name for x in second.inputs), feeds.values(), strict=True))
        runs = ((first, feeds), (second, renamed), (first, feeds))
        got = [_listed(model.predict(given)) for model, given in runs]
    except (runtime.SeqcRuntimeError, DataError) as error:
        return f"They were not run on the same inputs: {error}"
    return [_distance(y.name, *three) for y, *three in zip(first.outputs, *got, strict=False)]


def _by_layer(a: Mapping[str, Sequence[Part]], b: Mapping[str, Sequence[Part]]) -> Iterator[Change]:
    for name in dict.fromkeys((*a, *b)):
        ours, theirs = a.get(name, ()), b.get(name, ())
        if what := _what(ours, theirs):
            yield Change(name or "of no layer", _ops(ours), _ops(theirs), what)


def _of_outputs(a: Sequence[Part], b: Sequence[Part]) -> Iterator[Change]:
    for i, (one, other) in enumerate(zip(a, b, strict=False)):
        if what := _what([one], [other]):
            yield Change(f"output {i}", "-", "-", "what makes it" if what == "what they read" else what)


def _in_order(a: Sequence[Part], b: Sequence[Part]) -> Iterator[Change]:
    matcher = difflib.SequenceMatcher(None, [p.op for p in a], [p.op for p in b], autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            for n in range(j - i):
                # What reads what is told by names, which differ here.
                if what := _what([replace(a[i + n], reads=())], [replace(b[k + n], reads=())]):
                    yield Change(f"node {i + n}", a[i + n].op, b[k + n].op, what)
        else:
            where = f"nodes {i}-{j - 1}" if j > i else f"before node {i}"
            yield Change(where, _ops(a[i:j]), _ops(b[k:m]), _TAGS[tag])


def _what(a: Sequence[Part], b: Sequence[Part]) -> str:
    """Returns in what two runs of nodes differ, "" where in nothing."""
    if not a or not b:
        return "only in the second" if b else "only in the first" if a else ""
    if [p.form for p in a] == [p.form for p in b]:
        return "" if [p.weights for p in a] == [p.weights for p in b] else "weights"
    if [p.op for p in a] != [p.op for p in b]:
        return "nodes"
    kinds = {
        "shapes": "shapes of weights",
        "types": "types of weights",
        "attributes": "attributes",
        "reads": "what they read",
    }
    differ = [said for name, said in kinds.items() if [getattr(p, name) for p in a] != [getattr(p, name) for p in b]]
    return ", ".join(differ)


def _ops(parts: Sequence[Part]) -> str:
    return " ".join(p.op for p in parts) or "-"


def _parts(graph: onnx.GraphProto) -> Iterator[Part]:
    """Yields what there is to compare of each node, and then of each output of the graph."""
    weights = {t.name: t for t in graph.initializer}
    # What a tensor is called in a comparison: names inside differ from writer to writer.
    known = {x.name: f"input {i}" for i, x in enumerate(x for x in graph.input if x.name not in weights)}
    counts: Counter[str] = Counter()
    for node in graph.node:
        attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
        said = hashlib.sha256(b"".join(attributes)).hexdigest() if attributes else ""
        yield _part(node.op_type, said, [*node.input, *captured(node)], weights, known)
        own = f"{layer_of(node.name)} {node.op_type}"
        counts[own] += 1
        known |= {y: f"{own} {counts[own]}.{i}" for i, y in enumerate(node.output)}
    for y in graph.output:
        yield _part("output", "", [y.name], weights, known)


def _part(
    op: str, said: str, names: Sequence[str], weights: Mapping[str, onnx.TensorProto], known: Mapping[str, str]
) -> Part:
    held = [weights[x] for x in names if x in weights]
    digest = hashlib.sha256()
    for tensor in held:
        array = onnx.numpy_helper.to_array(tensor)
        digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    reads = tuple("weight" if x in weights else known.get(x, "") for x in names)
    shapes, types = tuple(tuple(t.dims) for t in held), tuple(t.data_type for t in held)
    return Part(op, said, shapes, types, reads, digest.hexdigest())


def _listed(results: Any) -> list[Any]:
    return results if isinstance(results, list) else [results]


def _distance(name: str, a: Any, b: Any, again: Any) -> Distance:
    found = _apart(name, a, b)
    # A file that draws numbers is not even like itself.
    return replace(found, differs=found.largest > 0 and _apart(name, a, again).largest == 0)


def _apart(name: str, a: Any, b: Any) -> Distance:
    if a.shape != b.shape:
        return Distance(name, float("inf"), 0.0, None)
    if a.dtype.kind not in "fiub":
        return Distance(name, float(np.count_nonzero(a != b)), 0.0, None)
    wide = [np.asarray(x, np.float64) for x in (a, b)]
    same_place = None
    if a.dtype.kind == "f" and a.ndim > 1 and a.shape[-1] > 1 and a.size:
        same_place = float(np.mean(wide[0].argmax(-1) == wide[1].argmax(-1)))
    with np.errstate(invalid="ignore"):
        apart = np.asarray(np.abs(wide[0] - wide[1]))
    apart[(wide[0] == wide[1]) | (np.isnan(wide[0]) & np.isnan(wide[1]))] = 0
    apart[np.isnan(apart)] = np.inf
    return Distance(name, float(np.max(apart, initial=0.0)), float(np.max(np.abs(wide[0]), initial=0.0)), same_place)
