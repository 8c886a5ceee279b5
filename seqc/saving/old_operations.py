"""Functions of TensorFlow between the layers of functional models of Keras 2, as functions of `seqc.ops`.

tf.keras made a layer of each such call, a TFOpLambda or SlicingOpLambda that names the function; its arguments stand
with the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqc.errors import SavingError
from seqc.operations import FOREIGN

if TYPE_CHECKING:  # the tables are made for files that need them
    from seqc.saving.tensorflow_functions import Function

# TensorFlow 2.0 to 2.3 wrote a TensorFlowOpLayer instead, around a node of its graph.
NODE = "TensorFlowOpLayer"
CLASSES = ("TFOpLambda", "SlicingOpLambda", NODE)


# Any value of these, and None for any other argument, says nothing.
_NOTHING = ("name", "validate_indices")


def modern_operation(entry: Mapping[str, Any], calls: list[Any]) -> list[dict[str, Any]]:
    """Returns the operations that a function of TensorFlow becomes: itself, last, and what prepares its arguments.

    Args:
        entry: as a file has it. calls: how it is called, in the form of Keras 3.

    Raises:
        SavingError: seqc has no such function, or not with these arguments.
    """
    from seqc.saving.tensorflow_functions import FUNCTIONS
    from seqc.saving.tensorflow_nodes import as_function, called_on

    node = None
    if entry.get("class_name") == NODE:
        entry, node = as_function(entry)
    config = entry.get("config")
    told = str(config.get("function") if isinstance(config, Mapping) else None)
    known = told.removeprefix("compat.v1.")
    function = FUNCTIONS.get(known, FUNCTIONS.get(f"math.{known}"))
    name = entry.get("name")
    if function is None or not isinstance(name, str):
        raise SavingError(
            f"The model calls TensorFlow's '{told}' between its layers (as '{name}'), for which seqc has nothing in a "
            "file. Where it stands, use a layer of your own that does the same with functions of seqc.ops, and load "
            "the weights alone."
        )
    prepared: dict[str, list[Any]] = {}
    nodes = []
    for call in calls:
        if not isinstance(call, Mapping) or not call.get("args"):
            raise SavingError(
                f"The call of TensorFlow's '{told}' (as '{name}') is described by {call!r}, which is none."
            )
        if node is not None:
            call = called_on(node, call, name)
        args, named = list(call["args"]), dict(call["kwargs"])
        if function.name == "einsum" and len(args) < 2:
            raise SavingError(
                f"The model calls TensorFlow's '{told}' between its layers (as '{name}'), and tf.keras left out of the "
                "file on what. Put an EinsumDense, Dot or Attention layer, or one of your own, in its place where the "
                "model is built, and save it anew; or load the weights alone."
            )
        if function.name == "matmul":
            args, named = _turned(args, named, name, prepared)
        nodes.append({"args": args, "kwargs": _arguments(function, named, told, name)})
    before = [_entry("swapaxes", turned, made) for turned, made in prepared.items()]
    if function.after is None:
        return [*before, _entry(function.name, name, nodes)]
    inner, (last, more) = f"{name}/{function.name}", function.after
    after = [{"args": [_result(inner, i)], "kwargs": dict(more)} for i in range(len(nodes))]
    return [*before, _entry(function.name, inner, nodes), _entry(last, name, after)]


def _turned(
    args: list[Any], named: dict[str, Any], name: str, prepared: dict[str, list[Any]]
) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a matmul whose operands are transposed before; `prepared` gets what does that."""
    for flag, operand in (("transpose_a", None), ("transpose_b", "b")):
        if named.pop(flag, False):
            turned = f"{name}/{flag}"
            x = args[0] if operand is None else named[operand]
            prepared.setdefault(turned, []).append({"args": [x], "kwargs": {"axis1": -1, "axis2": -2}})
            tensor = _result(turned, len(prepared[turned]) - 1)
            args, named = ([tensor], named) if operand is None else (args, {**named, operand: tensor})
    return args, named


def _result(name: str, call: int) -> dict[str, Any]:
    """Returns how a file names the result of a call."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, 0]}}


def _arguments(function: Function, given: Mapping[str, Any], told: str, name: str) -> dict[str, Any]:
    if function.together is not None:
        try:
            return function.together(given)
        except (KeyError, TypeError, ValueError) as error:
            raise SavingError(f"TensorFlow's '{told}' (as '{name}') is called with {dict(given)!r}.") from error
    made = dict(function.defaults)
    for key, value in given.items():
        if key in _NOTHING or value is None or (key in function.inert and value in function.inert[key]):
            continue
        its = function.arguments.get(key)
        if its is None:
            raise SavingError(
                f"TensorFlow's '{told}' (as '{name}') is called with {key}={value!r}: seqc has it without."
            )
        made |= {its: value} if isinstance(its, str) else its(value)
    return made


def _entry(function: str, name: str, nodes: list[Any]) -> dict[str, Any]:
    described = {"module": FOREIGN, "class_name": function, "registered_name": None, "config": {"name": name}}
    return {**described, "name": name, "inbound_nodes": nodes}
