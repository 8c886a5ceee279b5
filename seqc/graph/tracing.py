"""Variables, and the tracing that turns calls on them into a graph.

A variable holds an array between runs. While a graph is traced, reading it gives a graph input, and assigning to it is
recorded as an update that the run returns: nothing changes inside a graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from itertools import count
from typing import Any, TypeVar
from weakref import finalize

import numpy as np

from seqc.errors import ShapeError, TraceError
from seqc.graph.eager import is_known
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Array, HasValue, Shape, Type, Value, apply, as_value, constant, input_value
from seqc.graph.operators import Operators
from seqc.graph.scopes import current_scope, trace_under_way
from seqc.graph.strings import type_name
from seqc.ops.elementwise import Identity, StopGradient, cast
from seqc.ops.random import RandomUniform

R = TypeVar("R")

_NUMBERS = count()


class Variable(Operators, HasValue):
    """An array that lives between runs.

    Args:
        initializer: initial array or number, or a function of shape and dtype. shape: for such a function.
        dtype: by default that of the array; float32 or int32 for Python numbers. trainable: whether optimizers change
        it. autocast: whether layers that compute in another precision read it in theirs. name: last part of its path.
        aggregation, synchronization, layout: accepted, for several machines, of which there is one.
        regularizer: function from the variable to a penalty, added to the loss.
        constraint: function applied to it after each optimizer step.
    """

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        *,
        autocast: bool = True,
        aggregation: str | None = None,
        synchronization: str | None = None,
        layout: Any = None,
        name: str = "variable",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        if callable(initializer) and not isinstance(initializer, Operators):
            initializer = initializer(tuple(shape or ()), dtype or "float32")
        with tracing(None):
            self._array = np.array(as_value(initializer, dtype), dtype)
        self.moves = 0
        self.number = next(_NUMBERS)  # those made later have greater ones
        self.name = name
        self.path = name
        self.trainable = trainable
        self.autocast = autocast
        self.regularizer = regularizer
        self.constraint = constraint

    def __getstate__(self) -> dict[str, Any]:
        kept = vars(self) | {"moves": 0}  # the array of a copy is one of its own
        del kept["number"]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.number = next(_NUMBERS)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return self._array.shape

    @property
    def kept_dtype(self) -> str:
        """The element type of the array itself."""
        return type_name(self._array)

    @property
    def dtype(self) -> str:
        """The element type that reading it gives: in the call of a layer that of its computation."""
        trace = current_trace()
        return self.kept_dtype if trace is None else trace.dtype_of(self)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return self._array.ndim

    @property
    def type(self) -> Type:
        """Its element type and shape, as values have them."""
        return Type(self.dtype, self.shape)

    @property
    def value(self) -> Value:
        """The current array as a value: an input of the graph where one is being traced."""
        return self.to_value()

    def numpy(self) -> Array:
        """Returns a copy of the current array.

        Raises:
            TraceError: a graph is being traced, in which the array would stay what it is now.
        """
        return np.array(self)

    @property
    def array(self) -> Array:
        """The current array itself; read only by convention."""
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.to_value(), dtype=dtype)

    def __float__(self) -> float:
        return float(self._one())

    def __int__(self) -> int:
        return int(self._one())

    def __bool__(self) -> bool:
        raise TraceError(
            f"Variable '{self.path}' cannot be a Python condition: a graph is traced once, for all its later numbers. "
            "Use seqc.ops.where, or ask its array: variable.numpy()."
        )

    def _one(self) -> Any:
        array = self.numpy()
        if array.size != 1:
            raise ShapeError(f"Only a variable of one element is a Python number; '{self.path}' is {self.type}.")
        return array.item()

    def to_value(self) -> Value:
        """Returns the value that stands for it in the trace under way."""
        trace = current_trace()
        return constant(self._array) if trace is None else trace.read_as_computed(self)

    def assign(self, value: Any) -> None:
        """Sets the variable: now, or as an update of the graph that is being traced.

        Raises:
            ShapeError: the shapes differ.
        """
        trace = current_trace()
        if trace is None:
            array = np.array(value, self._array.dtype)
            self._check(array.shape)
            np.copyto(self._array, array)
        else:
            new = as_value(value, None if isinstance(value, Operators) else self.kept_dtype)
            self._check(new.type.shape)
            trace.updates[self] = cast(new, self.kept_dtype)

    def _check(self, shape: Shape) -> None:
        if shape != self.shape:
            shown = tuple(size if isinstance(size, int) else None for size in shape)
            raise ShapeError(f"Variable '{self.path}' has shape {self.shape}; got a value of shape {shown}.")

    def replace(self, array: Array) -> None:
        """Takes over the numbers of a computed array of the variable's shape."""
        np.copyto(self._array, array)

    def place(self, array: Array) -> None:
        """Goes on with another array of its shape and dtype, to which the numbers are copied."""
        np.copyto(array, self._array)
        self._array = array
        self.moves += 1

    def assign_add(self, value: Any) -> None:
        """Adds to the variable."""
        self.assign(self.to_value() + value)

    def assign_sub(self, value: Any) -> None:
        """Subtracts from the variable."""
        self.assign(self.to_value() - value)

    def __repr__(self) -> str:
        shown = np.array2string(self._array, threshold=20, precision=4)
        return f"<Variable {self.path} {self.type} {shown}>"


class ByVariable(dict[Any, Any]):
    """A dictionary with variables in its keys, pickled as a list.

    What hashes a pickled model puts the keys of dictionaries in order, and comparing variables compares their elements.
    """

    def __reduce__(self) -> tuple[type[ByVariable], tuple[list[tuple[Any, Any]]]]:
        return ByVariable, (list(self.items()),)


@contextmanager
def holding(variables: Sequence[Variable], arrays: Sequence[Any], who: str) -> Iterator[None]:
    """Lets variables have other numbers inside; afterwards they have their own again.

    Args:
        variables: whose numbers. arrays: one for each. who: has them, for messages.

    Raises:
        ShapeError: there are not as many arrays, or one has another shape; nothing is changed then.
    """
    if len(variables) != len(arrays):
        raise ShapeError(f"{who} has {len(variables)} variables of these kinds; got {len(arrays)} arrays for them.")
    before = [np.array(v.array) for v in variables]
    try:
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(np.asarray(array))
        yield
    finally:
        for variable, array in zip(variables, before, strict=True):
            variable.assign(array)


class Trace:
    """What happens while one graph is traced.

    Attributes:
        training: whether layers behave as in training, None where nobody has said so yet. learning: whether gradients
        may be asked for.
        eager: whether a layer is called on arrays, whose shapes say nothing of those to come.
        reads: the graph input standing for each variable read. updates: new values of variables.
        losses: penalties that layers added. adders: which layer added a penalty.
        masks: the mask that goes with a result of a layer's call.
        seed, step: int64 scalars that random layers depend on. streams: how often random numbers were drawn.
        inputs: what the layers of a model are called on.
    """

    def __init__(self, training: bool | None = None, eager: bool = False, learning: bool = False) -> None:
        self.training = training
        self.learning = learning or bool(training)
        self.eager = eager
        self.reads: dict[Variable, Value] = {}
        self.updates: dict[Variable, Value] = {}
        self.losses: list[Value] = []
        self.adders: dict[Value, Any] = {}
        self.masks: dict[Value, Value] = {}
        self._assigned: set[Value] = set()  # tensors to which `call` assigned their masks
        self.inputs: list[Value] = []
        self.seed = input_value("seed", "int64", ())
        self.step = input_value("step", "int64", ())
        # What was assigned and then read, of variables that were read after an assignment.
        self._rereads: dict[Variable, list[tuple[Value, Value]]] = {}
        # What the layer that is being called computes in, where that is not what its variables are kept in.
        self.autocast: str | None = None
        self._casts: dict[tuple[Value, str], Value] = {}
        self.streams = 0
        self._draws: Counter[tuple[Any, ...]] = Counter()  # of layers with seeds
        self._calls = 0  # that are under way, one inside the other
        self._labels: dict[Variable, str] = {}
        self._taken: set[str] = set()
        self._names: set[str] = set()

    def give_mask(self, tensor: Value, mask: Value | None, given: Sequence[Any], instead: bool) -> Value:
        """Returns a layer's result with the mask that the call gives it, if any.

        A call may return what was there before: its input, a variable, or what a layer inside it made. Other calls read
        that with the mask it had, so another mask goes with a tensor of its own.

        Args:
            tensor: the result. mask: for it. given: the tensors the layer was called on.
            instead: whether the mask takes the place of one that the result has already.
        """
        had = self.masks.get(tensor)
        kept = had is not None and (not instead or tensor in self._assigned)
        if mask is None or mask is had or kept:
            return tensor
        if had is not None or any(tensor is x for x in given) or not tensor.inputs:
            tensor = apply(Identity(), tensor)
        self.masks[tensor] = mask
        return tensor

    def assign_mask(self, tensor: Value, mask: Value | None) -> None:
        """Gives a tensor a mask that is the last word, or none."""
        self._assigned.discard(tensor)
        self.masks.pop(tensor, None)
        if mask is not None:
            self._assigned.add(tensor)
            self.masks[tensor] = mask

    @contextmanager
    def in_mode(self, training: bool | None) -> Iterator[None]:
        """Layers that are called inside behave as in training, or not, where nobody says it of them."""
        before, self.training = self.training, training
        try:
            yield
        finally:
            self.training = before

    def add_loss(self, loss: Value, adder: Any) -> None:
        """Notes a penalty, and which layer added it."""
        if loss in self.adders:  # one tensor, added twice
            loss = apply(Identity(), loss)
        self.losses.append(loss)
        self.adders[loss] = adder

    @contextmanager
    def called(self, layers: Iterable[Any]) -> Iterator[None]:
        """A call runs inside; one from outside of any other forgets the penalties that its layers added before.

        Args:
            layers: what is called, and all inside it.
        """
        if self.losses and not self._calls and not current_scope():
            earlier = set(self.losses_of(layers))
            self.losses = [loss for loss in self.losses if loss not in earlier]
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    def losses_of(self, layers: Iterable[Any]) -> list[Value]:
        """Returns the penalties that some layers added, layer by layer."""
        if not self.losses:
            return []
        order = {id(layer): place for place, layer in enumerate(layers)}
        found = [loss for loss in self.losses if id(self.adders.get(loss)) in order]
        return sorted(found, key=lambda loss: order[id(self.adders[loss])])

    def read(self, variable: Variable) -> Value:
        if variable in self.updates:
            return self._updated(variable)
        if variable not in self.reads:
            self.reads[variable] = input_value(self.label(variable), variable.kept_dtype, variable.shape)
        return self.reads[variable]

    def read_as_computed(self, variable: Variable) -> Value:
        """Returns a variable in the precision that the layer being called computes in."""
        value, dtype = self.read(variable), self.dtype_of(variable)
        if value.dtype == dtype:
            return value
        if (value, dtype) not in self._casts:
            self._casts[value, dtype] = cast(value, dtype)
        return self._casts[value, dtype]

    def is_read(self, value: Value) -> bool:
        """Tells whether a value is a variable in another precision, which all readers of the variable share."""
        return len(value.inputs) == 1 and self._casts.get((value.inputs[0], value.dtype)) is value

    @contextmanager
    def reading_as(self, dtype: str | None) -> Iterator[None]:
        """Makes variables of floats read in a dtype inside; None for that which each is kept in."""
        around, self.autocast = self.autocast, dtype
        try:
            yield
        finally:
            self.autocast = around

    def dtype_of(self, variable: Variable) -> str:
        """Returns the element type that a variable is read in."""
        kept = variable.kept_dtype
        return self.autocast if self.autocast and variable.autocast and kept in FLOATS else kept

    def _updated(self, variable: Variable) -> Value:
        """Returns what was assigned last. Gradients end there: how the new value came about is not differentiated."""
        new, read = self._rereads.get(variable, [(None, None)])[-1]
        if read is None or new is not self.updates[variable]:
            new, read = self.updates[variable], apply(StopGradient(), self.updates[variable])
            self._rereads.setdefault(variable, []).append((new, read))
        return read

    def reads_of(self, variable: Variable) -> list[Value]:
        """Returns every value that stood for a variable so far, before and after assignments to it."""
        first = [self.reads[variable]] if variable in self.reads else []
        return [*first, *(read for _, read in self._rereads.get(variable, ()))]

    def label(self, variable: Variable) -> str:
        """Returns a name for a variable that no other has in this graph: nested models may repeat names of layers."""
        if variable not in self._labels:
            path, count = variable.path, 0
            while (unique := f"{path}_{count}" if count else path) in self._taken:
                count += 1
            self._labels[variable] = unique
            self._taken.add(unique)
        return self._labels[variable]

    def unused(self, name: str) -> str:
        """Returns a name that begins with `name` and was not returned before."""
        count, found = 0, name
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found

    def random_uniform(self, like: Value, seed: Value | None = None) -> Value:
        """Returns uniform numbers in [0, 1) of the shape of `like`, fresh for every step and place in the graph."""
        self.streams += 1
        return apply(RandomUniform(self.streams), like, self.seed if seed is None else seed, self.step)

    def random_uniform_of(self, who: str, seed: int, stream: int, like: Value) -> Value:
        """Returns what a layer with a seed of its own draws: at each of its calls in a graph something else.

        Args:
            stream: tells apart what the layer draws in one call; below 65536.
        """
        calls = self._draws[who, seed, stream]
        self._draws[who, seed, stream] += 1
        return apply(RandomUniform(stream + (calls << 16)), like, constant(np.int64(seed)), self.step)


# The masks of what layers returned outside any trace, called on arrays. By identity: `==` of tensors makes new ones.
_eager_masks: dict[int, Value] = {}


def remember_mask(tensor: Value, mask: Value) -> None:
    """Keeps the mask of a layer's result outside any trace, for as long as the result lives."""
    _eager_masks[id(tensor)] = mask
    finalize(tensor, _eager_masks.pop, id(tensor), None)


def remembered_mask(tensor: Value) -> Value | None:
    """Returns the mask of what a layer returned outside any trace, if it has one."""
    return _eager_masks.get(id(tensor))


def assign_mask(tensor: Value, mask: Any) -> None:
    """Gives a tensor another mask, or none: in the trace under way, else for as long as it lives."""
    trace, found = current_trace(), None if mask is None else as_value(mask)
    if trace is not None:
        trace.assign_mask(tensor, found)
        return
    if is_known(tensor):  # layers will be given the constant that stands for it then
        tensor.numpy()
        tensor = as_value(tensor)
    if found is None:
        _eager_masks.pop(id(tensor), None)
    else:
        remember_mask(tensor, found)


def current_trace() -> Trace | None:
    """Returns the trace that is being recorded, if any."""
    found: Trace | None = trace_under_way.get()
    return found


def require_trace(who: str) -> Trace:
    """Returns the current trace; an error names who needs it."""
    trace = current_trace()
    if trace is None:
        raise TraceError(f"{who} works only inside a model that is being traced.")
    return trace


def traced(trace: Trace, function: Callable[..., R], *arguments: Any, **named: Any) -> R:
    """Returns what a function returns that is called while `trace` records.

    It runs in a context of its own, which the interpreter leaves whatever happens: no interruption keeps recording on.
    """

    def recorded() -> R:
        with tracing(trace):
            return function(*arguments, **named)

    return copy_context().run(recorded)


def tracing(trace: Trace | None) -> AbstractContextManager[Trace | None]:
    """Records what happens inside into `trace`; None stops recording, so that variables give their arrays.

    For use while a graph is traced; see `traced` for how that begins.
    """
    return trace_under_way.holding(trace)
