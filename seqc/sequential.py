"""The Sequential model: a stack of layers, each with one input tensor and one output tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from seqc.errors import ConfigError, EmptyModelError, LayerError, NotBuiltError, ShapeError
from seqc.ir import Array, Graph, Type, Value, input_value
from seqc.layers.base import KerasShape, Layer, symbolic_shape
from seqc.layers import InputLayer
from seqc.serialization import known, revive, serialize_object
from seqc.tracing import Trace, tracing
from seqc.training.trainer import Trainer


@known("layers")
class Sequential(Trainer, Layer):
    """A stack of layers.

    The input shape comes from an `Input` in front, from `input_shape=` of the first layer, from `build()`, or from the
    first data; until then the model has no weights.

    Args:
        layers: the layers in order. trainable: whether any of them trains. name: made automatically by default.

    Raises:
        LayerError: something given is not a layer. ShapeError: a layer does not fit the one before it.
    """

    _transparent = True
    _untracked = Layer._untracked | {"_stack", "_input_layer"}
    supports_masking = True

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None, dtype: Any = None
    ) -> None:
        Layer.__init__(self, name=name, dtype=dtype)
        Trainer.__init__(self)
        self._input_layer: InputLayer | None = None
        self._stack: list[Layer] = []
        self._children["layers"] = self._stack
        self._trace = Trace()
        self._output: Value | None = None
        for layer in layers or ():
            self.add(layer, rebuild=False)
        self._build_if_possible()
        self._trainable = bool(trainable)

    # -- the stack ---------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return self._stack[:]

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Puts a layer on top.

        Raises:
            LayerError: it is not a layer. ConfigError: its name is taken, or there is an input already. ShapeError: it
            does not fit what is below it.
        """
        if isinstance(layer, InputLayer):
            self._add_input(layer)
        else:
            self._check_addition(layer)
            if not self._stack and self._input_layer is None and layer.declared_input_shape is not None:
                self._input_layer = InputLayer(shape=layer.declared_input_shape, dtype=layer.input_dtype())
            elif isinstance(layer, Sequential) and not self._stack and self._input_layer is None and layer._input_layer:
                self._input_layer = layer._input_layer
            self._stack.append(layer)
            layer._set_parent(self._parent_path)
        self.forget_steps()
        if rebuild:
            try:
                self._build_if_possible()
            except Exception:
                if self._stack and self._stack[-1] is layer:
                    self._stack.pop()
                raise

    def _add_input(self, layer: InputLayer) -> None:
        if self._input_layer is not None or self._stack:
            known_shape = self._input_layer.batch_shape if self._input_layer is not None else "no"
            raise ConfigError(
                f"Sequential model '{self.name}' has already been configured to use input shape {known_shape}. You "
                "cannot add a different Input layer to it: an Input comes first, and once."
            )
        self._input_layer = layer

    def _check_addition(self, layer: Any) -> None:
        if not isinstance(layer, Layer):
            hint = " It is a class: write it with parentheses." if isinstance(layer, type) else ""
            raise LayerError(
                "Only instances of `seqc.layers.Layer` can be added to a Sequential model. Received: "
                f"{layer} (of type {type(layer)}).{hint}"
            )
        if any(layer.name == other.name for other in self._stack):
            raise ConfigError(
                f"All layers added to a Sequential model should have unique names. Name '{layer.name}' is already the "
                "name of a layer in this model. Update the `name` argument to pass a unique name."
            )

    def pop(self, rebuild: bool = True) -> Layer:
        """Removes and returns the layer on top."""
        if not self._stack:
            raise EmptyModelError(f"Sequential model '{self.name}' has no layers to pop.")
        layer = self._stack.pop()
        self._output = None
        self.built = False
        self.forget_steps()
        if rebuild:
            self._build_if_possible()
        return layer

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Returns a layer by name or by position.

        Raises:
            ConfigError: there is none.
        """
        if (name is None) == (index is None):
            raise ConfigError("get_layer needs either a name or an index.")
        if index is not None:
            if not -len(self._stack) <= index < len(self._stack):
                raise ConfigError(
                    f"Was asked to retrieve layer at index {index} but model only has {len(self._stack)} layers."
                )
            return self._stack[index]
        for layer in self._stack:
            if layer.name == name:
                return layer
        raise ConfigError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in self._stack]}.")

    # -- building ----------------------------------------------------------------------------------------------------

    def _build_if_possible(self) -> None:
        if self._input_layer is not None:
            shape, dtype = self._input_layer.batch_shape, self._input_layer.dtype
            self._trace_stack(input_value(self._input_layer.name, dtype, symbolic_shape(shape)))

    def build(self, input_shape: KerasShape | None = None) -> None:
        """Makes all weights for an input shape, the batch first: `model.build((None, 28, 28, 1))`.

        Raises:
            NotBuiltError: there are no layers. ShapeError: a layer does not fit.
        """
        if not self._stack:
            raise NotBuiltError(
                f"Sequential model {self.name} cannot be built because it has no layers. Call `model.add(layer)`."
            )
        if input_shape is None:
            raise NotBuiltError(f"Sequential model '{self.name}' needs an input shape: model.build((None, ...)).")
        if self._input_layer is None:
            self._input_layer = InputLayer(batch_shape=tuple(input_shape), dtype=self.input_dtype())
        self._build_if_possible()

    def build_for(self, input_shape: KerasShape) -> None:
        # The batch size of the first data says nothing about later ones.
        self.build((None, *input_shape[1:]))

    def build_for_data(self, x: Array) -> None:
        """Builds the model for the shape of the data it meets first."""
        if not self.built:
            self.build((None, *x.shape[1:]))

    def _trace_stack(self, x: Value) -> None:
        """Runs the symbolic input through the stack: weights are made and shapes are checked on the way."""
        self._trace = Trace()
        with tracing(self._trace):
            self._output = self.call(x)
        self._build_shape = x.shape
        self.built = bool(self._stack)

    def input_dtype(self) -> str:
        if self._input_layer is not None:
            return self._input_layer.dtype
        return self._stack[0].input_dtype() if self._stack else self.dtype

    def call(self, x: Value, training: bool = False, mask: Value | None = None) -> Value:
        """Applies the layers in order."""
        for layer in self._stack:
            result = layer(x, training=training, mask=mask)
            if not isinstance(result, Value):
                raise LayerError(
                    f"Layer '{layer.name}' ({layer.described()}) returned {type(result).__name__}; a layer of a "
                    "Sequential model returns one tensor. Layers with several outputs do not fit here."
                )
            x, mask = result, None
        return x

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return None  # the layers inside have put theirs on the result

    def check_fits(self, x: Type) -> None:
        """Raises ShapeError when an input does not have the shape the model was built for."""
        assert self._input_layer is not None
        wanted = self._input_layer.batch_shape
        found = tuple(d if isinstance(d, int) else None for d in x.shape)
        fits = len(wanted) == len(found) and all(
            a is None or b is None or a == b for a, b in zip(wanted, found, strict=True)
        )
        if not fits:
            hint = ""
            if len(found) == len(wanted) - 1:
                hint = " A single sample needs a batch axis (x[None]); images need a channel axis (x[..., None])."
            raise ShapeError(
                f"Model '{self.name}' takes inputs of shape {wanted}; got {found} (None is the number of samples).{hint}"
            )

    def _need_built(self, what: str) -> None:
        if not self.built or self._output is None:
            raise NotBuiltError(
                f"Model '{self.name}' has no {what} yet because it has not been built: it does not know its input "
                "shape. Put seqc.Input(shape=...) first, call model.build((None, ...)), or fit it on data."
            )

    @property
    def input_shape(self) -> KerasShape:
        if self._input_layer is None:
            raise AttributeError(f"Sequential model '{self.name}' has no defined input shape yet.")
        return tuple(self._input_layer.batch_shape)

    @property
    def output_shape(self) -> KerasShape:
        if self._output is None:
            raise AttributeError(f"Sequential model '{self.name}' has no defined output shape yet.")
        return self._output.shape

    def get_weights(self) -> list[Array]:
        if self._stack:
            self._need_built("weights")
        return super().get_weights()

    # -- graphs ------------------------------------------------------------------------------------------------------

    def graph(self) -> tuple[Graph, Trace]:
        """Returns the inference graph with one input per weight, and the trace that says which is which.

        Raises:
            NotBuiltError: the input shape is not known.
        """
        self._need_built("graph")
        assert self._input_layer is not None
        trace = Trace()
        x = input_value(self._input_layer.name, self.input_dtype(), symbolic_shape(self._input_layer.batch_shape))
        with tracing(trace):
            y = self.call(x)
        name = self._stack[-1].name
        random = (trace.seed, trace.step)
        return Graph((x, *random, *trace.reads.values()), (y,), (name,)), trace

    # -- showing -----------------------------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints a table of layers, output shapes and numbers of parameters.

        Args:
            line_length: width in characters. print_fn: called with the text instead of printing it. expand_nested: show
            the layers of nested models. show_trainable: add a column that tells which layers train. positions,
            layer_range: accepted for Keras's sake.
        """
        from seqc.utils.summary import summary_text

        text = summary_text(self, line_length, expand_nested, show_trainable)
        (print_fn or print)(text)

    # -- files -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        layers = [*([self._input_layer] if self._input_layer is not None else []), *self._stack]
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [serialize_object(layer) for layer in layers],
        }
        if self._build_shape is not None:
            config["build_input_shape"] = list(self._build_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Sequential:  # type: ignore[override]
        model = cls(name=config.get("name"))
        for entry in config["layers"]:
            model.add(revive(entry, custom_objects), rebuild=False)
        shape = config.get("build_input_shape")
        if model._input_layer is None and shape is not None:
            model.build(tuple(shape))
        else:
            model._build_if_possible()
        model._trainable = bool(config.get("trainable", True))
        return model

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Writes the model to a `.keras` file: layers, weights, compile settings and optimizer state.

        See `seqc.saving.save_model`.
        """
        from seqc.saving import save_model

        save_model(self, filepath, overwrite=overwrite, **options)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights to a `.weights.h5` file."""
        from seqc.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Any, **options: Any) -> None:
        """Reads the weights from a `.weights.h5` or `.keras` file."""
        from seqc.saving import load_weights

        load_weights(self, filepath, **options)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns the arguments of `compile` as plain data, or None before it was called."""
        return None if self._compiled is None else self._compiled.get_config()

    def export(self, filepath: Any, format: str = "onnx", verbose: Any = None, **options: Any) -> Any:
        """Writes a verified ONNX file for inference and returns the receipt. See `seqc.export.model.export_model`."""
        from seqc.export.model import export_model

        if format != "onnx":
            raise ConfigError(f"seqc exports to ONNX; got format={format!r}.")
        receipt = export_model(self, filepath, **options)
        if verbose:
            print(receipt)
        return receipt
