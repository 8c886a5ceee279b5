"""What every model is, whichever way its layers are put together: it trains, is shown, saved and exported."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqc import tree
from seqc.errors import ConfigError, DTypeError, NotBuiltError
from seqc.graph.ir import Graph, Value
from seqc.graph.tracing import Trace
from seqc.layers import Input
from seqc.layers.base import KerasShape, Layer
from seqc.layers.calls import Arguments, is_shape
from seqc.layers.input_spec import InputSpec
from seqc.serialization import serialize_object
from seqc.training.arrange import Port
from seqc.training.methods import TrainingMethods

if TYPE_CHECKING:
    from seqc.functional import Functional


class Model(TrainingMethods, Layer):
    """A layer that trains by itself.

    `Sequential` is a stack of layers, `Functional` any graph of them; both say what they take and give. A subclass may
    also keep layers as attributes and write `call`; given inputs and outputs, it is a Functional.
    """

    _transparent = True
    _untracked = Layer._untracked | {"_graph_of_call"}
    supports_masking = True
    # The forms of what it takes and gives: one tensor, or lists and dictionaries of them.
    _input_tree: Any = None
    _output_tree: Any = None
    # Of a subclass that writes `call`; see `_itself`.
    _graph_of_call: Functional | None = None
    # A tree of `InputSpec` for what it was called on first.
    _expected: Any = None
    _building = False

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        if cls is Model and _is_graph(arguments, named):
            from seqc.functional import Functional

            cls = Functional
        return super().__new__(cls, *arguments, **named)

    def __init__(
        self, *graph: Any, trainable: bool = True, name: str | None = None, dtype: Any = None, **named: Any
    ) -> None:
        if _is_graph(graph, named):
            from seqc.functional import Functional, become_functional

            become_functional(type(self))
            settings = named | {"trainable": trainable, "dtype": dtype} | ({"name": name} if len(graph) < 3 else {})
            Functional.__init__(self, *graph, **settings)  # type: ignore[arg-type]
            return
        Layer.__init__(self, name=name, dtype=dtype, **named)
        TrainingMethods.__init__(self)

    # -- layers ------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers the model is made of, each once."""
        return list({id(layer): layer for layer in self.sublayers() if isinstance(layer, Layer)}.values())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Returns a layer by name or by position.

        Raises:
            ConfigError: there is none.
        """
        if (name is None) == (index is None):
            raise ConfigError("get_layer needs either a name or an index.")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ConfigError(
                    f"Was asked to retrieve layer at index {index} but model only has {len(layers)} layers."
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ConfigError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in layers]}.")

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return None  # the layers inside have put theirs on the result

    def forward(self, x: Any, training: bool = False) -> Any:
        """Returns what `call` makes of the input in the graph that is being traced."""
        return Arguments(self, (x,), {}).invoke(self, training=training, mask=None)

    # -- what a kind of model says -----------------------------------------------------------------------------------

    def _itself(self) -> Functional:
        """Returns the model as a graph of one call, of itself on symbols, once it knows the shape of its input.

        Raises:
            NotBuiltError: it does not.
        """
        if self._graph_of_call is None:
            if self._build_shape is None:
                raise NotBuiltError(
                    f"Model '{self.name}' does not know the shape of its input yet: call it on data, fit it, or call "
                    "model.build((None, ...))."
                )
            specs = self._specs(self._build_shape) if self._expected is None else self._expected
            self._graph_of_call = made = self._called_on(specs)
            self._input_tree, self._output_tree = made._input_tree, made._output_tree
        return self._graph_of_call

    def called_on(self, specs: Any) -> Model:
        """Returns the model with inputs as a tree of `InputSpec` says, sharing its weights; built, if it was not.

        What a stack or a graph takes is said already: there it is the model itself.

        Raises:
            ConfigError: it takes other lists or dictionaries of inputs.
        """
        known = self._input_tree if self.built else None
        if tree.is_branch(known) and not tree.has_form(known, specs):
            if len(tree.leaves(specs)) != len(tree.leaves(known)):
                raise ConfigError(
                    f"Model '{self.name}' takes {len(tree.leaves(known))} inputs, {', '.join(tree.names(known))}; got "
                    f"{len(tree.leaves(specs))}: {specs}."
                )
            specs = tree.fill(known, iter(tree.leaves(specs)))
        if not self.built:
            self._expected = specs
            self.build_for(tree.map_leaves(lambda spec: spec.shape, specs))
        return self._called_on(specs)

    def _called_on(self, specs: Any) -> Functional:
        """Returns the model as a graph of one call, of itself on symbols as a tree of `InputSpec` says."""
        from seqc.functional import Functional

        symbols = tree.map_leaves(
            lambda spec: Input(batch_shape=spec.shape, dtype=spec.dtype, name=spec.name), self._named(specs)
        )
        return Functional(symbols, self(symbols), name=self.name)

    def _named(self, specs: Any) -> Any:
        """Returns specs with names: what `call` calls its argument, and keys of dictionaries, where nobody says any."""
        argument = next(iter(inspect.signature(self.call).parameters), "inputs")
        paths = iter(tree.paths(specs))

        def named(spec: InputSpec) -> InputSpec:
            path = [str(key) for key in next(paths)]
            name = "/".join(path) if path and not path[0].isdecimal() else "_".join((argument, *path))
            name = spec.name or name
            return InputSpec(spec.dtype, spec.shape, name=f"{name}_input" if name == self.name else name)

        return tree.map_leaves(named, specs)

    def _specs(self, shape: Any) -> Any:
        """Returns a tree of `InputSpec` for a tree of shapes, for any number of samples."""
        if isinstance(shape, Mapping):
            return {key: self._specs(one) for key, one in shape.items()}
        if not is_shape(shape):
            return [self._specs(one) for one in shape]
        return InputSpec(self.dtype, (None, *tuple(shape)[1:]))

    def _expect(self, tensors: Any) -> None:
        """Remembers what the model is called on first, in a tree: whole numbers stay what they are, unless small."""

        def spec(x: Any) -> InputSpec:
            whole = str(x.dtype) in ("int32", "int64")
            return InputSpec("int32" if whole else self.dtype, (None, *x.shape[1:]))

        self._expected = tree.map_leaves(spec, tensors)

    def _call_traced(self, trace: Trace, given: Arguments) -> Any:
        if not self.built and not self._building and given.first:
            self._expect(given.given[given.first])
        return super()._call_traced(trace, given)

    def build_for_data(self, x: Any) -> None:
        """Builds the model for samples: an array, or a list or dictionary of arrays."""
        self._expect(x)
        try:
            self.build_for(tree.map_leaves(lambda array: (None, *array.shape[1:]), x))
        except DTypeError:  # its first layer wants floats of what came as whole numbers
            self._expected = self._graph_of_call = None
            self.build_for(tree.map_leaves(lambda array: (None, *array.shape[1:]), x))

    def build(self, input_shape: Any = None) -> None:
        """Makes all weights by calling the model on symbols.

        Args:
            input_shape: of the input, the batch first; of several inputs a list or dictionary of shapes.

        Raises:
            ConfigError: no shape is given.
        """
        if input_shape is None:
            raise ConfigError(f"Model '{self.name}' needs an input shape: model.build((None, ...)).")
        if self._building:  # by the call that is made for it
            return
        self._building, self._build_shape = True, input_shape
        try:
            self._itself()
        finally:
            self._building = False

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shape of the input, or a list or dictionary of shapes, and the element types that are others."""
        if self._build_shape is None:
            return None
        specs = self._specs(self._build_shape) if self._expected is None else self._expected
        config = {"input_shape": tree.map_leaves(lambda spec: list(spec.shape), specs)}
        dtypes = tree.map_leaves(lambda spec: spec.dtype, specs)
        return config | ({} if all(d == self.dtype for d in tree.leaves(dtypes)) else {"input_dtype": dtypes})

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Makes the weights for the shape that a file has; stacks and graphs know it otherwise."""
        shape, dtypes = config.get("input_shape"), config.get("input_dtype")
        if shape is None or self.built:
            return
        specs = self._specs(shape)
        if dtypes is not None and tree.has_form(specs, dtypes):
            known = iter(tree.leaves_like(specs, dtypes))
            self._expected = tree.map_leaves(lambda spec: InputSpec(next(known), spec.shape), specs)
        self.build(shape)

    @property
    def inputs(self) -> list[Value]:
        """What the model is called on, as symbols."""
        return self._itself().inputs

    @property
    def outputs(self) -> list[Value]:
        """What the model makes of its inputs, as symbols."""
        return self._itself().outputs

    @property
    def shaped_by_call(self) -> bool:
        """Whether what it takes is what it is called on first, one tensor or several: its `call` is its own."""
        return True

    def _ports(self) -> list[Port]:
        """Returns what the model takes; before it is built, one input of unknown shape."""
        return self._itself()._ports() if self.built else [Port("", None, self.input_dtype())]

    def _output_shapes(self) -> list[KerasShape]:
        """Returns the shape of each output, the batch first."""
        return self._itself()._output_shapes()

    def _output_names(self) -> list[str]:
        """Returns the names of the outputs, as `compile` knows them."""
        names = self._itself().output_names if self.built else []
        return names if len(names) > 1 else [""]

    @property
    def input_shape(self) -> Any:
        """The shape of the input, the batch first; several are a tree of shapes."""
        return self._itself().input_shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output, the batch first; several are a tree of shapes."""
        return self._itself().output_shape

    def graph(self, batch_shape: KerasShape | None = None) -> tuple[Graph, Trace]:
        """Returns the inference graph with one input per weight, and the trace that says which is which.

        Args:
            batch_shape: of the input, by default that of the model.

        Raises:
            NotBuiltError: the input shape is not known.
        """
        return self._itself().graph(batch_shape)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_graph_of_call": None}

    # -- showing -----------------------------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Prints a table of layers, output shapes and numbers of parameters.

        Args:
            line_length: width in characters. positions: where the columns end, as parts of the width.
            print_fn: called with the text instead of printing it. expand_nested: show the layers of nested models.
            show_trainable: add a column that tells which layers train. layer_range: names of the first and the last
            layer to show, or patterns for them.

        Raises:
            ConfigError: the width is too small, or `layer_range` names no layers.
        """
        from seqc.utils.summary import summary_text

        text = summary_text(self, line_length, positions, expand_nested, show_trainable, layer_range)
        (print_fn or print)(text)

    def to_json(self, **options: Any) -> str:
        """Returns the layers as JSON, without weights; see `seqc.models.model_from_json`.

        Args:
            options: passed on to `json.dumps`.
        """
        return json.dumps(serialize_object(self), **options)

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Writes the model to a `.keras` file, or a legacy `.h5` file: layers, weights, compile settings and optimizer
        state.

        See `seqc.saving.save_model`.
        """
        from seqc.saving import save_model

        save_model(self, filepath, overwrite=overwrite, **options)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights to a `.weights.h5`, `.npz` or `.safetensors` file."""
        from seqc.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Any, **options: Any) -> None:
        """Reads the weights from a file of any kind that holds some. See `seqc.saving.load_weights`."""
        from seqc.saving import load_weights

        load_weights(self, filepath, **options)

    def export(
        self, filepath: Any, format: str = "onnx", verbose: Any = None, input_signature: Any = None, **options: Any
    ) -> Any:
        """Writes a verified ONNX file for inference and returns the receipt.

        Args:
            filepath: the file. format: "onnx". verbose: whether to print the receipt.
            input_signature, options: see `seqc.export.model.export_model`.
        """
        from seqc.export.model import export_model

        receipt = export_model(self, filepath, format=format, input_signature=input_signature, **options)
        if verbose:
            print(receipt)
        return receipt


def _is_graph(positional: Sequence[Any], named: Mapping[str, Any]) -> bool:
    """Tells whether a model is made of inputs and outputs."""
    return bool(positional) or "inputs" in named or "outputs" in named
