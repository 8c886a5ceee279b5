"""What places that run ONNX files differ in, as data; and a file held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from seqc.export.options import NEWEST_IR_VERSION, NEWEST_OPSET, USUAL_OPSET
from seqc.graph.ir import Array, Op, Type
from seqc.graph.target import DTYPES, Form

if TYPE_CHECKING:
    import onnx

    from seqc.export.emitter import Emission


@dataclass(frozen=True)
class Seen:
    """A node of a file, as rules look at it.

    Attributes:
        types: of its inputs, None where nothing is known of one. arrays: the constants among them, None for others.
        scope: the layer that it belongs to. outputs: their names, "" for those that nobody reads.
    """

    op_type: str
    attributes: Mapping[str, Any]
    types: tuple[Type | None, ...]
    arrays: tuple[Array | None, ...]
    scope: str
    outputs: tuple[str, ...] = ()

    def rank(self, i: int = 0) -> int:
        """How many axes an input has, 0 where that is not known."""
        t = self.types[i] if i < len(self.types) else None
        return 0 if t is None else t.rank

    def has(self, i: int) -> bool:
        """Whether the node has its i-th input."""
        return i < len(self.types) and (self.types[i] is not None or self.arrays[i] is not None)


@dataclass(frozen=True)
class Rule:
    """What a place does not do with some operators.

    Attributes:
        operators: by name; empty for all. why: words behind the operator. instead: what is nearest to it.
        test: of which nodes it is true.
    """

    operators: tuple[str, ...]
    why: str
    instead: str = ""
    test: Callable[[Seen], bool] = lambda node: True

    def holds(self, node: Seen) -> bool:
        """Whether the rule is about this node."""
        return (not self.operators or node.op_type in self.operators) and self.test(node)


@dataclass(frozen=True, eq=False)
class Place:
    """Where a file is to run.

    Attributes:
        name: of the target. title: for people. checked: whether files are run there by the tests, or rules alone say
        what it takes.
        opset: of files for it, unless more is needed; newest, newest_ir: what it reads at most.
        operators: those that it has, None for all. lacking: names of operators, or of their attributes as
        "Resize.cubic_coeff_a", that it has not: what means the same is written instead where there is something.
        rules: what it refuses beside. silent: what it takes and computes wrongly, so that it is refused for the file's
        sake. elsewhere: what runs, but not where it should.
        fixed: whether every size must be known. dtypes, stops_at_lengths, forms: see `Target`.
    """

    name: str
    title: str
    checked: Literal["run", "rule"]
    opset: int = USUAL_OPSET
    newest: int = NEWEST_OPSET
    newest_ir: int = NEWEST_IR_VERSION
    operators: frozenset[str] | None = None
    lacking: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()
    silent: tuple[Rule, ...] = ()
    elsewhere: tuple[Rule, ...] = ()
    stops_at_lengths: bool = True
    fixed: bool = False
    dtypes: frozenset[str] = DTYPES
    forms: Mapping[type[Op], Form] = field(default_factory=dict)

    def has(self, op_type: str, *attributes: str) -> bool:
        """Tells whether an operator with some attributes is there, as far as names can tell."""
        known = self.operators is None or op_type in self.operators
        return known and not self.lacking & {op_type, *(f"{op_type}.{name}" for name in attributes)}

    def refusal(self, node: Seen) -> Rule | None:
        """Returns why a node cannot run here, None if it can."""
        wrong = next((rule for rule in self.rules if rule.holds(node)), None)
        if wrong is None and not self.has(node.op_type, *node.attributes):
            return Rule((node.op_type,), f"which is not in {self.title}")
        return wrong or next((rule for rule in self.silent if rule.holds(node)), None)


@dataclass(frozen=True)
class Unfit:
    """A program that takes a file and computes other numbers, without saying so.

    Attributes:
        target: the name of what to export for instead. title: of the program. why: what it computes wrongly.
        layers: those that come to it; none where the file names no layers.
    """

    target: str
    title: str
    why: str
    layers: tuple[str, ...]

    def __str__(self) -> str:
        count = len(self.layers)
        more = f" and {count - 2} more" if count > 3 else ""
        shown = ", ".join(f"'{name}'" for name in self.layers[: 2 if more else 3])
        who = f" (layer{'s' if count > 1 else ''} {shown}{more})" if shown else ""
        return f"{self.title}: {self.why}{who}. For there: target='{self.target}'"


def nodes_of(emission: Emission) -> Iterator[Seen]:
    """Yields the nodes of a file that is made, those inside others as well."""
    types = {info.name: _type_of(info.type.tensor_type) for info in emission.frame.graph.value_info}
    for value, made in emission.names.items():
        types |= zip(made, value.result if isinstance(value.result, tuple) else (value.result,), strict=False)
    graph = emission.frame.graph
    yield from _seen(graph.node, types, emission.arrays, _read(graph.node, graph.output))


def nodes_in(model: onnx.ModelProto) -> Iterator[Seen]:
    """Yields the nodes of a file that was read, those inside others and inside its functions as well."""
    graph = model.graph
    known = (*graph.value_info, *graph.input, *graph.output)
    types = {info.name: _type_of(info.type.tensor_type) for info in known if _is_known(info.type.tensor_type)}
    yield from _seen(graph.node, types, {}, _read(graph.node, graph.output))
    for function in model.functions:
        yield from _seen(function.node, {}, {}, _read(function.node) | set(function.output))


def _is_known(said: Any) -> bool:
    """Tells whether a file says a type that there is: one of a stranger may say anything."""
    import onnx

    return said.elem_type in onnx.helper.get_all_tensor_dtypes()


def _type_of(said: Any) -> Type:
    """Returns the type that a file says a tensor has; of its sizes only how many there are."""
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(said.elem_type)
    return Type("string" if dtype.kind in "OU" else dtype.name, (1,) * len(said.shape.dim))


def _read(nodes: Any, outputs: Any = ()) -> set[str]:
    """Returns the names of tensors that nodes read, those inside them as well, and of outputs."""
    found = {y.name for y in outputs}.union(*(node.input for node in nodes))
    inner = [a.g for node in nodes for a in node.attribute if a.HasField("g")]
    return found.union(*(_read(g.node, g.output) for g in inner))


def _seen(nodes: Any, types: Mapping[str, Type], arrays: Mapping[str, Array], used: AbstractSet[str]) -> Iterator[Seen]:
    import onnx

    node: onnx.NodeProto
    for node in nodes:
        kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        read = tuple(types.get(name) for name in node.input), tuple(arrays.get(name) for name in node.input)
        outputs = tuple(name if name in used else "" for name in node.output)
        yield Seen(kind, attributes, *read, node.name.rpartition("/")[0], outputs)
        for a in node.attribute:
            yield from _seen(a.g.node, types, arrays, used)
