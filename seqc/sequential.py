"""The Sequential model: a stack of layers, each with one input tensor and one output tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from seqc import tree
from seqc.errors import ConfigError, EmptyModelError, NotBuiltError, ShapeError
from seqc.file_scope import building
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Array, Graph, Type, Value, input_value
from seqc.graph.tracing import Trace, current_trace, traced
from seqc.known_classes import known
from seqc.layers import InputLayer
from seqc.layers.base import KerasShape, Layer, symbolic_shape
from seqc.layers.calls import ModelInput, is_shape
from seqc.model import Model
from seqc.ops.elementwise import cast
from seqc.serialization import revive, serialize_object
from seqc.stack import WAY_OUT, LayerList, applied, check_layer
from seqc.sure import present
from seqc.training.arrange import Port
from seqc.training.data import match_rank


@known("layers")
class Sequential(Model):
    """A stack of layers.

    The input shape comes from an `Input` in front, from `input_shape=` of the first layer, from `build()`, or from the
    first data; until then the model has no weights.

    Args:
        layers: the layers in order. trainable: whether any of them trains. name: made automatically by default.

    Raises:
        LayerError: something given is not a layer. ShapeError: a layer does not fit the one before it.

    Example:
        >>> model = seqc.Sequential([seqc.Input((4,)), seqc.layers.Dense(8, "relu"), seqc.layers.Dense(3, "softmax")])
        >>> model.output_shape, model.count_params()
        ((None, 3), 67)
    """

    _untracked = Model._untracked | {"_stack", "_input_layer", "_names", "_traced", "_calls"}

    def __init__(
        self,
        layers: Iterable[Any] | Layer | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if isinstance(layers, Value) or isinstance(trainable, Value):
            raise ConfigError(f"A Sequential model is made of a list of layers; got the symbol {layers!r}. {WAY_OUT}")
        super().__init__(name=name, dtype=dtype)
        self._input_layer: InputLayer | None = None
        self._stack: list[Layer] = []
        self._children["layers"] = self._stack
        self._names: dict[str, Layer] = {}
        # The input and what each layer made of it, so that a layer put on top need not trace those below it again.
        self._traced: list[Value] = []
        self._trace = Trace()
        # The same as symbols of a functional model; made when first asked for.
        self._calls: list[Value] = []
        for layer in [layers] if isinstance(layers, Layer) else layers or ():
            self.add(layer, rebuild=False)
        self._build_if_possible()
        self._trainable = bool(trainable)

    # -- the stack ---------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers, without the input; a copy, which says so when it is changed."""
        return LayerList(self._stack)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(
            "`Sequential.layers` attribute is reserved and should not be used. Use `add()` and `pop()` to change the "
            "layers in this model."
        )

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Puts a layer on top.

        If it does not fit what is below it, the model stays as it was. A layer may stand in several places; they share
        its weights.

        Raises:
            LayerError: it is not a layer, or takes more than one tensor. ConfigError: its name is taken, or there is an
            input already. ShapeError: it does not fit what is below it.
        """
        height, before = len(self._stack), self._input_layer
        if isinstance(layer, Value) and isinstance(layer.op, ModelInput):
            layer = layer.op.layer
        if isinstance(layer, InputLayer):
            self._add_input(layer)
        else:
            check_layer(layer)
            self._check_name(layer)
            if not self._stack and self._input_layer is None:
                self._input_layer = _declared_input(layer)
            self._stack.append(layer)
            layer._set_parent(self._parent_path)
            layer._stand_in(self)
        self._trainer.forget_steps()
        if rebuild:
            try:
                self._build_if_possible()
            except Exception:
                del self._stack[height:]
                self._input_layer = before
                raise
        else:
            self.built = False
        self._names[layer.name] = layer

    def _add_input(self, layer: InputLayer) -> None:
        if self._input_layer is not None or self._stack:
            known_shape = self._input_layer.batch_shape if self._input_layer is not None else "no"
            raise ConfigError(
                f"Sequential model '{self.name}' has already been configured to use input shape {known_shape}. You "
                f"cannot add a different Input layer to it: an Input comes first, and once. {WAY_OUT}"
            )
        self._input_layer = layer

    def _check_name(self, layer: Layer) -> None:
        if self._names.get(layer.name, layer) is not layer:
            raise ConfigError(
                f"All layers added to a Sequential model should have unique names. Name '{layer.name}' is already the "
                "name of a layer in this model. Update the `name` argument to pass a unique name."
            )

    def pop(self, rebuild: bool = True) -> Layer:
        """Removes and returns the layer on top."""
        if not self._stack:
            raise EmptyModelError(f"Sequential model '{self.name}' has no layers to pop.")
        layer = self._stack.pop()
        if layer not in self._stack:
            del self._names[layer.name]
        del self._traced[len(self._stack) + 1 :]
        del self._calls[len(self._stack) + 1 :]
        self.built = bool(self._stack and self._traced)
        self._trainer.forget_steps()
        if rebuild:
            self._build_if_possible()
        return layer

    # -- building ----------------------------------------------------------------------------------------------------

    def _build_if_possible(self) -> None:
        """Runs the symbolic input through the layers that it has not seen: weights are made and shapes checked."""
        if self._input_layer is None:
            return
        if not self._traced:
            shape, dtype = self._input_layer.batch_shape, self._input_layer.dtype
            x = input_value(self._input_layer.name, dtype, symbolic_shape(shape, self._is_over_time()))
            self._trace, self._build_shape = Trace(training=False), x.shape
            self._trace.inputs.append(x)
            self._traced = [x]
        traced(self._trace, self._trace_new_layers)
        self.built = bool(self._stack)

    def _trace_new_layers(self) -> None:
        for layer in self._stack[len(self._traced) - 1 :]:
            self._traced.append(applied(layer, self._traced[-1]))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_traced": [], "_trace": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A shallow copy has the same layers, but is a stack of its own.
        self._stack, self._names, self._kept_variables = self._stack[:], self._names.copy(), self._kept_variables[:]
        self._came_trainable = self._came_trainable[:]
        self._children = self._children | {"layers": self._stack}
        self._calls = self._calls[:]
        for layer in self._stack:
            layer._stand_in(self)

    def _is_over_time(self) -> bool:
        return bool(self._stack) and self._stack[0].over_time

    def build(self, input_shape: KerasShape | None = None) -> None:
        """Makes all weights for an input shape, the batch first: `model.build((None, 28, 28, 1))`.

        A model that begins with an `Input` has one: `model.build()`.

        Raises:
            NotBuiltError: there are no layers. ShapeError: a layer does not fit.
        """
        if not self._stack:
            raise NotBuiltError(
                f"Sequential model {self.name} cannot be built because it has no layers. Call `model.add(layer)`."
            )
        if input_shape is None and self._input_layer is not None:
            input_shape = self._input_layer.batch_shape
        if input_shape is None:
            raise NotBuiltError(f"Sequential model '{self.name}' needs an input shape: model.build((None, ...)).")
        if not is_shape(input_shape) or isinstance(input_shape, dict):
            raise ConfigError(
                f"Sequential model '{self.name}' takes one tensor, of one shape such as (None, 28, 28); got "
                f"{input_shape}. {WAY_OUT}"
            )
        if self._input_layer is None:
            self._input_layer = InputLayer(batch_shape=tuple(input_shape), dtype=self._default_input_dtype())
        elif self._input_layer.batch_shape != tuple(input_shape):
            raise ConfigError(
                f"Sequential model '{self.name}' has already been configured to use input shape "
                f"{self._input_layer.batch_shape}. You cannot build it with input_shape {tuple(input_shape)}"
            )
        self._build_if_possible()

    def build_for(self, input_shape: KerasShape) -> None:
        # The batch size of the first data says nothing about later ones.
        self.build((None, *input_shape[1:]) if is_shape(input_shape) else input_shape)

    @property
    def input_dtype(self) -> str:
        """The element type that the model takes."""
        return self._default_input_dtype()

    def _default_input_dtype(self) -> str:
        if self._input_layer is not None:
            return self._input_layer.dtype
        return self._stack[0]._default_input_dtype() if self._stack else self.compute_dtype

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Applies the model as a layer; its input may be a dictionary that names it."""
        if arguments:
            arguments = (self._trainer.only_input(arguments[0]), *arguments[1:])
        return super().__call__(*arguments, **named)

    def _cast_input(self, x: Value) -> Value:
        return x  # the input has its own dtype

    def call(self, x: Value, training: bool | None = None, mask: Value | None = None) -> Value:
        """Applies the layers in order."""
        if self._input_layer is not None:
            x = match_rank(x, self._input_layer.batch_shape)
            x = cast(x, self.input_dtype) if x.type.is_float and self.input_dtype in FLOATS else x
            self._check_fits(x.type)
        if (trace := current_trace()) is not None:
            trace.inputs.append(x)
        for layer in self._stack:
            x, mask = applied(layer, x, training, mask), None
        return x

    def _check_fits(self, x: Type) -> None:
        """Raises ShapeError when an input does not have the shape the model was built for."""
        wanted = present(self._input_layer).batch_shape
        found = tuple(d if isinstance(d, int) else None for d in x.shape)
        fits = len(wanted) == len(found) and all(
            a is None or b is None or a == b for a, b in zip(wanted[1:], found[1:], strict=True)
        )
        if not fits:
            hint = ""
            if len(found) == len(wanted) - 1:
                hint = " A single sample needs a batch axis (x[None]); images need a channel axis (x[..., None])."
            raise ShapeError(
                f"Model '{self.name}' takes inputs of shape {wanted}; got {found} (None is the number of samples)."
                f"{hint}"
            )

    def _need_built(self, what: str) -> None:
        if not self._stack:
            raise NotBuiltError(f"Model '{self.name}' has no {what}: it has no layers. Add some: model.add(layer).")
        if not self.built:
            raise NotBuiltError(
                f"Model '{self.name}' has no {what} yet because it has not been built: it does not know its input "
                "shape. Put seqc.Input(shape=...) first, call model.build((None, ...)), or fit it on data."
            )

    @property
    def input_shape(self) -> KerasShape:
        return tuple(self._known("input_shape", self._input_layer).batch_shape)

    @property
    def output_shape(self) -> KerasShape:
        return self._known("output_shape", self._output()).shape  # type: ignore[no-any-return]

    @property
    def inputs(self) -> list[Value]:
        return [self._known("inputs", next(iter(self._symbols()), None))]

    @property
    def outputs(self) -> list[Value]:
        return [self._known("outputs", next(reversed(self._symbols()), None))]

    @property
    def input(self) -> Value:
        """The input as a symbol, of which functional models can be made that share the layers."""
        return self.inputs[0]

    @property
    def output(self) -> Value:
        """What the layers make of `input`, as a symbol."""
        return self.outputs[0]

    def _symbols(self) -> list[Value]:
        """Returns the input and what each layer makes of it, as symbols; nothing before the model is built."""
        if not self.built or self._input_layer is None:
            return []
        if not self._calls:
            self._calls = [self._input_layer.output]
        for layer in self._stack[len(self._calls) - 1 :]:
            self._calls.append(layer(self._calls[-1]))
        return self._calls

    def call_of(self, layer: Layer) -> tuple[Value, Value] | None:
        """Returns what a layer of the stack takes and gives, as symbols; None where there is no such thing yet."""
        symbols = self._symbols() if layer in self._stack else []
        at = self._stack.index(layer) if symbols else 0
        return (symbols[at], symbols[at + 1]) if symbols else None

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Does nothing: a stack learns its shape from its input, or where it stands."""

    @property
    def shaped_by_call(self) -> bool:
        return False

    def called_on(self, specs: Any) -> Model:
        if not self.built and not tree.is_nested(specs):
            self.build(specs.shape)
        return self

    def _ports(self) -> list[Port]:
        known = self._input_layer
        shape = tuple(known.batch_shape) if known is not None and self.built else None
        return [Port(known.name if known is not None else "", shape, self._default_input_dtype())]

    def _output_shapes(self) -> list[KerasShape]:
        return [self.output_shape]

    def _output_names(self) -> list[str]:
        return [self._stack[-1].name if self._stack else ""]

    def _output(self) -> Value | None:
        return self._values()[-1] if self.built else None

    def _values(self) -> list[Value]:
        """Returns the input and what each layer makes of it, which is traced again in a copy."""
        if self.built and not self._traced:
            self._build_if_possible()
        return self._traced

    def _known(self, name: str, thing: Any) -> Any:
        if thing is None:
            raise AttributeError(name)  # __getattr__ says the rest
        return thing

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in ("input_shape", "output_shape", "inputs", "outputs", "input", "output"):
                shown = name.replace("_", " ")
                raise AttributeError(f"Sequential model '{self.name}' has no defined {shown} yet.")
            return super().__getattr__(name)

    def get_weights(self) -> list[Array]:
        if self._stack:
            self._need_built("weights")
        return super().get_weights()

    # -- graphs ------------------------------------------------------------------------------------------------------

    def graph(self, batch_shape: KerasShape | None = None) -> tuple[Graph, Trace]:
        """Returns the inference graph with one input per weight, and the trace that says which is which.

        Args:
            batch_shape: of the input, by default that of the model.

        Raises:
            NotBuiltError: the input shape is not known.
        """
        self._need_built("graph")
        trace, inputs = Trace(training=False), present(self._input_layer)
        shape = symbolic_shape(inputs.batch_shape if batch_shape is None else batch_shape, self._is_over_time())
        x = input_value(inputs.name, self._default_input_dtype(), shape)
        y = traced(trace, self.call, x)
        name = self._stack[-1].name
        random = (trace.seed, trace.step)
        return Graph((x, *random, *trace.reads.values()), (y,), (name,)), trace

    # -- files -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        layers = [*([self._input_layer] if self._input_layer is not None else []), *self._stack]
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": serialize_object(self.dtype_policy),
            "layers": [serialize_object(layer) for layer in layers],
        }
        if self._build_shape is not None:
            config["build_input_shape"] = list(self._build_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Sequential:
        model = cls(name=config.get("name"))
        if config.get("dtype") is not None:
            model.dtype_policy = config["dtype"]
        for entry in config["layers"]:
            model.add(revive(entry, custom_objects), rebuild=False)
        shape = config.get("build_input_shape")
        if building():
            if model._input_layer is None and shape is not None:
                model.build(tuple(shape))
            else:
                model._build_if_possible()
        model._trainable = bool(config.get("trainable", True))
        model._freeze_as_saved()
        return model

    def _described_inside(self) -> list[Layer]:
        return list(self._stack)


def _declared_input(layer: Layer) -> InputLayer | None:
    """Returns the input that the first layer of a model brings with it, if it does."""
    if layer.declared_input_shape is not None:
        return InputLayer(shape=layer.declared_input_shape, dtype=layer._default_input_dtype())
    return layer._input_layer if isinstance(layer, Sequential) else None
