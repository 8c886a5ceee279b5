"""Models whose `call` is their own: what they take is what they are called on, and what they give comes of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqc import structures, tree
from seqc.errors import ConfigError, DTypeError, NotBuiltError
from seqc.graph.strings import STRING
from seqc.graph.tracing import Trace, require_trace
from seqc.layers import Input
from seqc.layers.base import Layer
from seqc.layers.calls import MODES, Arguments, is_shape
from seqc.layers.input_spec import InputSpec
from seqc.utils.signatures import signature

if TYPE_CHECKING:
    from seqc.functional import Functional
    from seqc.model import Model


class OwnCall(Layer):
    """What a model does that keeps layers as attributes and writes `call`; stacks and graphs know it otherwise.

    Such a model is a graph of one call, of itself on symbols. Of what shapes and element types these are, the first
    call says, or the first data, or `build`, or the signature of an export.
    """

    # The forms of what it takes and gives: one tensor, or lists and dictionaries of them.
    _input_tree: Any = None
    _output_tree: Any = None
    # See `_itself`.
    _graph_of_call: Functional | None = None
    # A tree of `InputSpec` for what it was called on first.
    _expected: Any = None
    _building = False

    def forward(self, x: Any, training: bool = False) -> Any:
        """Returns what `call` makes of the input in the graph that is being traced."""
        given = Arguments(self, (), dict(x)) if self._several_arguments() else Arguments(self, (x,), {})
        given.given = {name: self._cast_inside(value) for name, value in given.given.items()}
        trace = require_trace(f"forward of model '{self.name}'")
        # As in Keras, nobody says a mode to a `call` that does not take one: layers inside do as is their default.
        mode = training if "training" in given.signature.parameters else None
        with trace.called(self._owners()), trace.reading_as(self._read_as(trace)), trace.in_mode(mode):
            return given.invoke(self, training=mode, mask=None)

    @property
    def shaped_by_call(self) -> bool:
        """Whether what it takes is what it is called on first, one tensor or several: its `call` is its own."""
        return True

    def _several_arguments(self) -> list[str]:
        """Returns the names of the arguments of `call`, where it takes several tensors, each by one; else none."""
        parameters = list(signature(self.call).parameters.values())
        needed = [
            p.name
            for p in parameters
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in MODES
        ]
        return needed if len(needed) > 1 else []

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

    def _called_on(self, specs: Any) -> Functional:
        """Returns the model as a graph of one call, of itself on symbols as a tree of `InputSpec` says."""
        from seqc.functional import Functional

        arguments = self._several_arguments()
        if arguments:  # in their own order
            specs = OrderedDict((name, specs[name]) for name in arguments)
        symbols = tree.map_structure(
            lambda spec: Input(batch_shape=spec.shape, dtype=spec.dtype, name=spec.name), self._named(specs)
        )
        called = self(**symbols) if arguments else self(symbols)
        return Functional(symbols, called, name=self.name)

    def _named(self, specs: Any) -> Any:
        """Returns specs with names: what `call` calls its argument, and keys of dictionaries, where nobody says any."""
        argument = next(iter(signature(self.call).parameters), "inputs")
        paths = iter([path for path, _ in tree.flatten_with_path(specs)])

        def named(spec: InputSpec) -> InputSpec:
            path = [str(key) for key in next(paths)]
            name = "/".join(path) if path and not path[0].isdecimal() else "_".join((argument, *path))
            name = spec.name or name
            return InputSpec(spec.dtype, spec.shape, name=f"{name}_input" if name == self.name else name)

        return tree.map_structure(named, specs)

    def called_on(self, specs: Any) -> Model:
        """Returns the model with inputs as a tree of `InputSpec` says, sharing its weights; built, if it was not.

        What a stack or a graph takes is said already: there it is the model itself.

        Raises:
            ConfigError: it takes other lists or dictionaries of inputs.
        """
        known = self._input_tree if self.built else None
        if tree.is_nested(known) and not structures.has_form(known, specs):
            flat, names = tree.flatten(specs), structures.names(known)
            if len(flat) != len(names):
                raise ConfigError(
                    f"Model '{self.name}' takes {len(names)} inputs, {', '.join(names)}; got {len(flat)}: {specs}."
                )
            specs = tree.pack_sequence_as(known, flat)
        arguments = self._several_arguments()
        if isinstance(specs, list | tuple) and len(specs) == len(arguments):
            specs = dict(zip(arguments, specs, strict=True))
        if not self.built:
            self._expected = specs
            self._build_for(tree.map_structure(lambda spec: spec.shape, specs))
        return self._called_on(specs)

    def _expect(self, tensors: Any) -> None:
        """Remembers what the model is called on first, in a tree: strings, and whole numbers unless small, stay so."""

        def spec(x: Any) -> InputSpec:
            kind = str(x.dtype)
            kept = {"int32": "int32", "int64": "int32", "object": STRING, STRING: STRING}
            return InputSpec(kept.get(kind, self.dtype), (None, *x.shape[1:]))

        self._expected = tree.map_structure(spec, tensors)

    def _call_traced(self, trace: Trace, given: Arguments) -> Any:
        if not self.built and not self._building and given.first:
            arguments = self._several_arguments()
            self._expect({name: given.given[name] for name in arguments} if arguments else given.given[given.first])
        return super()._call_traced(trace, given)

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

    def build_for_data(self, x: Any) -> None:
        """Builds the model for samples: an array, or a list or dictionary of arrays."""
        self._expect(x)
        try:
            self._build_for(tree.map_structure(lambda array: (None, *array.shape[1:]), x))
        except DTypeError:  # its first layer wants floats of what came as whole numbers
            self._expected = self._graph_of_call = None
            self._build_for(tree.map_structure(lambda array: (None, *array.shape[1:]), x))

    def _build_for(self, shapes: Any) -> None:
        """Calls `build` with a tree of shapes, or with one of each argument of a `call` that takes several."""
        own = self._several_arguments() and type(self).build is not OwnCall.build
        self.build_for(*(shapes[name] for name in self._several_arguments()) if own else (shapes,))

    def _specs(self, shape: Any) -> Any:
        """Returns a tree of `InputSpec` for a tree of shapes, for any number of samples."""
        if isinstance(shape, Mapping):
            return {key: self._specs(one) for key, one in shape.items()}
        if not is_shape(shape):
            return [self._specs(one) for one in shape]
        return InputSpec(self.dtype, (None, *tuple(shape)[1:]))

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shape of the input, or a list or dictionary of shapes, and the element types that are others."""
        if self._build_shape is None:
            return None
        specs = self._specs(self._build_shape) if self._expected is None else self._expected
        config = {"input_shape": tree.map_structure(lambda spec: list(spec.shape), specs)}
        dtypes = tree.map_structure(lambda spec: spec.dtype, specs)
        return config | ({} if all(d == self.dtype for d in tree.flatten(dtypes)) else {"input_dtype": dtypes})

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Makes the weights for the shape that a file has; stacks and graphs know it otherwise."""
        config = config or {}
        shape, dtypes = config.get("input_shape"), config.get("input_dtype")
        if shape is None or self.built:
            return
        specs = self._specs(shape)
        if dtypes is not None and structures.has_form(specs, dtypes):
            known = iter(structures.flatten_up_to(specs, dtypes))
            self._expected = tree.map_structure(lambda spec: InputSpec(next(known), spec.shape), specs)
        self.build(shape)
