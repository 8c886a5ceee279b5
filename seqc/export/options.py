"""The arguments of an export, checked before any work is done, and Keras's names for them."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import structures, tree
from seqc.errors import ArgumentTypeError, ConfigError, DTypeError, ExportError, ShapeError
from seqc.graph.ir import Input, Value
from seqc.layers.input_spec import InputSpec, fits
from seqc.utils.files import check_target

if TYPE_CHECKING:
    from seqc.export.places.rules import Place
    from seqc.model import Model
    from seqc.training.arrange import Port

OLDEST_OPSET, NEWEST_OPSET = 13, 28
# Of this version every operator used here has a kernel in onnxruntime since 1.15, and on CUDA where it ever had one.
USUAL_OPSET = 18
# The oldest file format that may carry an opset: the one that came with it.
# The newest is what onnxruntime 1.32 reads.
NEWEST_IR_VERSION = 14
_IR_VERSIONS = {
    13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10,
    22: 10, 23: 11, 24: 12, 25: 13, 26: 13, 27: 13, 28: 14,
}  # fmt: skip
OURS = "seqc."
# A protobuf message has at most 2 GiB; what is not weights needs some room.
LARGEST_FILE = 2**31 - 2**20


def check_format(format: Any) -> None:
    """Raises ConfigError for a format of Keras's that is not ONNX."""
    if format != "onnx":
        raise ConfigError(
            f"seqc exports to ONNX only, with NumPy and without another framework; got format={format!r}. Leave "
            "`format` out, and give the .onnx file to what converts ONNX further; or save the model with "
            "model.save('model.keras') and export it with Keras."
        )


def check_path(path: Any) -> None:
    """Raises ArgumentTypeError for what is no path."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise ArgumentTypeError(f"export takes the path of the file to write, such as 'model.onnx'; got {path!r}.")


def check_flags(**flags: Any) -> None:
    """Raises ArgumentTypeError for something else than true or false: a text such as "no" would count as true."""
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_):
            raise ArgumentTypeError(f"{name} must be True or False; got {flag!r}.")


RECORD_ENDING = ".verified.npz"


def check_record(path: str | os.PathLike[str], verify: bool) -> str:
    """Returns where the record of a verification goes, beside the model's file.

    Raises:
        ConfigError: nothing is verified. PathError and its kin: it cannot be written there.
    """
    if not verify:
        raise ConfigError("record=True keeps what a verification compares; with verify=False there is none.")
    beside = os.fspath(path) + RECORD_ENDING
    check_target(beside)
    return beside


def check_opset(opset: Any) -> int:
    """Returns a version of the ONNX operators, for which every lowering was written."""
    number = _whole(opset, "opset", "18")
    if not OLDEST_OPSET <= number <= NEWEST_OPSET:
        raise ExportError(
            f"seqc writes opset {OLDEST_OPSET} to {NEWEST_OPSET}; got {number}. Leave it at 18 if unsure."
        )
    return number


def check_precision(precision: Any, float32_layers: Any, layers: set[str]) -> None:
    """Raises an error for a precision that files do not have, or layers that are not there.

    Args:
        layers: names of those there are.
    """
    if precision == "bfloat16":
        raise ExportError(
            "precision='bfloat16' is not written: onnxruntime has no operators of it on CPUs, so that nothing could be "
            "verified. Take 'float16', or convert the float32 file for the device at hand."
        )
    if precision not in ("float32", "float16", "float64"):
        raise ConfigError(f"precision is 'float32', 'float16' or 'float64'; got {precision!r}.")
    if not isinstance(float32_layers, list | tuple):
        raise ArgumentTypeError(f"float32_layers takes names of layers in a list; got {float32_layers!r}.")
    if float32_layers and precision != "float16":
        raise ConfigError("float32_layers says what precision='float16' leaves alone; it is nothing by itself.")
    unknown = [name for name in float32_layers if name not in layers]
    if unknown:
        raise ConfigError(f"float32_layers names {unknown}; the model has {', '.join(sorted(layers - {''}))}.")


def lowest_ir_version(opset: int) -> int:
    """The oldest file format that may carry the opset, at least 8: an older runtime can read an older format."""
    return max(8, _IR_VERSIONS[opset])


def check_ir_version(version: Any, opset: int, place: Place | None = None) -> int:
    """Returns the version of the file format, the oldest that fits where none is given."""
    if version is None:
        return lowest_ir_version(opset)
    number, oldest = _whole(version, "ir_version", str(lowest_ir_version(opset))), _IR_VERSIONS[opset]
    if not oldest <= number <= NEWEST_IR_VERSION:
        raise ExportError(
            f"ir_version must be {oldest}, the file format that came with opset {opset}, to {NEWEST_IR_VERSION}; got "
            f"{number}. Leave it out to get the oldest that is fit."
        )
    if place is not None and number > place.newest_ir:
        raise ExportError(
            f"{place.title} reads IR version {place.newest_ir} at most; got ir_version={number}. Leave it out to get "
            "the oldest that is fit."
        )
    return number


def check_size(size: int) -> None:
    """Raises ExportError where one file of so many bytes cannot be."""
    if size > LARGEST_FILE:
        raise ExportError(
            f"The model's weights take {size / 2**30:.1f} GiB; one .onnx file holds less than 2 GiB. Let them lie in a "
            "file beside it: leave external_data out, or say external_data=True."
        )


def check_external_data(asked: Any, size: int) -> int:
    """Returns how many bytes of weights, or more, lie in a file beside the model.

    Args:
        asked: True for any, False for none, a number of bytes, or None for what one file cannot hold. size: of all
        weights, in bytes.

    Raises:
        ArgumentTypeError, ExportError: it is none of these, or the weights must be in a file that cannot hold them.
    """
    if asked is False:
        check_size(size)
    if asked is None or asked is False:
        return LARGEST_FILE + 1
    try:
        least = 0 if asked is True else operator.index(asked)
    except TypeError:
        least = -1
    if least < 0:
        raise ArgumentTypeError(
            "external_data must be True, False, or a number of bytes from which on weights lie in a file beside the "
            f"model; got {asked!r} ({type(asked).__name__})."
        )
    return min(least, LARGEST_FILE + 1)


def check_names(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Raises an error for what cannot be the names of a file's inputs and outputs."""
    for what, names in (("input", inputs), ("output", outputs)):
        for name in names:
            if not isinstance(name, str):
                raise ArgumentTypeError(f"The name of an {what} must be text; got {name!r} ({type(name).__name__}).")
            if not name:
                raise ExportError(f"The name of an {what} must not be empty. Leave {what}_name out to get the model's.")
    named = [*inputs, *outputs]
    twice = next((name for i, name in enumerate(named) if name in named[:i]), None)
    if twice is not None:
        raise ExportError(
            f"Inputs {list(inputs)} and outputs {list(outputs)} need names of their own, but '{twice}' is there twice. "
            "Choose another with input_name=... or output_name=..."
        )


def check_metadata(metadata: Any) -> dict[str, str]:
    """Returns the texts of the caller's that go into the file."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise ArgumentTypeError(f"metadata must be a dict of texts; got {metadata!r} ({type(metadata).__name__}).")
    for key, text in metadata.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ArgumentTypeError(f"metadata holds texts only; got {key!r}: {text!r}. Use str() or json.dumps().")
        if not key or key.startswith(OURS):
            raise ExportError(f"metadata cannot set {key!r}: names that begin with '{OURS}' are what seqc says itself.")
    return dict(metadata)


def check_known(options: Iterable[str], known: Iterable[str]) -> None:
    """Raises ArgumentTypeError for options that an export does not have."""
    unknown = [name for name in options if name not in set(known)]
    if unknown:
        raise ArgumentTypeError(f"export has no option {', '.join(map(repr, unknown))}. It has {', '.join(known)}.")


def signature_tree(signature: Any) -> Any:
    """Returns Keras's `input_signature` as a tree of specs: what is said of one input stands in a list there.

    Raises:
        ArgumentTypeError, ConfigError: something in it is no spec, or says too little.
    """
    return tree.map_structure(_spec, _inside(signature))


def _inside(signature: Any) -> Any:
    while isinstance(signature, list | tuple) and len(signature) == 1:
        (signature,) = signature
    return signature


def read_signature(model: Model, signature: Any) -> list[InputSpec]:
    """Returns Keras's `input_signature` of a model as one spec with shape and element type for each input.

    Args:
        signature: an `InputSpec`, or anything with `shape` and `dtype` such as an array, alone or in a list; of several
        inputs a list in their order, or a dictionary by their names. The batch size of an array does not count.

    Raises:
        ArgumentTypeError: it is something else. ConfigError: it is not one for each input, with shape and dtype.
        ShapeError, DTypeError: it does not fit the model.
    """
    ports = model._ports()
    names = [port.name for port in ports]
    found = _inside(signature)
    if tree.is_nested(model._input_tree) and structures.has_form(model._input_tree, found):
        found = structures.flatten_up_to(model._input_tree, found)
    elif isinstance(found, Mapping) and sorted(map(str, found)) == sorted(names):
        found = [found[name] for name in names]
    listed = list(found) if isinstance(found, list | tuple) else [found]
    if isinstance(found, Mapping) or len(listed) != len(ports):
        wanted = "one input" if len(names) == 1 else f"each of the inputs {names}, in a list or by name"
        raise ConfigError(f"input_signature must say {wanted}, for model '{model.name}'; got {signature!r}.")
    return [_read(model.name, port, one) for port, one in zip(ports, listed, strict=True)]


def _spec(found: Any) -> InputSpec:
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    if not isinstance(found, InputSpec) and (shape is None or dtype is None):
        raise ArgumentTypeError(
            f"input_signature takes seqc.InputSpec(shape=(None, ...), dtype='float32') in a list; got {found!r}."
        )
    if shape is None or dtype is None:
        raise ConfigError(f"The `shape` and `dtype` of input_signature must be provided. Received: {found!r}")
    declared = not hasattr(found, "__array__")
    name = found.op.label if isinstance(found, Value) and isinstance(found.op, Input) else getattr(found, "name", None)
    return InputSpec(dtype, tuple(shape) if declared else (None, *shape[1:]), name=name)


def _read(model: str, port: Port, found: Any) -> InputSpec:
    spec = _spec(found)
    if spec.dtype != port.dtype:
        raise DTypeError(
            f"Input '{port.name}' of model '{model}' takes {port.dtype}; input_signature says {spec.dtype}. Say "
            f"dtype='{port.dtype}', or make the model with seqc.Input(..., dtype='{spec.dtype}')."
        )
    if port.shape is not None and (spec.shape is None or not fits(port.shape, spec.shape)):
        raise ShapeError(
            f"Input '{port.name}' of model '{model}' takes inputs of shape {port.shape}; input_signature says "
            f"{spec.shape}. Sizes that are None in the model may be fixed, others must agree."
        )
    return spec


def _whole(number: Any, name: str, example: str) -> int:
    try:
        if isinstance(number, bool):
            raise TypeError
        return operator.index(number)
    except TypeError:
        raise ArgumentTypeError(
            f"{name} must be a whole number such as {example}; got {number!r} ({type(number).__name__})."
        ) from None
