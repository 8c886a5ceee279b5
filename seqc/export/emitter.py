"""Writing a graph as an ONNX model.

One of the modules that import onnx; import it late. Every op writes its own nodes (`Op.lower`) through the `Writer`, so
nothing here knows about single ops. The same graph gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from seqc._version import __version__
from seqc.errors import ExportError, NoLoweringError
from seqc.export import value_info, wire
from seqc.export._schema import DOMAINS, check_supported, element_type, split_name
from seqc.export.functions import with_functions
from seqc.export.options import check_ir_version, check_names, check_size
from seqc.graph.ir import Array, Constant, Graph, Input, Item, Op, Type, Value
from seqc.graph.strings import type_name
from seqc.graph.target import Target

# Bytes of an array from which on another copy of it is worth avoiding.
_LARGE = 4096


@dataclass(frozen=True)
class _Node:
    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Emission:
    """A graph as an ONNX model, and the tensors of the model that hold each value's results.

    Attributes:
        target: what the graph was prepared for. frame: the model without its initializers. arrays: these, by name.
        single: the graph before it was lowered to half precision, where it was.
        read: the constants, by their names, whose numbers decided how an operation was lowered, which names them no
        more: the file is right for these numbers only.
    """

    graph: Graph
    target: Target
    frame: onnx.ModelProto
    arrays: Mapping[str, Array]
    names: Mapping[Value, tuple[str, ...]]
    single: Graph | None = None
    read: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """About how many bytes the file has."""
        return sum(array.nbytes for array in self.arrays.values()) + int(self.frame.ByteSize())

    @property
    def model(self) -> onnx.ModelProto:
        """The whole model, with a copy of all arrays."""
        check_size(self.size)
        return wire.whole(self.frame, self.arrays)

    @property
    def content(self) -> bytes:
        """The model's file."""
        check_size(self.size)
        return wire.to_bytes(self.frame, self.arrays)

    def in_layers(self) -> Emission:
        """Returns the same with a function of the file's own for each layer, and no tensors by name inside them."""
        frame = with_functions(self.frame)
        _check(frame, self.arrays)
        return replace(self, frame=frame)


@dataclass(frozen=True)
class _Body:
    """A graph in an attribute of a node; it reads tensors around it by name."""

    name: str
    nodes: tuple[_Node, ...]
    inputs: tuple[tuple[str, Type], ...]
    outputs: tuple[tuple[str, Type], ...]
    arrays: Mapping[str, Array]


@dataclass
class Writer:
    """The `ir.Emitter` that ops write to. Names come from layer scopes: `conv_1/Conv`, `conv_1/Conv_1`.

    Attributes:
        handed: the tensors that nodes of the operation being written take. read: see `Emission`.
    """

    target: Target
    scope: str = ""
    nodes: list[_Node] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    handed: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _written: dict[tuple[object, ...], tuple[str, ...]] = field(default_factory=dict)
    _shared: dict[tuple[bool, str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        return self.node_many(op_type, *inputs, outputs=1, **attributes)[0]

    def node_many(self, op_type: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]:
        check_supported(op_type, attributes, self.target.opset, self.scope)
        self.handed.update(inputs)
        # Two ops may need the same auxiliary node: it is written once.
        key = (op_type, inputs, outputs, repr(sorted(attributes.items())))
        if key in self._written:
            return self._written[key]
        name = self.claim(split_name(op_type)[1])
        given = list(inputs)
        while given and given[-1] == "":
            given.pop()
        made = (name,) if outputs == 1 else tuple(self.claim(f"{op_type}.{i}") for i in range(outputs))
        self.nodes.append(_Node(op_type, name, tuple(given), made, attributes))
        self._written[key] = made
        return made

    def constant(self, array: Any, label: str = "") -> str:
        value = np.asarray(array)
        # Who checks or edits the file may put other numbers into a weight: what an operation adds is not among them.
        key = (bool(label), type_name(value), value.shape, _digest(value))
        if key not in self._shared:
            name = self.claim(label, scoped=False) if label else self.claim("constant")
            self._shared[key] = name
            self.arrays[name] = value
        return self._shared[key]

    def typed(self, name: str, t: Type) -> str:
        self.types.setdefault(name, t)
        return name

    def body(self, graph: Graph, types: Sequence[Type], captured: Sequence[str]) -> _Body:
        # Names are unique in the whole file. A body has constants of its own: programs that rename tensors forget those
        # around it.
        inner = Writer(self.target, types=self.types, _names=self._names)
        self.handed.update(captured)
        scope = self.scope
        handed = [self.claim(label) for label in graph.input_names[: len(types)]]
        names: dict[Value, tuple[str, ...]] = {
            x: (label,) for x, label in zip(graph.inputs, (*handed, *captured), strict=True)
        }
        for value in graph.walk():
            _write(inner, value, names)
        inner.scope = scope
        labels = [self.claim(label) for label in graph.output_names]
        # An output has a name of its own, and is made inside.
        inner.name_outputs([names[y][0] for y in graph.outputs], labels)
        inputs = tuple(zip(handed, types, strict=True))
        outputs = tuple((label, y.type) for y, label in zip(graph.outputs, labels, strict=True))
        used = set(_reads(inner.nodes))
        arrays = {label: array for label, array in inner.arrays.items() if label in used}
        return _Body(self.claim("body"), tuple(inner.nodes), inputs, outputs, arrays)

    def name_outputs(self, made: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
        """Gives each output its name: by renaming what computes it, by Identity where that has a name to keep.

        Args:
            made: the tensors that are outputs. labels: their names.

        Returns the new names of what was renamed.
        """
        free = {name for node in self.nodes for name in node.outputs}
        renamed: dict[str, str] = {}
        copies: list[tuple[str, str]] = []
        for name, label in zip(made, labels, strict=True):
            if name in free and name not in renamed:
                renamed[name] = label
            else:
                copies.append((name, label))
        self.nodes = [_renamed(n, renamed) for n in self.nodes]
        for name, label in copies:
            self.nodes.append(_Node("Identity", self.claim("Identity"), (renamed.get(name, name),), (label,), {}))
        return renamed

    def claim(self, name: str, scoped: bool = True) -> str:
        """Returns a name nobody has yet."""
        base = f"{self.scope}/{name}" if scoped and self.scope else name
        unique, count = base, 0
        while unique in self._names:
            count += 1
            unique = f"{base}_{count}"
        self._names.add(unique)
        return unique


def _digest(array: Array) -> bytes:
    """Returns what stands for an array's bytes, without a copy of many of them."""
    if array.dtype == object:
        return repr(array.tolist()).encode()
    if array.nbytes <= _LARGE:
        return array.tobytes()
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=32).digest()


def emit(graph: Graph, target: Target, **options: Any) -> onnx.ModelProto:
    """Returns the graph as an ONNX model; see `write`."""
    return write(graph, target, **options).model


def write(
    graph: Graph,
    target: Target,
    *,
    ir_version: int | None = None,
    metadata: Mapping[str, str] | None = None,
    name: str = "model",
) -> Emission:
    """Writes the graph as an ONNX model that passed onnx's checker.

    Args:
        graph: inference or step graph after its passes.
        target: what the passes prepared it for, see `onnx_target`.
        ir_version: file format version; by default the lowest that the opset allows, at least 8.
        metadata: texts kept in the file, in their order.
        name: the graph's name.

    Raises:
        ExportError: a tensor cannot be described or has an element type that the target lacks, or the result is not
            valid ONNX.
        NoLoweringError: an op has no ONNX form, or none at this opset.
    """
    newest = onnx.defs.onnx_opset_version()
    if target.opset > newest:
        raise ExportError(
            f"onnx {onnx.__version__} knows opset {newest} at most; got {target.opset}. Install a newer onnx, or leave "
            "the opset at 18."
        )
    writer = Writer(target)
    names = _reserve(writer, graph)
    for value in graph.walk():
        _write(writer, value, names)
    writer.scope = ""
    renamed = writer.name_outputs([names[y][0] for y in graph.outputs], graph.output_names)
    used = set(_reads(writer.nodes))
    frame = onnx.ModelProto(producer_name="seqc", producer_version=__version__)
    frame.ir_version = check_ir_version(ir_version, target.opset)
    frame.opset_import.add(domain="", version=target.opset)
    for domain in sorted({split_name(node.op_type)[0] for node in _all_nodes(writer.nodes)} - {""}):
        frame.opset_import.add(domain=domain, version=DOMAINS[domain])
    for key, text in (metadata or {}).items():
        frame.metadata_props.add(key=key, value=text)
    frame.graph.name = name
    frame.graph.node.extend(_node_proto(n) for n in writer.nodes)
    frame.graph.input.extend(map(_describe, (x.type for x in graph.inputs), graph.input_names))
    frame.graph.output.extend(map(_describe, (y.type for y in graph.outputs), graph.output_names))
    arrays = {label: array for label, array in writer.arrays.items() if label in used}
    value_info.add_known(frame.graph, writer.types)
    inferred = _check(frame, arrays)
    known = (*writer.types.values(), *(x.type for x in graph.inputs))
    value_info.add_inferred(frame.graph, inferred.graph, value_info.size_names(known))
    made = {value: tuple(renamed.get(n, n) for n in results) for value, results in names.items()}
    return Emission(graph, target, frame, arrays, made, read=frozenset(writer.read))


def _reserve(writer: Writer, graph: Graph) -> dict[Value, tuple[str, ...]]:
    """Takes the names of inputs and outputs before any node can."""
    check_names(graph.input_names, graph.output_names)
    for label in (*graph.input_names, *graph.output_names):
        writer.claim(label)
    return {x: (label,) for x, label in zip(graph.inputs, graph.input_names, strict=True)}


def _write(writer: Writer, value: Value, names: dict[Value, tuple[str, ...]]) -> None:
    op = value.op
    _check_dtypes(writer.target, value)
    if isinstance(op, Input):
        if value not in names:
            raise ExportError(f"The graph reads '{op.label}', which is not among its inputs.")
        return
    writer.scope = value.scope
    if isinstance(op, Constant):
        names[value] = (writer.constant(op.array, op.label),)
    elif isinstance(op, Item):
        names[value] = (names[value.inputs[0]][op.index],)
    else:
        try:
            if type(op).lower is Op.lower and type(op) in writer.target.forms:
                raise NoLoweringError(f"{op.name} reaches ONNX channels-first: plan the layout before lowering.")
            writer.handed.clear()
            made = op.lower(writer, value, *(names[x][0] for x in value.inputs))
        except NoLoweringError as error:
            where = f"Layer '{value.scope}': " if value.scope and f"'{value.scope}'" not in str(error) else ""
            raise NoLoweringError(f"{where}{error}", error.opset) from error
        names[value] = made if isinstance(made, tuple) else (made,)
        constants = {names[x][0] for x in value.inputs if isinstance(x.op, Constant)}
        writer.read |= constants - writer.handed - set(names[value])
        results = value.result if isinstance(value.result, tuple) else (value.result,)
        for name, t in zip(names[value], results, strict=False):
            writer.typed(name, t)


def _check_dtypes(target: Target, value: Value) -> None:
    for t in value.result if isinstance(value.result, tuple) else (value.result,):
        if t.dtype not in target.dtypes:
            where = f"Layer '{value.scope}'" if value.scope else f"{value.op!r}"
            known = ", ".join(sorted(target.dtypes))
            raise ExportError(f"{where} makes {t.dtype}, which is not among the target's element types: {known}.")


def _reads(nodes: Iterable[_Node]) -> Iterator[str]:
    """Yields the names that nodes read, those inside them as well."""
    for node in _all_nodes(nodes):
        yield from node.inputs


def _all_nodes(nodes: Iterable[_Node]) -> Iterator[_Node]:
    """Yields nodes, and those inside them."""
    for node in nodes:
        yield node
        for value in node.attributes.values():
            if isinstance(value, _Body):
                yield from _all_nodes(value.nodes)


def _renamed(node: _Node, names: Mapping[str, str]) -> _Node:
    inputs = tuple(names.get(x, x) for x in node.inputs)
    attributes = {
        key: replace(value, nodes=tuple(_renamed(n, names) for n in value.nodes)) if isinstance(value, _Body) else value
        for key, value in node.attributes.items()
    }
    return _Node(node.op_type, node.name, inputs, tuple(names.get(x, x) for x in node.outputs), attributes)


def _node_proto(node: _Node) -> onnx.NodeProto:
    attributes = dict(node.attributes)
    if isinstance(attributes.get("to"), str):
        attributes["to"] = element_type(attributes["to"])
    for key, value in attributes.items():
        if isinstance(value, _Body):
            attributes[key] = helper.make_graph(
                [_node_proto(n) for n in value.nodes],
                value.name,
                [_describe(t, label) for label, t in value.inputs],
                [_describe(t, label) for label, t in value.outputs],
                [wire.tensor(label, array) for label, array in value.arrays.items()],
            )
    domain, op_type = split_name(node.op_type)
    return helper.make_node(op_type, node.inputs, node.outputs, node.name, domain=domain or None, **attributes)


def _describe(t: Type, label: str) -> onnx.ValueInfoProto:
    if 0 in t.shape:
        raise ExportError(f"'{label}' is {t}: an axis of size zero cannot be exported.")
    return value_info.describe(t, label)


def _check(frame: onnx.ModelProto, arrays: Mapping[str, Array]) -> onnx.ModelProto:
    """Lets onnx check a model in which large arrays are inputs of their types, and returns it with what onnx infers.

    Raises:
        ExportError: onnx refuses the model.
    """
    small = {label: array for label, array in arrays.items() if array.nbytes <= _LARGE}
    shown = wire.whole(frame, small)
    for label in arrays.keys() - small.keys():
        shown.graph.input.append(_describe(Type(type_name(arrays[label]), arrays[label].shape), label))
    try:
        onnx.checker.check_model(shown)
        try:
            return onnx.shape_inference.infer_shapes(shown, check_type=True, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError:
            # Following numbers, onnx takes vectors that are multiplied for sizes, also where axes stand between them.
            return onnx.shape_inference.infer_shapes(shown, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        opset = frame.opset_import[0].version
        hint = "Export with opset=18." if opset < 18 else "This is a mistake in seqc: please report it."
        raise ExportError(f"onnx refuses the model at opset {opset}: {error}. {hint}") from error
