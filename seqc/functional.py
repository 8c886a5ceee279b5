"""Models as graphs of layers: `Model(inputs, outputs)`.

The graph is that of the compiler itself. Called on symbols, a layer gives a value whose op is the call; what functions
of `seqc.ops` make of such values are ordinary values. A functional model walks them and does the same to real tensors.
"""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import Any

from seqc import structures, tree
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Graph, Item, Shape, Value, build, input_value, walk
from seqc.graph.tracing import Trace, current_trace, traced
from seqc.graph_checks import check_connected, listed, names_of, symbols_in
from seqc.graph_config import describe, restore, scopes_of_operations
from seqc.known_classes import known
from seqc.layer_order import layers_in_order
from seqc.layers import InputLayer
from seqc.layers.base import KerasShape, Layer
from seqc.layers.calls import LayerCall, ModelInput, is_shape, put_tensors
from seqc.layers.input_axes import settle_axes
from seqc.model import Model
from seqc.ops.elementwise import cast
from seqc.serialization import custom_object_scope
from seqc.sure import of_kind
from seqc.training.arrange import Port
from seqc.training.data import match_rank


@known("models")
class Functional(Model):
    """The model that leads from some symbols to others.

    Args:
        inputs: what it takes: `Input()`, or whatever layers made of one; or a list or dictionary of these.
        outputs: what it gives, made of the inputs by calls of layers and functions of `seqc.ops`.
        name: made automatically by default. trainable: whether any layer trains.

    Raises:
        ConfigError: an output is not made of the inputs, or something given is no symbol.

    Example:
        >>> a, b = seqc.Input((3,)), seqc.Input((5,))
        >>> joined = seqc.layers.Concatenate()([a, seqc.layers.Dense(2)(b)])
        >>> model = seqc.Model([a, b], joined)
        >>> model.predict([np.ones((2, 3)), np.ones((2, 5))], verbose=0).shape
        (2, 5)
    """

    _untracked = Model._untracked | {"_called", "_entries", "_order", "_results", "_symbols"}

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        # As in Keras, what stands alone in a list is taken and given by itself.
        self._input_tree = structures.alone(symbols_in(inputs, "inputs", self.name))
        self._output_tree = structures.alone(symbols_in(outputs, "outputs", self.name))
        self._symbols, self._results = tree.flatten(self._input_tree), tree.flatten(self._output_tree)
        self._order = walk(self._results, self._symbols)
        check_connected(self._symbols, self._results, self._order, self.name)
        self._entries = [_entry(x) for x in self._symbols]
        entries = dict(zip(self._symbols, self._entries, strict=True))
        self._called = layers_in_order(self._output_tree, entries)
        self._check_names()
        self._children["layers"] = self._called
        for layer in self._called:
            layer._set_parent(self._parent_path)
        by_key = isinstance(self._input_tree, dict)
        self.input_names = structures.names(self._input_tree) if by_key else [layer.name for layer in self._entries]
        unnamed = any(y.origin is not None and not y.scope for y in self._results)
        self.output_names = names_of(self._output_tree, self._results, self._scopes if unnamed else None)
        self.built = True
        if not trainable:
            self.trainable = False

    def __getstate__(self) -> dict[str, Any]:
        # First what comes first, so that each value finds its inputs taken along already: a deep model is a long chain.
        return {"_order": self._order, **super().__getstate__()}

    def _check_names(self) -> None:
        seen: dict[str, Layer] = {}
        for layer in self._called:
            if seen.setdefault(layer.name, layer) is not layer:
                raise ConfigError(
                    f'The name "{layer.name}" is used {sum(one.name == layer.name for one in self._called)} times in '
                    f"model '{self.name}'. All layer names should be unique: give them name=."
                )

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """All layers, inputs among them, in the order of Keras: see `seqc.layer_order`."""
        return list(self._called)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("`Model.layers` attribute is reserved and should not be used.")

    @property
    def inputs(self) -> list[Value]:
        return list(self._symbols)

    @property
    def outputs(self) -> list[Value]:
        return list(self._results)

    @property
    def input(self) -> Any:
        """The symbol of the input, or the list or dictionary of them that the model was made with."""
        return self._input_tree

    @property
    def output(self) -> Any:
        """The symbol of the output, or the list or dictionary of them that the model was made with."""
        return self._output_tree

    @property
    def input_shape(self) -> Any:
        return structures.alone([x.shape for x in self._symbols])

    @property
    def output_shape(self) -> Any:
        return structures.alone([y.shape for y in self._results])

    def _ports(self) -> list[Port]:
        return [Port(name, x.shape, str(x.dtype)) for name, x in zip(self.input_names, self._symbols, strict=True)]

    def _output_shapes(self) -> list[KerasShape]:
        return [y.shape for y in self._results]

    def _output_names(self) -> list[str]:
        return list(self.output_names)

    # -- calling -----------------------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Computes the outputs, layer by layer."""
        given = self._matched(inputs)
        trace = current_trace()
        if trace is not None:
            trace.inputs += given
            for x, m in zip(given, tree.flatten(mask), strict=False):
                if m is not None:
                    trace.masks[x] = m
        known: dict[Value, Value] = dict(zip(self._symbols, given, strict=True))
        scopes = self._scopes
        several: dict[Value, list[Any]] = {}
        for v in self._order:
            if isinstance(v.op, Item) and v.inputs[0] in several:
                known[v] = several[v.inputs[0]][v.op.index]
            elif isinstance(v.op, LayerCall):
                results = self._called_again(v, known, training)
                several[v] = results
                known[v] = results[0]
            else:
                known[v] = build(v.op, tuple(known[x] for x in v.inputs), scopes.get(v, v.scope))
        return tree.pack_sequence_as(self._output_tree, [known[y] for y in self._results])

    @cached_property
    def _scopes(self) -> dict[Value, str]:
        """Names of operations between layers, for the values of them that were made without."""
        if all(isinstance(v.op, LayerCall | Item) or v.scope for v in self._order):
            return {}
        entries = dict(zip(self._symbols, self._entries, strict=True))
        return scopes_of_operations(self._output_tree, self._called, entries)

    def _called_again(self, v: Value, known: dict[Value, Value], training: bool | None) -> list[Any]:
        op = of_kind(v.op, LayerCall)
        named = put_tensors(op.given, [known[x] for x in v.inputs])
        mode = {} if training is None else {"training": training}
        return tree.flatten(op.layer(**(mode | named)))

    def _cast_input(self, x: Value) -> Value:
        return x  # each input has its own dtype

    def _matched(self, inputs: Any) -> list[Value]:
        """Returns what the model was called on in the order of its inputs.

        Raises:
            ConfigError: they are not as many, or not called so. ShapeError: one has another shape.
        """
        given = self._in_order(inputs)
        for i, (x, symbol) in enumerate(zip(given, self._symbols, strict=True)):
            x = match_rank(x, symbol.shape)
            given[i] = x = cast(x, symbol.dtype) if x.type.is_float and symbol.type.is_float else x
            found = x.shape
            if len(found) != len(symbol.shape) or any(
                a is not None and b is not None and a != b for a, b in zip(found, symbol.shape, strict=True)
            ):
                rows = symbol.shape[0]
                hint = f" Give data in whole batches, with batch_size={rows}." if found[1:] == symbol.shape[1:] else ""
                raise ShapeError(
                    f"Input '{self.input_names[i]}' of model '{self.name}' needs shape {symbol.shape}; got {found} "
                    f"(None is any size).{hint}"
                )
        return given

    def _in_order(self, inputs: Any) -> list[Any]:
        if isinstance(inputs, dict):
            by_key = isinstance(self._input_tree, dict)
            names = list(self._input_tree) if by_key else self.input_names
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ConfigError(
                    f"Model '{self.name}' needs inputs {names}; got a dictionary of {list(inputs)}: "
                    f"{', '.join(map(str, missing))} missing."
                )
            inputs = {name: inputs[name] for name in names} if by_key else [inputs[name] for name in names]
        fits = structures.has_form(self._input_tree, inputs)
        given = structures.flatten_up_to(self._input_tree, inputs) if fits else tree.flatten(inputs)
        if len(given) != len(self._symbols):
            raise ConfigError(
                f"Model '{self.name}' takes {len(self._symbols)} inputs, {listed(self._symbols)}; it was called with "
                f"{len(given)}."
            )
        return given

    # -- files -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Returns the graph, or the arguments of a subclass's own constructor, which makes the graph."""
        if not _made_of_graphs(type(self)):
            return super().get_config()
        entries = dict(zip(self._symbols, self._entries, strict=True))
        described = describe(self._input_tree, self._output_tree, self._called, entries)
        return {"name": self.name, "trainable": self._trainable, **described}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Functional:
        with custom_object_scope(custom_objects or {}):
            if not _made_of_graphs(cls):
                made: Functional = super().from_config(config)
                return made
            inputs, outputs = restore(config)
        model = cls(inputs, outputs, name=config.get("name"))
        model._trainable = bool(config.get("trainable", True))
        model._freeze_as_saved()
        return model

    def _described_inside(self) -> list[Layer]:
        return list(self._called)

    # -- graphs ------------------------------------------------------------------------------------------------------

    def graph(self, batch_shape: Any = None) -> tuple[Graph, Trace]:
        """Returns the inference graph with one input per weight, and the trace that says which is which.

        Args:
            batch_shape: of the input; of several inputs a list of shapes, by default those of the model.
        """
        shapes = [x.shape for x in self._symbols]
        if batch_shape is not None:
            given = [batch_shape] if is_shape(batch_shape) else list(batch_shape)
            shapes[: len(given)] = given
            # What one input fixes is the size of the batch for all.
            batch = next((shape[0] for shape in given if shape and shape[0] is not None), None)
            shapes = [(batch, *shape[1:]) if shape and shape[0] is None else shape for shape in shapes]
        calls = [v for v in self._order if isinstance(v.op, LayerCall) and v.op.layer.over_time]
        over_time = [any(v.inputs[0] is x for v in calls) for x in self._symbols]
        return settle_axes(self.input_names, shapes, over_time, self._graph_on)

    def _graph_on(self, shapes: list[Shape]) -> tuple[Graph, Trace]:
        trace = Trace(training=False)
        xs = [
            input_value(name, x.dtype, shape)
            for name, x, shape in zip(self.input_names, self._symbols, shapes, strict=True)
        ]
        results = tree.flatten(traced(trace, self.call, tree.pack_sequence_as(self._input_tree, xs)))
        random = (trace.seed, trace.step)
        return Graph((*xs, *random, *trace.reads.values()), tuple(results), tuple(self.output_names)), trace

    @property
    def shaped_by_call(self) -> bool:
        return False

    def called_on(self, specs: Any) -> Model:
        return self

    def _default_input_dtype(self) -> str:
        return str(self._symbols[0].dtype)

    def build(self, input_shape: Any = None) -> None:
        """Does nothing: a functional model is built from the start."""


def become_functional(kind: type[Model]) -> None:
    """Makes a subclass of `Model` one of `Functional`, as its constructor gave inputs and outputs to `Model`'s."""
    if not issubclass(kind, Functional):
        direct = Model in kind.__bases__
        bases = (Functional if base is Model else base for base in kind.__bases__)
        kind.__bases__ = (*bases,) if direct else (*bases, Functional)


def _made_of_graphs(kind: type[Model]) -> bool:
    """Tells whether the constructor of a class takes inputs and outputs."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return parameters[0].kind is inspect.Parameter.VAR_POSITIONAL or [p.name for p in parameters[:2]] == [
        "inputs",
        "outputs",
    ]


def _entry(x: Value) -> InputLayer:
    """Returns the layer that stands for an input; where a layer made it, that layer stays outside of the model."""
    return x.op.layer if isinstance(x.op, ModelInput) else InputLayer(batch_shape=x.shape, dtype=x.dtype)
