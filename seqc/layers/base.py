"""The base of all layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from seqc import constraints, initializers, regularizers, serialization
from seqc.errors import ConfigError, NotBuiltError, ShapeError
from seqc.ir import Array, Graph, Type, Value, as_value, constant, input_value, scope
from seqc.layers._common import KerasShape, constructed_at, dtype_name, snake_case, symbolic_shape
from seqc.ops.elementwise import cast
from seqc.ops.reduce import count
from seqc.serialization import Configurable
from seqc.tracing import Trace, Variable, current_trace, tracing
from seqc.utils.naming import unique_name

__all__ = ["KerasShape", "Layer", "dtype_name", "snake_case", "symbolic_shape"]


class Layer(Configurable):
    """A function from one tensor to one tensor, with weights.

    A subclass writes `__init__`, `build(input_shape)` (makes weights with `add_weight`), and `call(x)` with functions of
    `seqc.ops`; `call` may take `training` and `mask`. Gradients, files and ONNX follow from that.

    Args:
        name: unique in its model; made from the class name by default.
        trainable: whether the optimizer may change its weights.
        dtype: of weights and results, "float32" by default.
        activity_regularizer: penalty on the layer's output, divided by the batch size.
    """

    _kind = "layers"
    # How many axes an input must have; a number, a smallest number, or anything.
    input_rank: int | tuple[int, ...] | None = None
    min_input_rank: int | None = None
    supports_masking = False
    # Arguments of Keras that say nothing new at these values, and ask for something seqc does not do at any other.
    inert: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Any = None,
        input_shape: KerasShape | None = None,
        input_dim: int | None = None,
        batch_input_shape: KerasShape | None = None,
        **unknown: Any,
    ) -> None:
        self._refuse_unknown(unknown)
        self.name = str(name) if name is not None else unique_name(snake_case(type(self).__name__))
        self.dtype = dtype_name(dtype)
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = bool(trainable)
        self._variables: list[Variable] = []
        self._children: dict[str, Any] = {}
        self._parent_path = ""
        self._build_shape: KerasShape | None = None
        # Sizes that the weights were made for, by axis.
        self._input_sizes: dict[int, int] = {}
        self._eager_calls = 0
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
        inert = {"autocast": (True,), **self.inert}
        unknown = {name: value for name, value in given.items() if name not in inert}
        if unknown:
            raise ConfigError(f"Unrecognized keyword arguments passed to {type(self).__name__}: {unknown}")
        for name, value in given.items():
            if value not in inert[name]:
                raise ConfigError(
                    f"{type(self).__name__} does not support {name}={value!r} in seqc; leave it at {inert[name][0]!r}."
                )

    # -- to be written by subclasses ---------------------------------------------------------------------------------

    def build(self, input_shape: KerasShape) -> None:
        """Makes the weights. Shapes carry the batch first, None where a size is not known."""

    def call(self, x: Any) -> Any:
        """Computes the result with functions of `seqc.ops`."""
        raise ConfigError(f"{type(self).__name__} does not define call(self, x).")

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        """Returns the mask of the result, given that of the input."""
        return mask if self.supports_masking else None

    # -- weights -----------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "glorot_uniform",
        dtype: str | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **_: Any,
    ) -> Variable:
        """Makes a weight of the layer.

        Raises:
            ShapeError: a size of the shape is not known.
        """
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        label = name or f"variable_{len(self._variables)}"
        if any(s is None for s in sizes):
            raise ShapeError(
                "Shapes used to initialize variables must be fully-defined (no `None` dimensions). Received: "
                f"shape={sizes} for variable path='{self.path}/{label}'"
            )
        sizes, kind = tuple(int(s) for s in sizes), np.dtype(dtype or self.dtype)
        serialization.reserve(sizes, kind.itemsize, f"{self.path}/{label}")
        start = initializers.get(initializer or "zeros")(sizes, kind.name)
        variable = Variable(
            np.asarray(start, kind),
            name=label,
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.path = f"{self.path}/{label}"
        self._variables.append(variable)
        return variable

    @property
    def path(self) -> str:
        return f"{self._parent_path}/{self.name}" if self._parent_path else self.name

    def __setattr__(self, name: str, value: Any) -> None:
        # Layers and variables kept as attributes belong to the layer, as in Keras.
        if not name.startswith("_") and "_children" in self.__dict__:
            if isinstance(value, Layer) or (isinstance(value, list | tuple) and any(_is_layer(v) for v in value)):
                self._children[name] = value
                for child in _layers_in(value):
                    child._set_parent(self.path if not self._transparent else self._parent_path)
            elif isinstance(value, Variable) and not any(value is v for v in self._variables):
                self._variables.append(value)
        super().__setattr__(name, value)

    # A transparent container (Sequential) does not show in the paths of its layers' weights.
    _transparent = False

    def _set_parent(self, path: str) -> None:
        self._parent_path = path
        for variable in self._variables:
            variable.path = f"{self.path}/{variable.name}"
        for child in self.sublayers():
            child._set_parent(self.path if not self._transparent else self._parent_path)

    def sublayers(self) -> Iterator[Layer]:
        """Yields the layers this one is made of, not those inside them."""
        for value in self._children.values():
            yield from _layers_in(value)

    def _all_variables(self) -> list[Variable]:
        found = list(self._variables)
        for child in self.sublayers():
            found += [v for v in child._all_variables() if not any(v is f for f in found)]
        return found

    @property
    def weights(self) -> list[Variable]:
        """All weights: those of the layer, then those of the layers inside it, trainable ones first within each."""
        own = [v for v in self._variables if v.trainable] + [v for v in self._variables if not v.trainable]
        for child in self.sublayers():
            own += [v for v in child.weights if not any(v is f for f in own)]
        return own

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for child in self.sublayers():
            child.trainable = value

    @property
    def trainable_weights(self) -> list[Variable]:
        if not self._trainable:
            return []
        found = [v for v in self._variables if v.trainable]
        for child in self.sublayers():
            found += [v for v in child.trainable_weights if not any(v is f for f in found)]
        return found

    @property
    def non_trainable_weights(self) -> list[Variable]:
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trainable]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Returns copies of all weights, in the order of `weights`."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Sets all weights from arrays in the order of `weights`.

        Raises:
            ShapeError: their number or a shape differs; nothing is set then.
        """
        variables, arrays = self.weights, [np.asarray(w) for w in weights]
        if len(variables) != len(arrays):
            raise ShapeError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of length {len(arrays)}, "
                f"but the layer was expecting {len(variables)} weights."
            )
        for variable, array in zip(variables, arrays, strict=True):
            if variable.shape != array.shape:
                raise ShapeError(
                    f"Layer {self.name} weight shape {variable.shape} is not compatible with provided weight shape "
                    f"{array.shape} (weight '{variable.path}')."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Returns the number of scalars in all weights."""
        if not self.built:
            raise NotBuiltError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built. You can build it "
                "manually via: `layer.build(input_shape)`."
            )
        return sum(int(np.prod(v.shape)) for v in self.weights)

    # -- calling -----------------------------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool | None = None, mask: Any = None) -> Value:
        """Applies the layer to a value of the graph being traced, or to an array at once."""
        trace = current_trace()
        if trace is None:
            return self._call_eagerly(x, training, mask)
        value = self._cast_input(as_value(x))
        self._check_input(value.type)
        self.ensure_built(value)
        self._check_sizes(value.type)
        if mask is None:
            mask = trace.masks.get(value)
        is_training = trace.training if training is None else training
        with scope(self.name):
            try:
                result = self._invoke(value, is_training, mask)
            except ShapeError as error:
                raise ShapeError(self._explain(error, value.type)) from error
            result_mask = self.compute_mask(value, mask)
            if result_mask is not None and isinstance(result, Value):
                trace.masks[result] = result_mask
            self._add_penalties(trace, result)
        return result

    def _cast_input(self, x: Value) -> Value:
        """Floats come in the layer's own precision, whatever they were before."""
        return cast(x, self.dtype) if x.type.is_float and self.dtype.startswith("float") else x

    def _invoke(self, x: Value, training: bool, mask: Value | None) -> Value:
        accepted = inspect.signature(self.call).parameters
        options: dict[str, Any] = {}
        if "training" in accepted:
            options["training"] = training
        if "mask" in accepted:
            options["mask"] = mask
        return self.call(x, **options)  # type: ignore[no-any-return]

    def _call_eagerly(self, x: Any, training: bool | None, mask: Any) -> Value:
        from seqc.backends.numpy import Plan
        from seqc.random import next_seed

        trace = Trace(bool(training))
        with tracing(trace):
            result = self(as_value(x), training, None if mask is None else as_value(mask))
        leaves = (trace.seed, trace.step, *trace.reads.values())
        outputs = (result, *trace.updates.values())
        graph = Graph(leaves, outputs, tuple(str(i) for i in range(len(outputs))))
        start = [np.int64(next_seed()), np.int64(self._eager_calls), *(v.array for v in trace.reads)]
        self._eager_calls += 1
        computed = [constant(y) for y in Plan(graph).run(start)]
        for variable, new in zip(trace.updates, computed[1:], strict=True):
            variable.assign(new)
        return computed[0]

    def ensure_built(self, value: Value) -> None:
        """Builds the layer for the shape of `value` if it has not been built."""
        if self.built:
            return
        with tracing(None):
            self.build_for(value.shape)

    def build_for(self, input_shape: KerasShape) -> None:
        """Calls `build` once, in the layer's own scope, and remembers the shape for files."""
        try:
            self.build(input_shape)
        except ShapeError as error:
            raise ShapeError(self._explain(error, None)) from error
        self._build_shape = input_shape
        self.built = True

    def _add_penalties(self, trace: Trace, result: Value) -> None:
        if self.activity_regularizer is None or not isinstance(result, Value):
            return
        trace.losses.append(self.activity_regularizer(result) / count(result, (0,)))

    def _check_input(self, x: Type) -> None:
        wanted = self.input_rank
        ranks = (wanted,) if isinstance(wanted, int) else wanted
        if ranks is not None and x.rank not in ranks:
            self._refuse(x, f"ndim={' or '.join(map(str, ranks))}")
        if self.min_input_rank is not None and x.rank < self.min_input_rank:
            self._refuse(x, f"min_ndim={self.min_input_rank}")

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
        raise ShapeError(
            f"Input 0 of layer '{self.name}' ({self.described()}) is incompatible with the layer: expected {expected}, "
            f"found ndim={x.rank}. Full shape received: {tuple(None if not isinstance(d, int) else d for d in x.shape)}."
            f"{self.input_hint(x)}"
        )

    def input_hint(self, x: Type) -> str:
        """Returns advice for an input of the wrong rank, starting with a space."""
        return ""

    def described(self) -> str:
        """Returns class and place of construction, for messages."""
        return f"{type(self).__name__}, {self._origin}" if self._origin else type(self).__name__

    def _explain(self, error: Exception, x: Type | None) -> str:
        text = str(error)
        if f"'{self.name}'" in text or text.startswith("In layer"):
            return text
        got = f" Its input is {x}." if x is not None else ""
        return f"In layer '{self.name}' ({self.described()}): {text}{got}"

    # -- shapes and configuration ------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: KerasShape) -> KerasShape:
        """Returns the shape of the result for an input shape, by tracing the layer."""
        with tracing(Trace()):
            return self(input_value("x", self.input_dtype(), symbolic_shape(tuple(input_shape)))).shape

    def input_dtype(self) -> str:
        """The dtype an input has when nobody says so."""
        return self.dtype

    @property
    def losses(self) -> list[Value]:
        """Penalties on the weights of this layer and those inside it, computed now."""
        return [v.regularizer(v.to_value()) for v in self.trainable_weights if v.regularizer is not None]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data, as Keras writes them."""
        policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": self.dtype}, "registered_name": None}
        base: dict[str, Any] = {"name": self.name, "trainable": self._trainable, "dtype": policy}
        own = super().get_config()
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = serialization.serialize(self.activity_regularizer)
        for left_out in ("input_shape", "input_dim", "batch_input_shape"):
            own.pop(left_out, None)
        return base | {k: v for k, v in own.items() if k not in base}

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shape the layer was built for."""
        return None if self._build_shape is None else {"input_shape": list(self._build_shape)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _is_layer(value: Any) -> bool:
    return isinstance(value, Layer)


def _layers_in(value: Any) -> list[Layer]:
    return [value] if isinstance(value, Layer) else [v for v in value if isinstance(v, Layer)]


