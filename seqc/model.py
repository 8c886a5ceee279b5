"""What every model is, whichever way its layers are put together: it trains, is shown, saved and exported."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

from seqc.errors import ConfigError
from seqc.graph.ir import Graph, Value
from seqc.graph.tracing import Trace, Variable
from seqc.layers.base import KerasShape, Layer
from seqc.own_call import OwnCall
from seqc.serialization import custom_object_scope, serialize_object
from seqc.structures import flat, nested
from seqc.training.arrange import Port
from seqc.training.methods import TrainingMethods


class Model(TrainingMethods, OwnCall):
    """A layer that trains by itself.

    `Sequential` is a stack of layers, `Functional` any graph of them; both say what they take and give. A subclass may
    also keep layers as attributes and write `call`; given inputs and outputs, it is a Functional.
    """

    _transparent = True
    _untracked = Layer._untracked | {"_graph_of_call"}
    supports_masking = True

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

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Returns a model as a configuration describes it; `Model` itself makes a functional one.

        Args:
            config: what `get_config` gave. custom_objects: classes and functions of a script's own, by name.
        """
        with custom_object_scope(custom_objects or {}):
            if cls is Model and {"layers", "input_layers", "output_layers"} <= config.keys():
                from seqc.functional import Functional

                return Functional.from_config(config)
            return super().from_config(config)

    # -- layers ------------------------------------------------------------------------------------------------------

    # Any, since the class of each is known when the program runs: `model.layers[0].kernel` is what people write.
    @property
    def layers(self) -> list[Any]:
        """The layers the model is made of, each once."""
        return list({id(layer): layer for layer in self.sublayers() if isinstance(layer, Layer)}.values())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
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

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Returns all variables by kind and path, in nested dictionaries.

        Args:
            value_format: "backend_tensor" for values, "numpy_array" for arrays.
        """
        return {
            kind: nested({v.path: v.numpy() if value_format == "numpy_array" else v.value for v in variables})
            for kind, variables in self._states().items()
        }

    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Sets variables from what `get_state_tree` gives, or a part of it.

        Raises:
            ConfigError: there is no such variable.
        """
        for kind, inside in state_tree.items():
            by_path = {v.path: v for v in self._states().get(kind, ())}
            for path, value in flat(inside).items():
                if path not in by_path:
                    raise ConfigError(f"Model '{self.name}' has no '{path}' among its {kind}: {list(by_path)}.")
                by_path[path].assign(value)

    def _states(self) -> dict[str, list[Variable]]:
        return {
            "trainable_variables": self.trainable_weights,
            "non_trainable_variables": self.non_trainable_weights,
            "optimizer_variables": self.optimizer.variables if self.compiled else [],
            "metrics_variables": self.metrics_variables,
        }

    # -- what a kind of model says -----------------------------------------------------------------------------------

    @property
    def inputs(self) -> list[Value]:
        """What the model is called on, as symbols."""
        return self._itself().inputs

    @property
    def outputs(self) -> list[Value]:
        """What the model makes of its inputs, as symbols."""
        return self._itself().outputs

    def _ports(self) -> list[Port]:
        """Returns what the model takes; before it is built, one input of unknown shape."""
        return self._itself()._ports() if self.built else [Port("", None, self._default_input_dtype())]

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

    def __copy__(self) -> Any:
        return copy.deepcopy(self)  # as in Keras: weights and an optimizer that two models share fit neither

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

    def save(self, filepath: str | PathLike[str], overwrite: bool = True, **options: Any) -> None:
        """Writes the model to a `.keras` file, or a legacy `.h5` file.

        Layers, weights, compile settings and optimizer state are in it.

        See `seqc.saving.save_model`.
        """
        from seqc.saving import save_model

        save_model(self, filepath, overwrite=overwrite, **options)

    def save_weights(
        self, filepath: str | PathLike[str], overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Writes the weights to a `.weights.h5`, `.npz` or `.safetensors` file. See `seqc.saving.save_weights`.

        Args:
            filepath: where to. overwrite: whether a file that is there is replaced.
            max_shard_size: most GiB of one file; larger weights go to several, as in Keras.
        """
        from seqc.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: str | PathLike[str], **options: Any) -> None:
        """Reads the weights from a file of any kind that holds some. See `seqc.saving.load_weights`."""
        from seqc.saving import load_weights

        load_weights(self, filepath, **options)

    def export(
        self,
        filepath: str | PathLike[str],
        format: str = "onnx",
        verbose: int | str | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> Any:
        """Writes a verified ONNX file for inference and returns the receipt.

        Args:
            filepath: the file. format: "onnx". verbose: whether to print the receipt.
            input_signature, options: see `seqc.export.model.export_model`.

        Example:
            >>> model = seqc.Sequential([seqc.Input((4,)), seqc.layers.Dense(3, "softmax")])
            >>> report = model.export("model.onnx", verbose=False)
            >>> seqc_runtime.load("model.onnx", device="cpu").predict(np.ones((2, 4), "float32")).shape
            (2, 3)
        """
        from seqc.export.model import export_model

        receipt = export_model(self, filepath, format=format, input_signature=input_signature, **options)
        if verbose:
            print(receipt)
        return receipt


def _is_graph(positional: Sequence[Any], named: Mapping[str, Any]) -> bool:
    """Tells whether a model is made of inputs and outputs."""
    return bool(positional) or "inputs" in named or "outputs" in named
