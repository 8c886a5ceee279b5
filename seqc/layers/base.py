"""The base of all layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary, ref

import numpy as np

from seqc import dtype_policies, file_scope, serialization, tree
from seqc.argument_kinds import taken
from seqc.errors import ConfigError, DTypeError, LayerError, ShapeError
from seqc.graph.element_types import FLOATS
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Type, Value, as_value, build, constant, input_value, items, scope
from seqc.graph.tracing import Trace, current_trace, remember_mask, remembered_mask, require_trace, traced, tracing
from seqc.layers import call_masks
from seqc.layers._common import KerasShape, constructed_at, symbolic_shape
from seqc.layers._surface import REFUSED, Surface
from seqc.layers.call_errors import refuse_captured, refuse_several, refuse_symbols
from seqc.layers.calls import Arguments, LayerCall, has_tensors, is_shape, is_symbolic, put_tensors, take_tensors
from seqc.layers.input_spec import check_spec
from seqc.ops.elementwise import cast
from seqc.ops.reduce import count
from seqc.passes.half_precision import compute_halves_in_single
from seqc.random import next_seed
from seqc.utils.naming import snake_case, unique_name

__all__ = ["KerasShape", "Layer", "snake_case", "symbolic_shape"]


def _remembering(build: Callable[..., None]) -> Callable[..., None]:
    """Returns a `build` after which the layer knows that it is built, and for which shape; or has no new weights."""

    @wraps(build)
    def wrapper(self: Layer, *arguments: Any, **named: Any) -> None:
        before, mark = self.built, self._mark_variables()
        try:
            build(self, *arguments, **named)
            shape = arguments[0] if arguments else named.get("input_shape")
            if shape is not None:
                self._build_shape = shape if isinstance(shape, dict) else tuple(shape)
            self.built = True
        except BaseException:  # also Ctrl-C: another attempt starts from nothing
            self.built = before
            self._forget_variables_since(mark)
            raise

    return wrapper


# The stack that a layer stands in. Weak, and beside the layers, so that neither is kept or copied for the other's sake.
_STACKS: WeakKeyDictionary[Any, ref[Any]] = WeakKeyDictionary()


class Layer(Surface):
    """A function from one tensor to one tensor, with weights.

    A subclass writes `__init__`, `build(input_shape)` (makes weights with `add_weight`), and `call(x)` with functions
    of `seqc.ops`; `call` may take `training` and `mask`. Gradients, files and ONNX follow from that.

    Args:
        name: unique in its model; made from the class name by default.
        trainable: whether the optimizer may change its weights.
        dtype: a policy, its name or its description: what weights are kept in and what is computed in, by default
            `seqc.config.dtype_policy()`.
        autocast: whether floats that come, and weights that are read, are converted to what the layer computes in.
        activity_regularizer: penalty on the layer's output, divided by the batch size.
    """

    _kind = "layers"
    _says_its_arguments = True
    # How many axes an input must have; a number, a smallest number, or anything.
    input_rank: int | tuple[int, ...] | None = None
    min_input_rank: int | None = None
    # What a custom layer asks of its input: an `InputSpec`.
    input_spec: Any = None
    supports_masking = False
    # Whether the first argument may be a list or dictionary of tensors. Of seqc's own layers most take one tensor.
    takes_several = True
    takes_lists = False  # whether a list is always one of tensors, which may be lists themselves
    # Whether the second axis of its input is time, whatever the rank.
    over_time = False
    # How often what it computes has changed but for weights and arguments, such as its vocabulary.
    changes = 0
    # Arguments of Keras that say nothing new at these values, and ask for something seqc does not do at any other.
    inert: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def _check_settings(self) -> None:
        refuse_symbols(type(self).__name__, self._arguments)

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        activity_regularizer: Any = None,
        input_shape: KerasShape | None = None,
        input_dim: int | None = None,
        batch_input_shape: KerasShape | None = None,
        **unknown: Any,
    ) -> None:
        self._refuse_unknown(unknown)
        # With "/", too: models that older versions of Keras wrote have such names.
        name = taken("name", name, type(self).__name__)
        self.name = unique_name(snake_case(type(self).__name__)) if name is None else name
        self._dtype_policy = dtype_policies.get(dtype)
        self.autocast = autocast
        self.built = False
        self._start_owning(bool(trainable))
        self.activity_regularizer = self._converted("activity_regularizer", activity_regularizer)
        self._keep_given()
        self._build_shape: Any = None
        # Sizes that the weights were made for, by axis.
        self._input_sizes: dict[int, int] = {}
        self._eager_calls = 0
        self.lost_a_mask = False
        # Whether another layer's call made it, which makes a new one each time.
        self._made_in_call = current_trace() is not None
        # (input, output) of each call on symbols.
        self._symbolic_calls: list[tuple[Any, Any]] = []
        # The shape of the latest result, for summaries.
        self.output_shape_seen: KerasShape | None = None
        self._origin = constructed_at()
        if input_dim is not None:
            input_shape = (input_dim,)
        if batch_input_shape is not None:
            input_shape = tuple(batch_input_shape)[1:]
        # Older scripts give the first layer of a model its input shape, without the batch.
        self.declared_input_shape = None if input_shape is None else tuple(input_shape)

    def _refuse_unknown(self, given: dict[str, Any]) -> None:
        unknown = {name: value for name, value in given.items() if name not in self.inert}
        if unknown:
            raise ConfigError(f"Unrecognized keyword arguments passed to {type(self).__name__}: {unknown}")
        for name, value in given.items():
            if value not in self.inert[name]:
                raise ConfigError(
                    f"{type(self).__name__} does not support {name}={value!r} in seqc; leave it at "
                    f"{self.inert[name][0]!r}. {REFUSED.get(name, '')}".rstrip()
                )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if "_children" not in self.__dict__:
                raise AttributeError(
                    f"{kind} has no '{name}' because its __init__ did not call super().__init__(**kwargs) first."
                )
            if name in ("input", "output"):
                raise AttributeError(
                    f"The layer '{self.name}' has never been called on a symbol and thus has no defined {name}."
                )
            if name in REFUSED:
                raise AttributeError(f"{kind} of seqc has no '{name}'. {REFUSED[name]}")
            raise AttributeError(f"'{kind}' object has no attribute '{name}'")

    # -- to be written by subclasses ---------------------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "compute_mask" in vars(cls) and "supports_masking" not in vars(cls):
            cls.supports_masking = True
        said = any("takes_several" in vars(base) for base in cls.__mro__[: cls.__mro__.index(Layer)])
        if not said and cls.__module__.startswith("seqc.layers."):
            cls.takes_several = False
        if "build" in vars(cls):
            cls.build = _remembering(cls.build)  # type: ignore[method-assign]

    @_remembering
    def build(self, input_shape: KerasShape) -> None:
        """Makes the weights. Shapes carry the batch first, None where a size is not known."""

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        """Returns the mask of the result, given that of the input."""
        return mask if self.supports_masking else None

    # -- calling -----------------------------------------------------------------------------------------------------

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Applies the layer: in the graph being traced; to symbols, as in a functional model; to arrays at once.

        Args:
            arguments, named: what `call` takes; the first is a tensor, or a list or dictionary of tensors.
            training: whether to behave as in training; by default as the model does, and on arrays, outside of models,
                as `call` has it for its default.
            mask: booleans for the steps that count, if it does not come with the input. Of several tensors that are
                given as arguments, none gives its own: they come as `NAME_mask`, where `call` takes these.
        """
        if arguments and isinstance(arguments[0], Layer):
            raise LayerError(
                f"Layer '{self.name}' was called on {arguments[0]!r}, not on a tensor. Call it on what that layer "
                "gives: layer(other(x))."
            )
        given, trace = Arguments(self, arguments, named), current_trace()
        if trace is not None:
            return self._call_traced(trace, given)
        tensors: list[Value] = []
        take_tensors(given.given | given.modes, tensors)
        return self._call_on_symbols(given) if any(map(is_symbolic, tensors)) else self._call_eagerly(given)

    def _call_traced(self, trace: Trace, given: Arguments) -> Any:
        x = given.given[given.first]
        if tree.is_nested(x) and not self.takes_several:
            refuse_several(self, x)
        mask = tree.map_structure(trace.masks.get, x) if given.mask is None else given.mask
        value = given.given[given.first] = tree.map_structure(self._cast_input, x)
        call_masks.keep(trace, x, value)
        names = list(given.signature.parameters) if given.several else []
        masks = {f"{name}_mask": self._mask_of(trace, name, x, given) for name in names}
        for name in given.given.keys() - {given.first}:
            given.given[name] = self._cast_inside(given.given[name])
        if isinstance(value, Value):
            self._check_input(value.type)
        if not self.built:
            self._build_on(given.shapes_for(self.build))
        if isinstance(value, Value):
            self._check_sizes(value.type)
        with trace.called(self._owners()), scope(self.name):
            file_scope.count_calls(1, self.name)
            training = given.training_inside(trace.training)
            modes = {name: found for name, found in masks.items() if name not in given.given and found is not None}
            try:
                with trace.reading_as(self._read_as(trace)), trace.in_mode(training):
                    result = given.invoke(self, training=training, mask=given.mask if names else mask, **modes)
            except (ShapeError, DTypeError) as error:
                raise type(error)(self._explain(error, value)) from error
            came = tree.flatten([given.given, mask, masks])
            came += [trace.masks[v] for v in came if isinstance(v, Value) and v in trace.masks]
            refuse_captured(self, tree.flatten(result), came)
            own = type(self).compute_mask is not Layer.compute_mask
            result = call_masks.with_masks(self, trace, x, value, mask, result, own)
            self._penalize(result)
        if not trace.eager or self.output_shape_seen is None:
            self.output_shape_seen = tree.map_structure(lambda y: getattr(y, "shape", None), result)
        return result

    def _mask_of(self, trace: Trace, name: str, first: Any, given: Arguments) -> Any:
        """Returns the mask that comes with an argument that is one tensor."""
        tensor = first if name == given.first else given.given.get(name)
        return trace.masks.get(tensor) if isinstance(tensor, Value) else None

    def _call_on_symbols(self, given: Arguments) -> Any:
        """Returns symbols for the results, which a functional model computes by this call."""
        symbols = self._symbols_for(given)
        self._symbolic_calls.append((given.given[given.first], symbols))
        return symbols

    def _symbols_for(self, given: Arguments) -> Any:
        call_masks.take_assigned(given)
        tensors: list[Value] = []
        slots = take_tensors(given.given | given.modes, tensors)
        stand_ins = [input_value(f"x{i}", x.dtype, x.type.shape) for i, x in enumerate(tensors)]
        trace = Trace(given.training)
        for x, stand_in in zip(tensors, stand_ins, strict=True):
            if (known := remembered_mask(x)) is not None:
                trace.masks[stand_in] = input_value("mask", known.dtype, known.type.shape)
        result = traced(trace, self, **put_tensors(slots, stand_ins))
        found = [as_value(y) for y in tree.flatten(result)]
        call = build(LayerCall(self, slots, tuple(y.type for y in found)), tuple(tensors), self.name)
        symbols = tree.pack_sequence_as(result, (call,) if len(found) == 1 else items(call))
        # So that a mask that a later layer cannot take is refused where that one is called.
        for y, symbol in zip(found, tree.flatten(symbols), strict=True):
            if (mask := trace.masks.get(y)) is not None:
                remember_mask(symbol, input_value("mask", mask.dtype, mask.type.shape))
        call_masks.pass_assigned(self, given, symbols)
        return symbols

    def compute_output_spec(self, *arguments: Any, **named: Any) -> Any:
        """Returns symbols for what a call on symbols, or arrays, would give; nothing is recorded or computed."""
        return self._symbols_for(Arguments(self, arguments, named))

    symbolic_call = compute_output_spec

    def _penalize(self, result: Any) -> None:
        """Adds what the regularizer of the layer's activity says of a result."""
        if self.activity_regularizer is not None:
            for part in tree.flatten(result):
                self.add_loss(self.activity_regularizer(part) / count(part, (0,)))

    def add_loss(self, loss: Any) -> None:
        """Adds a tensor's sum, or that of each in a list, to the loss of the model being traced; for use in `call`."""
        trace = require_trace(f"add_loss of layer '{self.name}'")
        for one in tree.flatten(loss):
            trace.add_loss(as_value(one), self)

    def add_metric(self, *_: Any, **__: Any) -> None:
        """Is no more in Keras 3, and says so as it does there."""
        raise NotImplementedError(
            "Layer `add_metric()` method is deprecated. Add the metric in `model.compile(metrics=[...])`, or keep one "
            "as an attribute of a model and call its `update_state()` in `compute_metrics` or `train_step`."
        )

    def _cast_input(self, x: Value) -> Value:
        """Floats come in what the layer computes in, whatever they were before: cut where those are integers."""
        dtype = self.input_dtype
        numbers = dtype in FLOATS or dtype.startswith(("int", "uint"))
        return cast(x, dtype) if self.autocast and x.type.is_float and numbers else x

    def _cast_inside(self, x: Any) -> Any:
        """Returns an argument of a call, floats in it as `_cast_input` has them."""
        return (
            tree.map_structure(lambda t: self._cast_input(t) if isinstance(t, Value) else t, x) if has_tensors(x) else x
        )

    def _read_as(self, trace: Trace) -> str | None:
        """Returns what variables are read in by the layer's call: what it computes in; None for what they are kept in.

        Where a layer around it computes in another precision than it keeps, so do those inside, each in its own.
        """
        policy = self._policy_here()
        mixed = trace.autocast is not None or policy.compute_dtype != policy.variable_dtype
        return policy.compute_dtype if mixed and self.autocast and policy.compute_dtype in FLOATS else None

    def _call_eagerly(self, given: Arguments) -> Any:
        trace = Trace(given.training_inside(None), eager=True)
        for tensor in tree.flatten(given.given):
            known = remembered_mask(tensor) if isinstance(tensor, Value) else None
            if known is not None:
                trace.masks[tensor] = known
        result = traced(trace, self, **given.given, **given.modes)
        results = tree.flatten(result)
        masked = [i for i, y in enumerate(results) if isinstance(y, Value) and y in trace.masks]
        masks = [trace.masks[results[i]] for i in masked]
        outputs = (*results, *trace.updates.values(), *masks, *map(as_value, trace.losses))
        leaves = (trace.seed, trace.step, *trace.reads.values())
        graph = Graph(leaves, outputs, tuple(str(i) for i in range(len(outputs))))
        computed = [constant(y) for y in self._run_once(graph, trace)]
        after = len(results) + len(trace.updates)
        for variable, new in zip(trace.updates, computed[len(results) : after], strict=True):
            variable.assign(new)
        for i, known in zip(masked, computed[after : after + len(masked)], strict=True):
            remember_mask(computed[i], known)
        self._keep_losses(trace, computed[after + len(masked) :])
        return tree.pack_sequence_as(result, computed[: len(results)])

    def _keep_losses(self, trace: Trace, computed: Sequence[Value]) -> None:
        """Gives each layer what it added in a call on arrays; what those inside added before is forgotten."""
        for owner in self._owners():
            if getattr(owner, "_added_losses", ()):
                owner._added_losses = ()
        for loss, known in zip(trace.losses, computed, strict=True):
            adder = trace.adders[loss]
            adder._added_losses = (*adder._added_losses, known.numpy())

    def _run_once(self, graph: Graph, trace: Trace) -> list[Array]:
        # A seed is drawn only where it matters: calling a layer does not change what comes after it.
        seed = next_seed() if any(v is trace.seed for v in graph.walk()) else 0
        start: list[Any] = [np.int64(seed), np.int64(self._eager_calls), *(v.array for v in trace.reads)]
        self._eager_calls += 1
        try:
            return Interpreter(compute_halves_in_single(graph)).run(start)
        except ShapeError as error:
            raise type(error)(self._explain(error, None)) from error

    def ensure_built(self, value: Value) -> None:
        """Builds the layer for the shape of `value` if it has not been built."""
        if not self.built:
            self._build_on([value.shape])

    def _build_on(self, shapes: list[Any]) -> None:
        with tracing(None):
            self.build_for(*shapes)
        if self._made_in_call and self._variables:
            raise ConfigError(
                f"Layer '{self.name}' ({self.described()}) was made inside the call of another layer or model, so that "
                "its weights would be new ones at each call and nothing would train them. Make it in __init__, or in "
                "build, keep it as an attribute, and call it in call."
            )

    def build_for(self, *shapes: Any) -> None:
        """Calls `build`; errors name the layer."""
        try:
            self.build(*shapes)
        except ShapeError as error:
            raise type(error)(self._explain(error, None)) from error

    def _check_input(self, x: Type) -> None:
        wanted = self.input_rank
        ranks = (wanted,) if isinstance(wanted, int) else wanted
        if ranks is not None and x.rank not in ranks:
            self._refuse(x, f"ndim={' or '.join(map(str, ranks))}")
        if self.min_input_rank is not None and x.rank < self.min_input_rank:
            self._refuse(x, f"min_ndim={self.min_input_rank}")
        check_spec(self.input_spec, x, self.name)

    def _check_sizes(self, x: Type) -> None:
        for axis, size in self._input_sizes.items():
            if x.shape[axis] != size:
                shown = tuple(d if isinstance(d, int) else None for d in x.shape)
                raise ShapeError(
                    f"Input 0 of layer '{self.name}' ({self.described()}) is incompatible with the layer: its weights "
                    f"were made for axis {axis} of size {size}, but received input with shape {shown}. Feed data of "
                    "that size, or make a new layer."
                )

    def _refuse(self, x: Type, expected: str) -> None:
        shown = tuple(d if isinstance(d, int) else None for d in x.shape)
        raise ShapeError(
            f"Input 0 of layer '{self.name}' ({self.described()}) is incompatible with the layer: expected {expected}, "
            f"found ndim={x.rank}. Full shape received: {shown}.{self.input_hint(x)}"
        )

    def input_hint(self, x: Type) -> str:
        """Returns advice for an input of the wrong rank, starting with a space."""
        return ""

    def described(self) -> str:
        """Returns class and place of construction, for messages."""
        return f"{type(self).__name__}, {self._origin}" if self._origin else type(self).__name__

    def _explain(self, error: Exception, x: Any) -> str:
        text = str(error)
        if f"'{self.name}'" in text or text.startswith("In layer"):
            return text
        types = [str(leaf.type) for leaf in tree.flatten(x) if isinstance(leaf, Value)]
        got = (
            f" Its input is {types[0]}." if len(types) == 1 else f" Its inputs are {', '.join(types)}." if types else ""
        )
        return f"In layer '{self.name}' ({self.described()}): {text}{got}"

    # -- shapes and configuration ------------------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbol, or tree of symbols, that the layer was called on first, in its stack or in a functional model."""
        return self._first_call("input")[0]

    @property
    def output(self) -> Any:
        """The symbol, or tree of symbols, that the layer's first call gave, in its stack or in a functional model."""
        return self._first_call("output")[1]

    def _first_call(self, name: str) -> tuple[Any, Any]:
        stack = _STACKS[self]() if self in _STACKS else None
        call = None if stack is None else stack.call_of(self)
        if call is None and not self._symbolic_calls:
            raise AttributeError(name)  # __getattr__ says the rest
        return self._symbolic_calls[0] if call is None else call

    def _stand_in(self, stack: Any) -> None:
        """Remembers the first stack that the layer stands in, unless it was called on symbols before."""
        if not self._symbolic_calls and (self not in _STACKS or _STACKS[self]() is None):
            _STACKS[self] = ref(stack)

    def compute_output_shape(self, input_shape: KerasShape) -> KerasShape:
        """Returns the shape of the result for an input shape, by tracing the layer."""
        shapes: list[Any] = [input_shape] if is_shape(input_shape) else list(input_shape)
        xs = [input_value(f"x{i}", self._default_input_dtype(), symbolic_shape(tuple(s))) for i, s in enumerate(shapes)]
        result = traced(Trace(training=False), self, xs[0] if is_shape(input_shape) else xs)
        return tree.map_structure(lambda y: as_value(y).shape, result)  # type: ignore[no-any-return]

    @property
    def input_dtype(self) -> str:
        """The element type that floats come in."""
        return self.compute_dtype

    def _default_input_dtype(self) -> str:
        """Returns the element type of an input of which nobody says it."""
        return self.compute_dtype

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data, as Keras writes them."""
        policy = serialization.serialize_object(self._dtype_policy)
        base: dict[str, Any] = {"name": self.name, "trainable": self._trainable, "dtype": policy}
        own = super().get_config()
        own.pop("activity_regularizer", None)
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = serialization.serialize(self.activity_regularizer)
        if type(self).__init__ is Layer.__init__:
            # Of a layer of seqc these say nothing; a user's may want them, and Keras writes them.
            seqcs = type(self).__module__.startswith("seqc.layers.") and type(self) is not Layer
            own = {} if seqcs else {"autocast": self.autocast, "activity_regularizer": None}
        return self.always_written | base | {k: v for k, v in own.items() if k not in base}

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shape the layer was built for."""
        return None if self._build_shape is None else {"input_shape": list(self._build_shape)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"
