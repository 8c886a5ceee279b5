"""What seqc_runtime adds to a call of onnxruntime: microseconds a call, and as a ratio.

    python benchmarks/runtime_overhead.py

Every way is timed in the same process, in turn, in short rounds; the figures are medians over the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import seqc_runtime

ROUNDS, CALLS = 300, 100
FLOAT = TensorProto.FLOAT


def mlp(*widths: int) -> bytes:
    """Dense layers with relu between them."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for number, (rows, columns) in enumerate(pairwise(widths)):
        for name, shape in ((f"w{number}", (rows, columns)), (f"b{number}", (columns,))):
            weights.append(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
        nodes.append(helper.make_node("Gemm", [last, f"w{number}", f"b{number}"], [f"h{number}"]))
        last = f"h{number}"
        if number < len(widths) - 2:
            nodes.append(helper.make_node("Relu", [last], [f"r{number}"]))
            last = f"r{number}"
    return serialized(nodes, {"x": widths[0]}, {last: widths[-1]}, weights)


def pair() -> bytes:
    """The sum and the difference of two inputs."""
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Sub", ["a", "b"], ["d"])]
    return serialized(nodes, {"a": 8, "b": 8}, {"s": 8, "d": 8}, [])


def serialized(nodes: list[Any], inputs: dict[str, int], outputs: dict[str, int], weights: list[Any]) -> bytes:
    declared = [
        [helper.make_tensor_value_info(name, FLOAT, ["batch", width]) for name, width in infos.items()]
        for infos in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "benchmark", declared[0], declared[1], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def ways(data: bytes) -> dict[str, Callable[[], object]]:
    """Ways to the same answer; the first is onnxruntime's own."""
    model = seqc_runtime.load(data, device="cpu", threads=1)
    session = model._holder.get().session
    names = [info.name for info in model.outputs]
    random = np.random.default_rng(1)
    feeds = {info.name: random.normal(size=(1, int(info.shape[1]))).astype(np.float32) for info in model.inputs}
    x = next(iter(feeds.values())) if len(feeds) == 1 else list(feeds.values())
    wide = {name: array.astype(np.float64) for name, array in feeds.items()}
    binding = session.io_binding()

    def bound() -> object:
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name in names:
            binding.bind_output(name)
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return {
        "session.run": lambda: session.run(names, feeds),
        "session.run_with_iobinding": bound,
        "Model.run": lambda: model.run(feeds),
        "predict": lambda: model.predict(x),
        "predict, a dict": lambda: model.predict(feeds),
        "predict, float64": lambda: model.predict(wide),
    }


def measure(timed: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median microseconds a call."""
    rounds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(ROUNDS):
        for name, call in timed.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            rounds[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: statistics.median(found) for name, found in rounds.items()}


def main() -> None:
    models = {
        "MLP 8-32-16-3": mlp(8, 32, 16, 3),
        "2 inputs, 2 outputs": pair(),
        "MLP 784-512-256-10": mlp(784, 512, 256, 10),
    }
    for title, data in models.items():
        found = measure(ways(data))
        bare = found["session.run"]
        print(f"{title}, one sample, one thread")
        for name, microseconds in found.items():
            print(f"  {name:28} {microseconds:7.2f} us  {microseconds - bare:+6.2f} us  {microseconds / bare:5.2f}x")


if __name__ == "__main__":
    main()
