"""A model as onnxruntime runs it at once: exported in memory, verified, and run in this process.

`Model.predict(backend="onnxruntime")` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seqc.backends.onnxruntime import Session
from seqc.errors import VerificationError
from seqc.export.compiling import compile_for
from seqc.export.preparing import as_in_file, nonfinite_weights, without_unused
from seqc.export.verify import compare
from seqc.export.writing import INSIDE_LIMIT
from seqc.graph.ir import Array, Graph, Value
from seqc.graph.tracing import Variable
from seqc.passes.binding import bind_constants
from seqc.passes.half_precision import forget_halves
from seqc.utils.working import working

# What files have when nobody asks for another.
_OPSET = 18


class VerifiedSession:
    """An inference graph in onnxruntime, which computes what NumPy computes.

    Args:
        graph: its inputs are those of the model, then one per variable. reads: the variables by these inputs.
        own: how many inputs the model has. threads: that one operation may use.

    Raises:
        VerificationError: onnxruntime computes other numbers. NoLoweringError: an op has no ONNX form.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, graph: Graph, reads: Mapping[Value, Variable], own: int, threads: int) -> None:
        # The numbers that the session has, beside those that the variables will have.
        self._weights = [(variable, np.array(variable.array)) for variable in reads.values()]
        arrays = {value: array for value, (_, array) in zip(reads, self._weights, strict=True)}
        bound = forget_halves(without_unused(bind_constants(graph, arrays, borrowed=True), own))
        inputs = [f"x_{i}" if i < own else name for i, name in enumerate(bound.input_names)]
        names = (inputs, [f"y_{i}" for i in range(len(bound.outputs))])
        reference, _ = as_in_file(bound, precision="float32", names=names, channels_first=(False, False))
        with working("Export") as tell:
            emission, _ = compile_for(None, reference, _OPSET, fixed=False)
            content = emission.content
            nonfinite = bool(nonfinite_weights(reference))
            inside = emission if emission.size <= INSIDE_LIMIT else None
            report = compare(reference, content, inside, allow_nonfinite=nonfinite, tell=tell)
        if not report.passed:
            raise VerificationError(
                f"onnxruntime computes other numbers than the model: {report.fault or report.worst}. Predict with "
                "backend='numpy', and report it with the model."
            )
        self._session = Session(content, threads=threads)

    def is_current(self) -> bool:
        """Tells whether the variables have the numbers that the session has."""
        return all(_same(variable.array, array) for variable, array in self._weights)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Returns the outputs for arrays, one per input, in order.

        Raises:
            ExportError: onnxruntime fails on them.
        """
        return list(self._session.run(dict(zip(self._session.input_names, arrays, strict=True))).values())


def _same(a: Array, b: Array) -> bool:
    """Tells whether two arrays hold the same bits: NaN is the same as NaN."""
    x, y = (array.reshape(-1).view(np.uint8) for array in (a, b))
    return np.array_equal(x, y)
