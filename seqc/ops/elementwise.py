"""Element-wise operations with one ONNX operator each, and the functions that apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from seqc.errors import DTypeError
from seqc.ir import OPERATORS, Array, Emitter, Op, Type, Value, apply, as_value
from seqc.layout import Arrangement, Layout, arrange_elementwise
from seqc.ops import _special
from seqc.ops._common import as_operands, broadcast_shapes, check_count, check_float, check_same_dtype, scalar


@dataclass(frozen=True, repr=False)
class Elementwise(Op):
    """Operands broadcast, the result has one element per broadcast position."""

    onnx_type: ClassVar[str] = ""

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node(self.onnx_type or self.name, *names)

    def arrange(self, y: Value, *layouts: Layout) -> Arrangement | None:
        return arrange_elementwise(self, y.type, tuple(x.type for x in y.inputs), layouts)


@dataclass(frozen=True, repr=False)
class Unary(Elementwise):
    function: ClassVar[Callable[..., Any]]
    float_only: ClassVar[bool] = True

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        if self.float_only:
            check_float(self, types[0])
        return types[0]

    def eval(self, *arrays: Array) -> Any:
        return type(self).function(arrays[0])


@dataclass(frozen=True, repr=False)
class Binary(Elementwise):
    function: ClassVar[Callable[..., Any]]

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 2)
        check_same_dtype(self, *types)
        return types[0].with_shape(broadcast_shapes(self, *(t.shape for t in types)))

    def eval(self, *arrays: Array) -> Any:
        return type(self).function(*arrays)


@dataclass(frozen=True, repr=False)
class Comparison(Binary):
    def infer(self, *types: Type) -> Type:
        return super().infer(*types).with_dtype("bool")

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None, None)


@dataclass(frozen=True, repr=False)
class Add(Binary):
    function = np.add

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return g, g


@dataclass(frozen=True, repr=False)
class Sub(Binary):
    function = np.subtract

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return g, -g


@dataclass(frozen=True, repr=False)
class Mul(Binary):
    function = np.multiply

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return g * b, g * a


@dataclass(frozen=True, repr=False)
class Div(Binary):
    """Division; integers divide towards zero as ONNX does."""

    def eval(self, *arrays: Array) -> Any:
        a, b = arrays
        return np.divide(a, b) if np.issubdtype(a.dtype, np.floating) else (np.trunc(a / b)).astype(a.dtype)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return g / b, -(g * y) / b


@dataclass(frozen=True, repr=False)
class Pow(Binary):
    function = np.power

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        safe_log = log(where(a > 0, a, scalar(1, a)))
        return g * b * a ** (b - scalar(1, b)), g * y * safe_log


@dataclass(frozen=True, repr=False)
class Max(Binary):
    """The larger operand; a tie sends half the gradient to each, as Keras's backends do."""

    function = np.maximum

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return _share(g, a > b, a < b)


@dataclass(frozen=True, repr=False)
class Min(Binary):
    """The smaller operand; a tie sends half the gradient to each."""

    function = np.minimum

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return _share(g, a < b, a > b)


def _share(g: Value, first: Value, second: Value) -> Sequence[Value]:
    half, one, none = scalar(0.5, g), scalar(1, g), scalar(0, g)
    part = where(first, one, where(second, none, half))
    return g * part, g * (one - part)


@dataclass(frozen=True, repr=False)
class Mod(Binary):
    """Remainder with the sign of the divisor; integers only in ONNX."""

    function = np.mod

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        if y.type.is_float:
            quotient = e.node("Floor", e.node("Div", *names))
            return e.node("Sub", names[0], e.node("Mul", quotient, names[1]))
        return e.node("Mod", *names)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        a, b = xs
        return g, -(g * floor(a / b))


@dataclass(frozen=True, repr=False)
class Equal(Comparison):
    function = np.equal


@dataclass(frozen=True, repr=False)
class Less(Comparison):
    function = np.less


@dataclass(frozen=True, repr=False)
class LessOrEqual(Comparison):
    function = np.less_equal


@dataclass(frozen=True, repr=False)
class Greater(Comparison):
    function = np.greater


@dataclass(frozen=True, repr=False)
class GreaterOrEqual(Comparison):
    function = np.greater_equal


@dataclass(frozen=True, repr=False)
class Logical(Binary):
    def infer(self, *types: Type) -> Type:
        if any(t.dtype != "bool" for t in types):
            raise DTypeError(f"{self.name} needs booleans; got {', '.join(map(str, types))}.")
        return super().infer(*types)


@dataclass(frozen=True, repr=False)
class And(Logical):
    function = np.logical_and


@dataclass(frozen=True, repr=False)
class Or(Logical):
    function = np.logical_or


@dataclass(frozen=True, repr=False)
class BitwiseXor(Binary):
    """Exclusive or of integers (ONNX 18); the random generator mixes with it."""

    function = np.bitwise_xor


@dataclass(frozen=True, repr=False)
class Not(Unary):
    function = np.logical_not
    float_only = False


@dataclass(frozen=True, repr=False)
class Neg(Unary):
    function = np.negative
    float_only = False

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (-g,)


@dataclass(frozen=True, repr=False)
class Abs(Unary):
    """Absolute value; gradient 0 at 0."""

    function = np.abs
    float_only = False

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * sign(xs[0]),)


@dataclass(frozen=True, repr=False)
class Sign(Unary):
    function = np.sign
    float_only = False

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Floor(Unary):
    function = np.floor

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Ceil(Unary):
    function = np.ceil

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Round(Unary):
    """Rounds halves to even."""

    function = np.round

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class IsNaN(Unary):
    function = np.isnan

    def infer(self, *types: Type) -> Type:
        return super().infer(*types).with_dtype("bool")

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)


@dataclass(frozen=True, repr=False)
class Exp(Unary):
    function = np.exp

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * y,)


@dataclass(frozen=True, repr=False)
class Log(Unary):
    function = np.log

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g / xs[0],)


@dataclass(frozen=True, repr=False)
class Sqrt(Unary):
    function = np.sqrt

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * scalar(0.5, g) / y,)


@dataclass(frozen=True, repr=False)
class Sin(Unary):
    function = np.sin

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * cos(xs[0]),)


@dataclass(frozen=True, repr=False)
class Cos(Unary):
    function = np.cos

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (-g * sin(xs[0]),)


@dataclass(frozen=True, repr=False)
class Tanh(Unary):
    function = np.tanh

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * (scalar(1, y) - y * y),)


@dataclass(frozen=True, repr=False)
class Sigmoid(Unary):
    function = _special.sigmoid

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * y * (scalar(1, y) - y),)


@dataclass(frozen=True, repr=False)
class Softplus(Unary):
    """log(1 + exp(x)), without overflow."""

    function = _special.softplus

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (g * sigmoid(xs[0]),)


@dataclass(frozen=True, repr=False)
class Softsign(Unary):
    """x / (1 + |x|)."""

    function = _special.softsign

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        root = scalar(1, y) - absolute(y)
        return (g * root * root,)


@dataclass(frozen=True, repr=False)
class Erf(Unary):
    function = _special.erf

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g * scalar(2 / np.sqrt(np.pi), x) * exp(-(x * x)),)


@dataclass(frozen=True, repr=False)
class Relu(Unary):
    """max(x, 0); gradient 0 at 0."""

    float_only = False

    def eval(self, *arrays: Array) -> Any:
        return np.maximum(arrays[0], arrays[0].dtype.type(0))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (apply(ReluGrad(), g, y),)


@dataclass(frozen=True, repr=False)
class ReluGrad(Binary):
    """`g` where the output `y` of Relu is positive, else 0."""

    def eval(self, *arrays: Array) -> Any:
        g, y = arrays
        return np.multiply(g, y > 0)

    def decompose(self, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        g, out = xs
        return where(out > 0, g, scalar(0, g))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return apply(ReluGrad(), g, xs[1]), None


@dataclass(frozen=True, repr=False)
class Elu(Unary):
    """x where positive, else alpha * (exp(x) - 1)."""

    alpha: float = 1.0

    def eval(self, *arrays: Array) -> Any:
        (x,) = arrays
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0)))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g * where(x > 0, scalar(1, x), y + scalar(self.alpha, x)),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Elu", *names, alpha=self.alpha)


@dataclass(frozen=True, repr=False)
class LeakyRelu(Unary):
    """x where positive, else alpha * x; gradient alpha at 0."""

    alpha: float

    def eval(self, *arrays: Array) -> Any:
        (x,) = arrays
        return np.where(x > 0, x, x * x.dtype.type(self.alpha))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (g * where(x > 0, scalar(1, x), scalar(self.alpha, x)),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("LeakyRelu", *names, alpha=self.alpha)


@dataclass(frozen=True, repr=False)
class Clip(Unary):
    """Limits to [low, high]; the gradient passes inside and on the borders."""

    low: float
    high: float
    float_only = False

    def eval(self, *arrays: Array) -> Any:
        kind = arrays[0].dtype.type
        return np.clip(arrays[0], kind(self.low), kind(self.high))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        inside = logical_and(x >= scalar(self.low, x), x <= scalar(self.high, x))
        return (where(inside, g, scalar(0, g)),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        low, high = (np.array(v, y.type.dtype) for v in (self.low, self.high))
        return e.node("Clip", *names, e.constant(low), e.constant(high))


@dataclass(frozen=True, repr=False)
class Cast(Elementwise):
    """Converts the element type; floats become integers by truncation."""

    dtype: str

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        return types[0].with_dtype(self.dtype)

    def eval(self, *arrays: Array) -> Any:
        return arrays[0].astype(self.dtype)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        (x,) = xs
        return (cast(g, x.dtype) if x.type.is_float and y.type.is_float else None,)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Cast", *names, to=self.dtype)


@dataclass(frozen=True, repr=False)
class Where(Elementwise):
    """Takes the second operand where the first is true, else the third."""

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 3)
        condition, a, b = types
        if condition.dtype != "bool":
            raise DTypeError(f"Where needs a boolean condition; got {condition}.")
        check_same_dtype(self, a, b)
        return a.with_shape(broadcast_shapes(self, *(t.shape for t in types)))

    def eval(self, *arrays: Array) -> Any:
        return np.where(*arrays)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        none = scalar(0, g)
        return None, where(xs[0], g, none), where(xs[0], none, g)


@dataclass(frozen=True, repr=False)
class StopGradient(Unary):
    """The identity, through which no gradient flows."""

    float_only = False

    def eval(self, *arrays: Array) -> Any:
        return arrays[0]

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,)

    def decompose(self, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        return xs[0]


def _unary(op: Op, docs: str) -> Callable[[Any], Value]:
    def function(x: Any) -> Value:
        return apply(op, x)

    function.__doc__ = docs
    return function


def _unary_float(op: Op, docs: str) -> Callable[[Any], Value]:
    def function(x: Any) -> Value:
        value = as_value(x)
        return apply(op, value if value.type.is_float else cast(value, "float32"))

    function.__doc__ = docs
    return function


def _binary(op: Op, docs: str) -> Callable[[Any, Any], Value]:
    def function(x1: Any, x2: Any) -> Value:
        return apply(op, *as_operands(x1, x2))

    function.__doc__ = docs
    return function


add = _binary(Add(), "Returns x1 + x2, broadcast.")
subtract = _binary(Sub(), "Returns x1 - x2, broadcast.")
multiply = _binary(Mul(), "Returns x1 * x2, broadcast.")
power = _binary(Pow(), "Returns x1 raised to x2, broadcast.")
maximum = _binary(Max(), "Returns the larger of x1 and x2, broadcast.")
minimum = _binary(Min(), "Returns the smaller of x1 and x2, broadcast.")
mod = _binary(Mod(), "Returns the remainder of x1 / x2 with the sign of x2.")
equal = _binary(Equal(), "Returns where x1 equals x2.")
less = _binary(Less(), "Returns where x1 < x2.")
less_equal = _binary(LessOrEqual(), "Returns where x1 <= x2.")
greater = _binary(Greater(), "Returns where x1 > x2.")
greater_equal = _binary(GreaterOrEqual(), "Returns where x1 >= x2.")
negative = _unary(Neg(), "Returns -x.")
absolute = _unary(Abs(), "Returns |x|.")
sign = _unary(Sign(), "Returns -1, 0 or 1.")
relu = _unary(Relu(), "Returns max(x, 0).")
stop_gradient = _unary(StopGradient(), "Returns x, and lets no gradient through.")
floor = _unary_float(Floor(), "Returns the largest integer not above x.")
ceil = _unary_float(Ceil(), "Returns the smallest integer not below x.")
round = _unary_float(Round(), "Returns x rounded, halves to even.")
isnan = _unary_float(IsNaN(), "Returns where x is NaN.")
exp = _unary_float(Exp(), "Returns e to the power x.")
log = _unary_float(Log(), "Returns the natural logarithm.")
sqrt = _unary_float(Sqrt(), "Returns the square root.")
sin = _unary_float(Sin(), "Returns the sine of x (radians).")
cos = _unary_float(Cos(), "Returns the cosine of x (radians).")
tanh = _unary_float(Tanh(), "Returns the hyperbolic tangent.")
sigmoid = _unary_float(Sigmoid(), "Returns 1 / (1 + exp(-x)).")
softplus = _unary_float(Softplus(), "Returns log(1 + exp(x)).")
softsign = _unary_float(Softsign(), "Returns x / (1 + |x|).")
erf = _unary_float(Erf(), "Returns the error function.")


def divide(x1: Any, x2: Any) -> Value:
    """Returns x1 / x2; integers are divided as floats, as Keras does."""
    a, b = as_operands(x1, x2)
    if not a.type.is_float:
        a, b = cast(a, "float32"), cast(b, "float32")
    return apply(Div(), a, b)


def cast(x: Any, dtype: str) -> Value:
    """Returns x with another element type."""
    value = as_value(x)
    return value if value.dtype == dtype else apply(Cast(dtype), value)


def where(condition: Any, x1: Any, x2: Any) -> Value:
    """Returns x1 where the condition holds, else x2; all three broadcast."""
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


def clip(x: Any, x_min: float, x_max: float) -> Value:
    """Returns x limited to [x_min, x_max]."""
    return apply(Clip(float(x_min), float(x_max)), x)


def square(x: Any) -> Value:
    """Returns x * x."""
    value = as_value(x)
    return apply(Mul(), value, value)


def reciprocal(x: Any) -> Value:
    """Returns 1 / x."""
    return divide(1.0, x)


def rsqrt(x: Any) -> Value:
    """Returns 1 / sqrt(x)."""
    return divide(1.0, sqrt(x))


def log1p(x: Any) -> Value:
    """Returns log(1 + x)."""
    return log(add(x, 1.0))


def expm1(x: Any) -> Value:
    """Returns exp(x) - 1."""
    return subtract(exp(x), 1.0)


def elu(x: Any, alpha: float = 1.0) -> Value:
    """Returns x where positive, else alpha * (exp(x) - 1)."""
    return apply(Elu(float(alpha)), x)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Value:
    """Returns x where positive, else negative_slope * x."""
    return apply(LeakyRelu(float(negative_slope)), x)


OPERATORS.update(
    add=add,
    subtract=subtract,
    multiply=multiply,
    divide=divide,
    power=power,
    negative=negative,
    absolute=absolute,
    less=less,
    less_equal=less_equal,
    greater=greater,
    greater_equal=greater_equal,
    logical_not=logical_not,
    logical_and=logical_and,
    logical_or=logical_or,
)
