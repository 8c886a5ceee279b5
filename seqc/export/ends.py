"""What a file takes and gives beside what the model does: other types of inputs, outputs of layers, heads.

All of it is said of the graph before any pass, so that a verification compares the file with exactly this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import ops, tree
from seqc.errors import ArgumentTypeError, ConfigError, ExportError
from seqc.export.heads import headed, read_head
from seqc.graph.ir import Graph, Input, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.scopes import scope
from seqc.graph.target import DTYPES
from seqc.sure import of_kind
from seqc.text import shorten

if TYPE_CHECKING:
    from seqc.model import Model

# Under this name a file says what its ends are.
KEY = "seqc.ends"
_INPUT_TYPES = sorted(DTYPES - {"string"})


@dataclass(frozen=True)
class Ends:
    """The ends of a file, by the names of the model's own inputs and outputs.

    Attributes:
        layers: names of layers whose outputs the file gives, after the model's own.
        heads: what becomes of outputs. dtypes: element types of inputs. scales: factor and offset for inputs, which
        come before anything else.
    """

    layers: tuple[str, ...] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What a file says of them, as JSON; "" where they are the model's."""
        said = {name: found for name in ("layers", "heads", "dtypes", "scales") if (found := getattr(self, name))}
        return json.dumps(said, sort_keys=True) if said else ""

    def of_graph(self, graph: Graph) -> Graph:
        """Returns the graph with these ends.

        Raises:
            ConfigError: a name is not that of an input or output, or a head does not fit.
        """
        return self._with_heads(self._with_inputs(graph))

    def _with_inputs(self, graph: Graph) -> Graph:
        wanted = [*self.dtypes, *self.scales]
        _check_known("input", wanted, graph.input_names)
        taken: dict[Value, Value] = {}
        inputs: list[Value] = []
        for x, name in zip(graph.inputs, graph.input_names, strict=True):
            given = x
            if name in wanted:
                op = of_kind(x.op, Input)
                given = build(Input(op.label, self.dtypes.get(name, x.dtype), op.shape), (), x.scope)
                with scope(name, whole=True):
                    taken[x] = _scaled(ops.cast(given, x.dtype), self.scales.get(name), name)
            inputs.append(given)
        moved = rewrite(graph, lambda old, _: taken.get(old)) if taken else graph
        return Graph(tuple(inputs), moved.outputs, moved.output_names)

    def _with_heads(self, graph: Graph) -> Graph:
        _check_known("output", self.heads, graph.output_names)
        made: list[tuple[str, Value]] = []
        for y, name in zip(graph.outputs, graph.output_names, strict=True):
            made += headed(name, y, self.heads[name]) if name in self.heads else [(name, y)]
        return Graph(graph.inputs, tuple(y for _, y in made), tuple(name for name, _ in made))


def read_layer_outputs(given: Any) -> tuple[str, ...]:
    """Returns the names of layers of which an export is to give the outputs, too.

    Raises:
        ArgumentTypeError: they are no names.
    """
    names = [given] if isinstance(given, str) else list(given or ())
    if not all(isinstance(name, str) for name in names):
        raise ArgumentTypeError(f"layer_outputs takes names of layers; got {given!r}.")
    return tuple(names)


def read_ends(
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    layers: tuple[str, ...] = (),
    head: Any = None,
    input_dtype: Any = None,
    rescale: Any = None,
) -> Ends:
    """Returns the ends that the arguments of an export ask for.

    Args:
        inputs, outputs: names of the model's own. layers: names of those whose outputs the file gives, too.
        head: what becomes of the output, see `headed`; of several outputs a dict by name.
        input_dtype: the element type that the file takes; of several inputs a dict by name.
        rescale: a factor for the input, or a factor and an offset; numbers, or one for each channel; of several inputs
        a dict by name.

    Raises:
        ArgumentTypeError, ConfigError: one of them makes no sense.
    """
    heads = _by_name("head", head, outputs)
    for text in heads.values():
        read_head(text)
    dtypes = _by_name("input_dtype", input_dtype, inputs)
    for dtype in dtypes.values():
        if dtype not in _INPUT_TYPES:
            raise ConfigError(f"input_dtype is one of {', '.join(_INPUT_TYPES)}; got {dtype!r}.")
    scales = {name: _read_scale(found) for name, found in _by_name("rescale", rescale, inputs).items()}
    return Ends(layers, heads, dtypes, scales)


def with_layer_outputs(model: Model, layers: Sequence[str]) -> Model:
    """Returns a model that gives the outputs of some layers after its own, and shares everything with it.

    Raises:
        ConfigError: a layer is not there, or has no one output.
    """
    if not layers:
        return model
    from seqc.model import Model

    return Model(
        model.inputs, [*tree.flatten(model.outputs), *(_output_of(model, name) for name in layers)], name=model.name
    )


def ends_in(said: Mapping[str, str]) -> Ends:
    """Returns the ends that the texts of a file say.

    Raises:
        ExportError: they make no sense.
    """
    text = said.get(KEY, "")
    if not text:
        return Ends()
    try:
        found = json.loads(text)
        scales = {name: (scale, offset) for name, (scale, offset) in found.get("scales", {}).items()}
        return Ends(tuple(found.get("layers", ())), dict(found.get("heads", {})), dict(found.get("dtypes", {})), scales)
    except (ValueError, TypeError, AttributeError):
        raise ExportError(f"The file says in {KEY} what makes no sense: {shorten(text, 80)}.") from None


def _by_name(argument: str, given: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns what is said by the names of inputs or outputs; said once, it is of the only one there is."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    if len(names) != 1:
        option = f"--{argument.replace('_', '-')} {names[0]}={given}"
        raise ConfigError(
            f"{argument} must say which of {list(names)} it is of: {argument}={{{names[0]!r}: {given!r}}}, or {option}."
        )
    return {names[0]: given}


def _check_known(kind: str, wanted: Sequence[str] | Mapping[str, Any], names: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ConfigError(f"The model has no {kind} {', '.join(map(repr, unknown))}; it has {list(names)}.")


def _output_of(model: Model, name: str) -> Any:
    try:
        found = model.get_layer(name).output
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"layer_outputs cannot give '{name}' of model '{model.name}': {error}") from error
    if not isinstance(found, Value):
        raise ConfigError(f"Layer '{name}' has more than one output; layer_outputs takes layers with one.")
    return found


def _read_scale(given: Any) -> Sequence[Any]:
    """Returns a factor and an offset; as a list where they may be factors of two channels as well."""
    pair = given if isinstance(given, list | tuple) and len(given) == 2 else (given, 0.0)
    try:
        scale, offset = (np.asarray(part, np.float64) for part in pair)
        fine = scale.ndim < 2 and offset.ndim < 2 and np.isfinite(scale).all() and np.isfinite(offset).all()
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ConfigError(
            "rescale takes a factor, or a factor and an offset: finite numbers, or one for each channel, such as "
            f"1 / 255 or (1 / 127.5, -1); got {given!r}."
        )
    found = scale.tolist(), offset.tolist()
    return list(found) if isinstance(given, list) and not scale.ndim and pair is given else found


def _scaled(x: Value, scale: Sequence[Any] | None, name: str) -> Value:
    if scale is None:
        return x
    if not x.type.is_float:
        raise ConfigError(f"rescale is for inputs that the model takes as floats; '{name}' is {x.type}.")
    channels = x.type.shape[-1] if x.type.rank else None
    if isinstance(scale, list) and channels == 2:
        raise ConfigError(
            f"rescale={scale} of input '{name}', which has two channels, may say two things. Write {tuple(scale)} for "
            f"a factor and an offset, or ({scale}, 0) for a factor of each channel."
        )
    for part in scale:
        if isinstance(part, list) and len(part) != channels:
            raise ConfigError(f"rescale has {len(part)} numbers for input '{name}', which is {x.type}.")
    with np.errstate(over="ignore"):
        factor, offset = (np.asarray(part, x.dtype) for part in scale)
    if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
        raise ConfigError(f"rescale of input '{name}' has numbers that are too large for {x.dtype}: {tuple(scale)}.")
    y = x * factor
    return y + offset if np.any(offset) else y
