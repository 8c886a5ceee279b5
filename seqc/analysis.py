"""How much arithmetic a model does: floating-point operations per node and per layer, without running anything.

Each operation of the IR says its own (`Op.work`), and `cli/_onnx_flops.py` that of ONNX's operators. The rules, with a
multiplication and the addition after it as two operations:

- Conv: 2 · elements of the result · elements of the kernel per filter, plus one addition per element for a bias.
- ConvTranspose: 2 · elements of the input · elements of the kernel per input channel, plus the bias.
- MatMul and Gemm: 2 · elements of the result · length of the sum, plus one addition per element for Gemm's bias.
- LSTM, GRU and RNN with u units, f features and G = 4, 3 or 1 gates: per time step and direction 2 · G · u · (f + u)
  for the two products, and 17 u, 14 u or 3 u for biases, activations and the mixing of states.
- Scan, which is any other recurrence: what it does at each step, as often as there are steps.
- Pooling: one per element of each window. Global pooling, reductions and ArgMax: one per element of the input.
- Resize, Upsample and Resample: one per element of the result.
- Softmax 5 per element, BatchNormalization 2 (a factor and an offset), the other normalizations 7.
- BatchMoments (mean and variance) and GradientSums, which normalize a batch: 4 per element of the input.
- Gradients: of a convolution's input or kernel and of pooling as much as the operation itself without its bias, of
  LSTM, GRU and RNN twice as much, of Resample and of looking up rows one per element that arrives.
- Everything else that computes element by element, whatever it is: 1 per element of the result.
- Moving, reshaping, casting, sorting and looking up elements: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.ir import Constant, Graph, Input, Item, Sizes, Type, Value
from seqc.ops.steps import Scan

if TYPE_CHECKING:
    from seqc.model import Model


# How operations of a model that are of no layer are called.
BETWEEN = "(operations)"


@dataclass(frozen=True)
class LayerFacts:
    """One layer: `shape` of its result as Keras shows it, `parameters` in its weights, `flops` for one sample.

    `flops` is None where the size of an axis is not known.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    parameters: int
    flops: int | None


def describe_layers(model: Model, sizes: Mapping[str, int] | None = None) -> list[LayerFacts]:
    """Returns the facts of each layer of a built model, and of what it computes between them, if it does, as one more.

    Args:
        sizes: of symbolic axes, by the names that `unknown_sizes` gives; the batch is one sample.

    Raises:
        NotBuiltError: the input shape is not known yet.
    """
    graph, _ = model.graph()
    flops = flops_by_scope(graph, {"batch": 1, **(sizes or {})}, len(model._ports()))
    found = [
        LayerFacts(
            one.name, type(one).__name__, one.output_shape_seen or (), one.count_params(), flops.pop(one.name, 0)
        )
        for one in model.layers
    ]
    if any(between != 0 for between in flops.values()):
        known = [n for n in flops.values() if n is not None]
        found.append(LayerFacts(BETWEEN, "", (), 0, sum(known) if len(known) == len(flops) else None))
    return found


def unknown_sizes(graph: Graph) -> list[str]:
    """Returns the names of the symbolic axes of the inputs, the batch left out."""
    found = {name for x in graph.inputs for d in x.type.shape for name in dims.names(d)}
    return sorted(found - {"batch"})


def flops_by_scope(graph: Graph, sizes: Mapping[str, int], samples: int = 1) -> dict[str, int | None]:
    """Returns the operations of each layer: the first part of the scope of values, "" for those of no layer.

    What does not depend on samples, the first inputs of the graph, is computed once for all of them and counts nothing.

    Args:
        sizes: of symbolic axes by name. samples: how many of the inputs hold samples.
    """
    totals: dict[str, int | None] = {}
    depends = set(graph.inputs[:samples])
    for value in graph.walk():
        if isinstance(value.op, Input) or not any(x in depends for x in value.inputs):
            continue
        depends.add(value)
        layer = value.scope.split("/")[0]
        before, own = totals.get(layer, 0), _flops(value, sizes)
        totals[layer] = None if before is None or own is None else before + own
    return totals


def step_flops(graph: Graph, sizes: Mapping[str, int]) -> int | None:
    """Returns the operations of one run of a whole graph, such as a training step.

    Counted are the forward pass, gradients, optimizer and metrics. What depends on constants alone is left out.

    Args:
        sizes: of symbolic axes by name, the batch among them. Without one of them the result is None.
    """
    total = 0
    varies = set(graph.inputs)
    for value in graph.walk():
        if isinstance(value.op, Input | Constant) or not any(x in varies for x in value.inputs):
            continue
        varies.add(value)
        own = _flops(value, sizes)
        if own is None:
            return None
        total += own
    return total


def _flops(value: Value, sizes: Mapping[str, int]) -> int | None:
    op = value.op
    if isinstance(op, Item) or op.kind != "arithmetic":
        return 0
    try:
        inputs = [_known(x.type, sizes) for x in value.inputs if not isinstance(x.result, tuple)]
        results = value.result if isinstance(value.result, tuple) else (value.result,)
        outputs = [_known(t, sizes) for t in results]
    except ShapeError:
        return None
    if not isinstance(op, Scan):
        return op.work(inputs, outputs)
    each = [_flops(v, sizes) for v in op.body.walk() if v.inputs]
    return None if None in each else outputs[-1][0] * sum(n or 0 for n in each)


def _known(t: Type, sizes: Mapping[str, int]) -> Sizes:
    return tuple(dims.evaluate(d, sizes) for d in t.shape)
