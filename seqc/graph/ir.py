"""The intermediate representation: immutable values that are their own nodes.

A `Value` is an `Op` applied to values; a `Graph` is its outputs. Dead code disappears by itself because nothing refers
to it, and every pass builds new values instead of changing old ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from seqc.errors import NoGradientError, NoLoweringError, TraceError
from seqc.graph.arrays import as_array
from seqc.graph.attributes import ByAttributes
from seqc.graph.batch import samples_first
from seqc.graph.dims import Dim
from seqc.graph.equal_sizes import inferred
from seqc.graph.operators import OPERATORS, Operators
from seqc.graph.scopes import SERIALS, Numbered, current_scope
from seqc.graph.scopes import scope as scope
from seqc.graph.strings import as_strings, type_name

if TYPE_CHECKING:
    from seqc.graph.layout import LayoutRule
    from seqc.graph.target import Target

Array = NDArray[Any]
Shape = tuple[Dim, ...]
Sizes = tuple[int, ...]

# What an operation does with numbers, and how it may be cut along the batch; see `Op`.
Kind = Literal["arithmetic", "view", "move", "lookup"]
BatchRule = Literal["parallel", "reduce", "combine", "whole"]


@dataclass(frozen=True)
class Type:
    """What is known of a tensor before it exists.

    Attributes:
        dtype: element type (a NumPy name). shape: sizes of its axes. size: what an integer scalar is, where it follows
        from sizes of axes, so that it can be a size itself; two types that differ in it only are equal.
    """

    dtype: str
    shape: Shape
    size: Dim | None = field(default=None, compare=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith(("float", "bfloat"))

    @property
    def is_static(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    def with_shape(self, shape: Iterable[Dim]) -> Type:
        return Type(self.dtype, tuple(shape))

    def with_dtype(self, dtype: str) -> Type:
        return Type(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


class Emitter(Protocol):
    """What an op sees of the ONNX writer. Names are strings; ops never import onnx."""

    @property
    def target(self) -> Target: ...

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Appends a node with one output and returns the output's name. An input "" is left out."""
        ...

    def node_many(self, op_type: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]:
        """Appends a node with several outputs and returns their names."""
        ...

    def constant(self, array: Any) -> str:
        """Returns the name of an initializer holding `array`; equal arrays share one."""
        ...

    def typed(self, name: str, t: Type) -> str:
        """Says the type of a tensor that is no value of the graph, where onnx would not infer it; returns `name`."""
        ...

    def body(self, graph: Graph, types: Sequence[Type], captured: Sequence[str]) -> Any:
        """Returns an attribute: a graph whose first inputs have `types` and whose others are tensors around it."""
        ...


@dataclass(frozen=True, eq=False)
class Op(ByAttributes):
    """One operation and everything seqc knows about it. Fields are its attributes.

    Rules name their operands. `infer` checks their number and types and gives the result's; `eval` computes with NumPy
    in the dtype it is given; `vjp` gives the gradient as values; `lower` writes ONNX; `decompose` says it simpler for
    a target that lacks it; `layout_rule` is for the layout plan; `batch_rule` tells how it is cut along the batch.

    Attributes:
        kind: what it does with numbers. "view": shows those of its first operand, most of the time in their own memory;
        "move": has those of its operands, and zeros, at other places; "lookup": takes numbers from tables, sizes or
        positions; "arithmetic": computes.
        shape_only: positions of operands of which only the shape is read. sequential: whether the op goes through its
        operands step by step, so that it gains nothing from samples so few that they fit the processor's cache.
        symbolic: whether a symbol comes out, of which functional models are made. derived: whether a derivative is
        taken there. strings: whether it works on texts; others view or move them. bits: whether nothing is widened.
        chooses: whether it gives of its second and third operands the one that its first says.
    """

    kind: ClassVar[Kind] = "arithmetic"
    shape_only: ClassVar[tuple[int, ...]] = ()
    sequential: ClassVar[bool] = False
    symbolic: ClassVar[bool] = False
    derived: ClassVar[bool] = False
    strings: ClassVar[bool] = False
    moves_strings: ClassVar[bool] = False
    bits: ClassVar[bool] = False
    chooses: ClassVar[bool] = False

    def infer(self, *types: Any) -> Type | tuple[Type, ...]:
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def known_size(self, *types: Any) -> Dim | None:
        """Returns what an integer scalar that comes out is known to be, where that follows from sizes of axes."""
        return None

    def eval(self, *arrays: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.eval")

    def vjp(self, g: Any, y: Any, *xs: Any) -> Sequence[Value | None]:
        raise NoGradientError(f"{self.name} has no gradient.")

    def lower(self, e: Emitter, y: Value, *names: Any) -> str | tuple[str, ...]:
        raise NoLoweringError(f"{self.name} cannot be expressed in ONNX.")

    def batch_rule(self, y: Value) -> BatchRule | tuple[BatchRule, ...]:
        """Tells how `y = op(...)` may be computed for some samples at a time, one answer or one per result.

        "parallel": each for itself, results side by side along the batch axis; "reduce": results for parts add up to
        that for all, which has no batch axis; "combine": a `Merged` op makes that of parts; "whole": only all at once.
        Asked only where an operand has a batch axis. By default samples are rows of the first axis, and those along
        others are not cut: an op that treats all axes alike says "parallel", one that mixes samples "whole".
        """
        return "parallel" if samples_first(y) else "whole"

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        """Returns the floating-point operations: none for moving numbers, else one per element of the result."""
        return prod(outputs[0]) if self.kind == "arithmetic" else 0

    def decompose(self, target: Target, y: Value, *xs: Any) -> Value | tuple[Value, ...] | None:
        """Returns what this op means in simpler ops where the target has none like it, or None to keep it."""
        return None

    def layout_rule(self, y: Value, *layouts: Any) -> LayoutRule | None:
        """Returns how the op works on re-ordered operands, or None where it needs the axes as they are."""
        return None

    def places_of_one(self) -> float:
        """Returns how far onnxruntime's result may be off however small it is, in units of the last place of one.

        Zero where its error is a part of the result, as with most operations; the numbers are measured, see
        `benchmarks/op_accuracy.py`.
        """
        return 0.0

    @property
    def name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        shown = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in dataclasses.fields(self)
            if f.repr and (f.default is dataclasses.MISSING or getattr(self, f.name) != f.default)
        ]
        return f"{self.name}({', '.join(shown)})" if shown else self.name


class Value(Operators, Numbered):
    """The result of an op: immutable, and its own key in dictionaries and sets.

    Attributes:
        op: the operation. inputs: its operands. scope: the path of the layer that made it, for messages and names.
        result: the type, or a tuple of types for an op with several results (picked apart by `Item`).
        origin: the call of a function of `seqc.ops` that gave it, where it was called on symbols; for files.
        known: the constant that stands for it in what is made of it, once its numbers were asked for; see `eager`.
        awaited: whether its numbers are not known before the graph runs, since it depends on an input or a symbol.
        serial: greater than that of any value made before.
    """

    __slots__ = ("__weakref__", "awaited", "inputs", "known", "op", "origin", "result", "scope")
    sparse: ClassVar[bool] = False  # nor the next: scripts written for Keras ask
    ragged: ClassVar[bool] = False

    def __init__(self, op: Op, inputs: tuple[Value, ...], result: Type | tuple[Type, ...], scope: str = "") -> None:
        self.op, self.inputs, self.result, self.scope = op, inputs, result, scope
        self.origin: Any = None
        self.known: Value | None = None
        self.awaited: bool = isinstance(op, Input) or op.symbolic or any(x.awaited for x in inputs)
        self.serial = next(SERIALS)

    @property
    def type(self) -> Type:
        if isinstance(self.result, tuple):
            raise TraceError(f"{self.op!r} has {len(self.result)} results; pick one.")
        return self.result

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape as Keras shows it: None where the size is not known."""
        return tuple(d if isinstance(d, int) else None for d in self.type.shape)

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.rank

    @property
    def name(self) -> str:
        """What made it: the label of an input, else the layer, or the operation where no layer did."""
        return self.op.label if isinstance(self.op, Input) else self.scope or self.op.name

    @property
    def _keras_mask(self) -> Value | None:
        """The mask that goes with it, under the name by which scripts written for Keras ask for it."""
        from seqc.mask_calls import mask_of  # it knows layers, and so lies above

        return mask_of(self)

    @_keras_mask.setter
    def _keras_mask(self, mask: Any) -> None:
        from seqc.graph.tracing import assign_mask  # it traces graphs, and so lies above

        assign_mask(self, mask)

    def reshape(self, *shape: Any) -> Value:
        """Returns `seqc.ops.reshape` of it, the sizes one by one or in a tuple."""
        return OPERATORS["reshape"](self, shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape)

    def squeeze(self, axis: Any = None) -> Value:
        """Returns `seqc.ops.squeeze` of it."""
        return OPERATORS["squeeze"](self, axis)

    def numpy(self) -> Array:
        """Computes the value with NumPy; only possible where nothing it depends on is a graph input."""
        return np.asarray(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        from seqc.graph.eager import evaluate_eagerly  # it runs graphs, and so lies above

        array = np.asarray(evaluate_eagerly(self), dtype=dtype)
        return array.copy() if copy else array

    def __len__(self) -> int:
        size = self.type.shape[0] if self.type.shape else None
        if not isinstance(size, int):
            raise TraceError(
                f"The length of {self} is not known before it runs, so that len() and loops over it have no meaning. "
                "Use seqc.ops.shape(x)[0] for the length, and functions of seqc.ops on the whole tensor."
            )
        return size

    def __bool__(self) -> bool:
        return bool(self.__array__())

    def __float__(self) -> float:
        return float(self.__array__())

    def __int__(self) -> int:
        return int(self.__array__())

    def __index__(self) -> int:
        if self.type.shape or not self.dtype.startswith(("int", "uint")):
            raise TypeError(f"Only an integer tensor of one element and no axes is a Python index; got {self.type}.")
        return int(self)

    def __format__(self, spec: str) -> str:
        return format(self.__array__().item(), spec) if spec else str(self)

    def __round__(self, digits: int | None = None) -> float | int:
        return round(float(self), digits)

    def __str__(self) -> str:
        """Shows the numbers where they are known, as on a layer called on an array, and else the operation."""
        if isinstance(self.result, tuple) or any(isinstance(v.op, Input) for v in walk([self])):
            return f"<{self.op!r}: {self.result}>"
        return f"<{self.result} {np.array2string(self.__array__(), separator=', ')}>"

    __repr__ = __str__

    def __iter__(self) -> Iterator[Value]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, repr=False, eq=False)
class Input(Op):
    """A leaf whose array is given at run time."""

    kind = "lookup"
    label: str
    dtype: str
    shape: Shape

    def infer(self) -> Type:
        return Type(self.dtype, self.shape)


@dataclass(frozen=True, repr=False, eq=False)
class Constant(Op):
    """A leaf whose array is part of the graph; `label` names the weight it came from, and does not tell it apart."""

    kind = "lookup"
    array: Array
    label: str = ""
    borrowed: bool = False  # the array is not copied: who made the constant sees to it that nobody writes it

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.dtype.kind in "US":
            array = as_strings(array)
        if self.borrowed:
            array = array.view()
            array.flags.writeable = False
        elif array.flags.writeable or array.base is not None:  # a read-only view still shows what others write
            array = array.copy()
            array.flags.writeable = False
        object.__setattr__(self, "array", array)

    def infer(self) -> Type:
        return Type(type_name(self.array), self.array.shape)

    def known_size(self) -> Dim | None:
        return int(self.array)

    def eval(self) -> Array:
        return self.array

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        a, b = self.array, other.array
        if a is b or a.dtype != b.dtype or a.shape != b.shape:
            return a is b
        # The bytes of objects are their addresses.
        return a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()

    def __hash__(self) -> int:
        first = self.array.flat[:16]
        content = tuple(first) if first.dtype == object else first.tobytes()
        return hash((self.array.dtype, self.array.shape, content))

    def __repr__(self) -> str:
        return f"Constant({self.array.item()!r})" if self.array.size == 1 else "Constant"


@dataclass(frozen=True, repr=False, eq=False)
class Item(Op):
    """Picks one result of an op that has several."""

    kind = "lookup"
    index: int

    def infer(self, *results: Type) -> Type:
        return results[self.index]

    def eval(self, results: tuple[Array, ...]) -> Array:
        return results[self.index]


class HasValue:
    """Something that stands for a value, such as a layer's variable; no protocol, which is slow to ask for."""

    def to_value(self) -> Value:
        raise NotImplementedError(f"{type(self).__name__}.to_value")


def as_value(x: Any, dtype: str | None = None) -> Value:
    """Returns `x` as a value: variables are read, lists of values (sizes of a shape) stacked, the rest is constant."""
    if isinstance(x, Value):
        return x if x.known is None else x.known
    if isinstance(x, list | tuple) and any(isinstance(e, Value | HasValue) for e in x):
        return OPERATORS["stack"](x)
    return x.to_value() if isinstance(x, HasValue) else constant(as_array(x, dtype))


def constant(array: Any, label: str = "", borrowed: bool = False) -> Value:
    """Returns the value of a constant array, which may carry the name of the weight it came from; see `Constant`."""
    return build(Constant(np.asarray(array), label, borrowed), (), current_scope())


def input_value(name: str, dtype: str, shape: Iterable[Dim]) -> Value:
    """Returns a graph input called `name`."""
    op = Input(name, dtype, tuple(shape))
    return Value(op, (), op.infer())


def build(op: Op, inputs: tuple[Value, ...], scope: str) -> Value:
    """Applies `op`, keeping all its results in one value, as the passes need it."""
    if isinstance(op, Item):
        return Value(op, inputs, op.infer(*cast("tuple[Type, ...]", inputs[0].result)), scope)
    types, result = inferred(op, [x.type for x in inputs])
    if isinstance(result, Type) and not result.shape:
        size = op.known_size(*types) if result.dtype.startswith(("int", "uint")) else None
        result = Type(result.dtype, (), size)
    return Value(op, inputs, result, scope)


def apply(op: Op, *inputs: Any) -> Value:
    """Returns the one result of `op` on the given values, variables or arrays."""
    return build(op, tuple(as_value(x) for x in inputs), current_scope())


def apply_many(op: Op, *inputs: Any) -> tuple[Value, ...]:
    """Returns all results of an op that has several."""
    return items(build(op, tuple(as_value(x) for x in inputs), current_scope()))


def items(value: Value) -> tuple[Value, ...]:
    """Returns the results of a value with several, one by one."""
    return tuple(Value(Item(i), (value,), t, value.scope) for i, t in enumerate(cast("tuple[Type, ...]", value.result)))


def walk(outputs: Iterable[Value], beyond: Iterable[Value] = ()) -> list[Value]:
    """Returns every value the outputs depend on, operands before their users, in a fixed order.

    Args:
        outputs: where to begin. beyond: values to leave out, with what only they depend on.
    """
    done: dict[Value, None] = dict.fromkeys(beyond)
    left_out = len(done)
    begun: set[Value] = set()
    stack = list(outputs)[::-1]
    while stack:
        value = stack.pop()
        if value in done:
            continue
        if value.inputs and value not in begun:
            begun.add(value)
            stack.append(value)  # once more, below its operands: by then they are done
            stack += value.inputs[::-1]
        else:
            done[value] = None
    return list(done)[left_out:]


@dataclass(frozen=True, eq=False)
class Graph:
    """Outputs, their names, and the inputs in calling order.

    Inputs are listed because an unused one is still part of the signature. A graph equals only itself: `==` of values
    makes new ones.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    output_names: tuple[str, ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(cast(Input, x.op).label for x in self.inputs)

    def walk(self) -> tuple[Value, ...]:
        """Returns every value the outputs depend on, operands before their users, in a fixed order."""
        return self._order

    @cached_property
    def _order(self) -> tuple[Value, ...]:
        return tuple(walk(self.outputs))

    @cached_property
    def everything(self) -> tuple[Value, ...]:
        """What `walk` gives, after the inputs that nothing reads."""
        read = set(self._order)
        return (*(x for x in self.inputs if x not in read), *self._order)

    def __str__(self) -> str:
        from seqc.graph.printing import format_graph  # it reads graphs, and so lies above

        return format_graph(self)
