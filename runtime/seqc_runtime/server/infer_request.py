"""From the tensors of a request, in whatever form they came, to a checked Job.

Every protocol goes the same way: `find_input` for each tensor, `check_datatype`, `check_shape` before its data is
decoded, and `make_job` with all of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from seqc_runtime.inputs import Array
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared, Signature

# NumPy's, of all releases.
_MOST_AXES = 32
_LARGEST_SIZE = 2**63 - 1
_LONGEST_TIMEOUT = 2**63


def find_input(servable: Servable, name: object, where: str) -> Declared:
    """The declared input that a request means. where: the field, for messages. Raises Refusal (400)."""
    declared = servable.signature.inputs.get(name) if isinstance(name, str) else None
    if declared is None:
        raise Refusal(
            400, f"{where} needs the name of an input, {_names(servable.signature.inputs)}; got {shown(name)}"
        )
    return declared


def check_count(count: int, declared: Mapping[str, Declared], what: str, limits: Limits) -> None:
    """Refuse (400) more tensors than the limit, which never keeps a model from all that it declares.

    declared: the model's inputs, or outputs. what: they are, for messages.
    """
    most = max(limits.tensors, len(declared))
    if count > most:
        raise Refusal(400, f"{what} has {count} tensors; at most {most}")


def check_datatype(declared: Declared, given: object) -> None:
    """Refuse (400) another datatype than the declared one: numbers are never converted."""
    if given != declared.datatype:
        raise Refusal(400, f"input {declared.name!r}: datatype needs {declared.datatype!r}; got {shown(given)}")


def check_shape(declared: Declared, shape: object, limits: Limits) -> int:
    """The number of elements of a tensor of this shape, computed exactly.

    shape: a list of integers, from anywhere. limits: of sizes that hold nothing, see below.

    An axis of no size makes all others free of cost for the client, but not for the model: they are limited, too.

    Raises Refusal (400).
    """
    if type(shape) is not list or any(type(size) is not int or size < 0 or size > _LARGEST_SIZE for size in shape):
        raise Refusal(400, f"input {declared.name!r}: shape needs a list of sizes, 0 or larger; got {shown(shape)}")
    if not declared.any_shape:
        fits = len(shape) == len(declared.shape)
        for size, given in zip(declared.shape, shape, strict=False):
            if size != given and type(size) is int:
                fits = False
        if not fits:
            raise Refusal(400, f"input {declared.name!r}: shape needs to fit {declared}; got {shown(shape)}")
    elif len(shape) > _MOST_AXES:
        raise Refusal(400, f"input {declared.name!r}: shape has {len(shape)} axes; at most {_MOST_AXES}")
    count = math.prod(shape)
    if not count:
        chosen = shape if declared.any_shape else [shape[axis] for axis, _ in declared.free]
        most = math.prod(size for size in chosen if size)
        if most > limits.rows:
            raise Refusal(
                400, f"input {declared.name!r}: shape {shown(shape)} holds nothing, and its sizes exceed {limits.rows}"
            )
    elif declared.wire is None and count > limits.text:
        raise Refusal(400, f"input {declared.name!r}: shape {shown(shape)} has {count} texts; at most {limits.text}")
    return count


def make_job(
    servable: Servable,
    feeds: Mapping[str, Array],
    wanted: Sequence[object] | None,
    limits: Limits,
    timeout: object = None,
) -> Job:
    """The job of tensors that are each right, after the checks that concern them together.

    feeds: by input name, with the declared dtypes and shapes that `check_shape` let pass. wanted: names of outputs,
    None for all. limits: of rows. timeout: microseconds from now, or None.

    Raises Refusal (400): an input is missing, axes of one name differ, too many rows, outputs unknown or wanted twice.
    """
    signature = servable.signature
    if len(feeds) != len(signature.inputs):
        missing = ", ".join(repr(name) for name in signature.input_names if name not in feeds)
        raise Refusal(400, f"inputs needs {_names(signature.inputs)}; {missing} missing")
    if signature.several_axes:
        _check_axes(feeds, signature)
    rows = _rows(feeds, signature)
    if rows is not None and rows > limits.rows:
        raise Refusal(400, f"the request has {rows} rows; at most {limits.rows}: send several requests")
    names = signature.output_names if wanted is None else check_outputs(signature, wanted)
    nbytes = 0
    for array in feeds.values():
        nbytes += array.nbytes
    return Job(servable, feeds, names, rows, nbytes, None if timeout is None else deadline(timeout))


def check_outputs(signature: Signature, wanted: Sequence[object]) -> list[str]:
    """Names of outputs, each of which the model has. Raises Refusal (400)."""
    names: list[str] = []
    for place, name in enumerate(wanted):
        if not isinstance(name, str) or name not in signature.outputs:
            raise Refusal(
                400,
                f"outputs[{place}].name needs the name of an output, {_names(signature.outputs)}; got {shown(name)}",
            )
        if name in names:
            raise Refusal(400, f"outputs[{place}].name: output {name!r} is asked for twice")
        names.append(name)
    return names


def deadline(timeout: object) -> float | None:
    """On the clock time.monotonic, in seconds. timeout: microseconds from now, 0 for none. Raises Refusal (400)."""
    if type(timeout) is not int or not 0 <= timeout < _LONGEST_TIMEOUT:
        raise Refusal(400, f"parameters.timeout needs a whole number of microseconds; got {shown(timeout)}")
    return time.monotonic() + timeout / 1e6 if timeout else None


def shown(value: object, depth: int = 2) -> str:
    """A value of a client's as messages show it, in JSON's words, cut where it is long or deep."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        if not depth:
            return "[...]"
        text = "[" + ", ".join(shown(item, depth - 1) for item in value[:8]) + (", ...]" if len(value) > 8 else "]")
    elif isinstance(value, dict):
        text = "an object"
    else:
        text = repr(value[:100]) if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _names(declared: Mapping[str, Declared]) -> str:
    """'a' FP32[batch, 4], 'b' INT64[batch]."""
    shown_names = [f"{name!r} {one}" for name, one in list(declared.items())[:10]]
    return ", ".join(shown_names) + (", ..." if len(declared) > 10 else "") if declared else "none"


def _check_axes(feeds: Mapping[str, Array], signature: Signature) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    for declared in signature.inputs.values():
        shape = feeds[declared.name].shape
        for axis, name in declared.free:
            if name is None:
                continue
            size, owner = sizes.setdefault(name, (shape[axis], declared.name))
            if size != shape[axis]:
                raise Refusal(
                    400,
                    f"input {declared.name!r}: shape {list(shape)} has {name} = {shape[axis]}, but input {owner!r} has "
                    f"{name} = {size}",
                )


def _rows(feeds: Mapping[str, Array], signature: Signature) -> int | None:
    if not signature.batched:
        return None
    rows: int | None = None
    for array in feeds.values():
        if rows is None:
            rows = array.shape[0]
        elif rows != array.shape[0]:
            return None
    return rows
