"""What element-wise operations share, comparisons, logic, conversion and choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from seqc.errors import ConfigError, DTypeError
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, BatchRule, Constant, Emitter, Op, Type, Value, apply, as_value
from seqc.graph.layout import LayoutRule, elementwise_layout_rule
from seqc.graph.operators import OPERATORS
from seqc.graph.target import Target
from seqc.ops._common import (
    as_float,
    as_number,
    as_operands,
    broadcast_shapes,
    check_float,
    check_number,
    check_same_dtype,
    dtype_name,
    scalar,
)


class Elementwise(Op):
    """Operands broadcast, the result has one element per broadcast position."""

    def known_size(self, *types: Any) -> Dim | None:
        sizes = [t.size for t in types if t.size is not None]
        return self.of_sizes(*sizes) if len(sizes) == len(types) else None

    def of_sizes(self, *sizes: Any) -> Dim | None:
        """Returns what the operation makes of sizes, if that is known."""
        return None

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def lower(self, e: Emitter, y: Value, *names: Any) -> str | tuple[str, ...]:
        return e.node(self.name, *names)

    def layout_rule(self, y: Value, *layouts: Any) -> LayoutRule | None:
        return elementwise_layout_rule(self, y.type, tuple(x.type for x in y.inputs), layouts)


class Unary(Elementwise):
    """One operand of floating-point numbers, or of any numbers where `float_only` is false."""

    function: ClassVar[Callable[..., Any]]
    float_only: ClassVar[bool] = True

    def infer(self, x: Type) -> Type:
        (check_float if self.float_only else check_number)(self, x)
        return x

    def eval(self, x: Array) -> Any:
        return type(self).function(x)


class Binary(Elementwise):
    """Two operands of numbers of one dtype."""

    function: ClassVar[Callable[..., Any]]

    def infer(self, a: Type, b: Type) -> Type:
        check_same_dtype(self, a, b)
        self.check_dtype(a)
        return a.with_shape(broadcast_shapes(self, a.shape, b.shape))

    def check_dtype(self, x: Type) -> None:
        check_number(self, x)

    def eval(self, a: Array, b: Array) -> Any:
        return type(self).function(a, b)


def apply_to_number(op: Op, x: Any) -> Value:
    """Applies an op to numbers; booleans count as integers."""
    return apply(op, as_number(x))


def apply_to_float(op: Op, x: Any) -> Value:
    """Applies an op to floating-point numbers; others are converted."""
    return apply(op, as_float(x))


def apply_binary(op: Op, x1: Any, x2: Any, on_booleans: Op | None = None) -> Value:
    """Applies an op to numbers of one dtype, or another op to two booleans."""
    a, b = as_operands(x1, x2, held=isinstance(op, Comparison))
    if a.dtype != "bool":
        return apply(op, a, b)
    return apply(op, as_number(a), as_number(b)) if on_booleans is None else apply(on_booleans, a, b)


class Comparison(Binary):
    """Two numbers give a boolean; no gradient."""

    def infer(self, a: Type, b: Type) -> Type:
        return super().infer(a, b).with_dtype("bool")

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return (None, None)


class Equal(Comparison):
    """a = b."""

    function = np.equal

    def check_dtype(self, x: Type) -> None:
        """Booleans can be compared too."""


class Less(Comparison):
    """a < b."""

    function = np.less


class LessOrEqual(Comparison):
    """a <= b."""

    function = np.less_equal


class Greater(Comparison):
    """a > b."""

    function = np.greater


class GreaterOrEqual(Comparison):
    """a >= b."""

    function = np.greater_equal


class IsNaN(Unary):
    """Whether x is not a number."""

    function = np.isnan

    def infer(self, x: Type) -> Type:
        return super().infer(x).with_dtype("bool")

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)


class Logical(Binary):
    """Operands and result are booleans."""

    def check_dtype(self, x: Type) -> None:
        _check_boolean(self, x)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> Sequence[Value | None]:
        return None, None


class And(Logical):
    """Whether both are true."""

    function = np.logical_and


class Or(Logical):
    """Whether one of them is true."""

    function = np.logical_or


class Xor(Logical):
    """Whether exactly one of them is true."""

    function = np.logical_xor


class Not(Elementwise):
    """Whether it is false."""

    def infer(self, x: Type) -> Type:
        _check_boolean(self, x)
        return x

    def eval(self, x: Array) -> Any:
        return np.logical_not(x)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)


def _check_boolean(op: Op, x: Type) -> None:
    if x.dtype != "bool":
        raise DTypeError(f"{op.name} needs booleans; got {x}. Cast it first: ops.cast(x, 'bool').")


@dataclass(frozen=True, repr=False, eq=False)
class Cast(Elementwise):
    """Converts the element type; floats become integers by truncation."""

    kind = "move"
    dtype: str

    def of_sizes(self, x: Dim) -> Dim | None:
        return x

    def infer(self, x: Type) -> Type:
        return x.with_dtype(self.dtype)

    def eval(self, x: Array) -> Any:
        return x.astype(self.dtype)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (cast(g, x.dtype) if x.type.is_float and y.type.is_float else None,)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        if y.inputs[0].type.dtype == "bool" and y.type.is_float:
            # Converters to half precision leave the type that a Cast names as it is; numbers they convert.
            zero, one = (e.constant(np.array(v, self.dtype)) for v in (0, 1))
            return e.node("Where", x, one, zero)
        return e.node("Cast", x, to=self.dtype)


class Where(Elementwise):
    """Takes the second operand where the first is true, else the third."""

    chooses = True

    def infer(self, condition: Type, a: Type, b: Type) -> Type:
        if condition.dtype != "bool":
            raise DTypeError(f"Where needs a boolean condition; got {condition}. Cast it first: ops.cast(x, 'bool').")
        check_same_dtype(self, a, b)
        return a.with_shape(broadcast_shapes(self, condition.shape, a.shape, b.shape))

    def eval(self, condition: Array, a: Array, b: Array) -> Any:
        return np.where(condition, a, b)

    def decompose(self, target: Target, y: Value, condition: Value, a: Value, b: Value) -> Value | None:
        if y.dtype != "bool" or target.supports("Where", dtype="bool"):
            return None
        first, second = logical_and(condition, a), logical_and(logical_not(condition), b)
        return first if _is_false(b) else second if _is_false(a) else logical_or(first, second)

    def vjp(self, g: Value, y: Value, condition: Value, a: Value, b: Value) -> Sequence[Value | None]:
        none = scalar(0, g)
        return None, where(condition, g, none), where(condition, none, g)


def _is_false(x: Value) -> bool:
    return isinstance(x.op, Constant) and x.type.rank == 0 and not x.op.array.any()


class Identity(Elementwise):
    """The operand as a tensor of its own, for what is said of one and not of the other."""

    kind = "view"

    def of_sizes(self, x: Dim) -> Dim | None:
        return x

    def infer(self, x: Type) -> Type:
        return x

    def eval(self, x: Array) -> Any:
        return x

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (g,)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        return x


class StopGradient(Identity):
    """The identity, through which no gradient flows."""

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)


def equal(x1: Any, x2: Any) -> Value:
    """Returns where x1 equals x2."""
    return apply_binary(Equal(), x1, x2, on_booleans=Equal())


def less(x1: Any, x2: Any) -> Value:
    """Returns where x1 < x2."""
    return apply_binary(Less(), x1, x2)


def less_equal(x1: Any, x2: Any) -> Value:
    """Returns where x1 <= x2."""
    return apply_binary(LessOrEqual(), x1, x2)


def greater(x1: Any, x2: Any) -> Value:
    """Returns where x1 > x2."""
    return apply_binary(Greater(), x1, x2)


def greater_equal(x1: Any, x2: Any) -> Value:
    """Returns where x1 >= x2."""
    return apply_binary(GreaterOrEqual(), x1, x2)


def isnan(x: Any) -> Value:
    """Returns where x is NaN."""
    return apply_to_float(IsNaN(), x)


def stop_gradient(variable: Any) -> Value:
    """Returns the tensor, and lets no gradient through."""
    return apply(StopGradient(), variable)


def cast(x: Any, dtype: Any) -> Value:
    """Returns x with another element type, given by name or as a NumPy or Python type.

    Floats become integers by truncation, and booleans by whether they differ from zero.
    """
    value, name = as_value(x), dtype_name(dtype)
    return value if value.dtype == name else apply(Cast(name), value)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Value:
    """Returns x1 where the condition holds, else x2; all three broadcast.

    Raises:
        ConfigError: there is a condition only. How many places it holds at would depend on data.
    """
    if x1 is None and x2 is None:
        raise ConfigError(
            "where needs something to choose from: where(condition, x1, x2). ops.nonzero gives the places at which a "
            "condition holds, of numbers that are known: how many there are is no size that a model can have."
        )
    a, b = as_operands(x1, x2)
    return apply(Where(), cast(condition, "bool"), a, b)


def not_equal(x1: Any, x2: Any) -> Value:
    """Returns where x1 differs from x2."""
    return logical_not(equal(x1, x2))


def logical_not(x: Any) -> Value:
    """Returns where x is false."""
    return apply(Not(), cast(x, "bool"))


def logical_and(x1: Any, x2: Any) -> Value:
    """Returns where both are true."""
    return apply(And(), cast(x1, "bool"), cast(x2, "bool"))


def logical_or(x1: Any, x2: Any) -> Value:
    """Returns where either is true."""
    return apply(Or(), cast(x1, "bool"), cast(x2, "bool"))


def logical_xor(x1: Any, x2: Any) -> Value:
    """Returns where exactly one is true."""
    return apply(Xor(), cast(x1, "bool"), cast(x2, "bool"))


OPERATORS.update(
    equal=equal,
    not_equal=not_equal,
    less=less,
    less_equal=less_equal,
    greater=greater,
    greater_equal=greater_equal,
    logical_not=logical_not,
    logical_and=logical_and,
    logical_or=logical_or,
    logical_xor=logical_xor,
)
