"""Models that are seldom met, what to ask them, and what a bare session of onnxruntime answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models in tests are built with onnx")

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Feeds = dict[str, np.ndarray]
Axes = list[int | str | None] | None

DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
FLOATS = ("float16", "float32", "float64")
# What a word may hold: nothing, lines, text beyond ASCII, a zero byte, quotes, and what looks like JSON.
WORDS = ["", "a\nb\r\n", "Grüße 🙂", "x\0y", 'say "no"\\', "null", "\u2028", "z" * 5000]
ODD_NAME, LONG_NAME = "in put/ß€ 'q' \"", "n" * 3000


@dataclass(frozen=True)
class Odd:
    """A model's file, and inputs that it takes."""

    name: str
    file: bytes
    feeds: list[Feeds]

    def session(self) -> Any:
        """A bare session."""
        return onnxruntime.InferenceSession(self.file, providers=["CPUExecutionProvider"])


def expected(session: Any, feeds: Feeds) -> Feeds:
    """What a bare session answers, by the outputs' names."""
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def same(got: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether two arrays are the same: in type, shape, and bit for bit."""
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return False
    if got.dtype == object:
        return got.ravel().tolist() == wanted.ravel().tolist()
    return np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(wanted).tobytes()


def build(
    nodes: list[Any], inputs: dict[str, tuple[Any, Axes]], outputs: dict[str, tuple[Any, Axes]], **weights: np.ndarray
) -> bytes:
    """A model's file. inputs, outputs: dtype and shape by name."""

    def declared(tensors: dict[str, tuple[Any, Axes]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(
                name, TensorProto.STRING if dtype is object else helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), axes
            )
            for name, (dtype, axes) in tensors.items()
        ]

    kept = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "odd", declared(inputs), declared(outputs), kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def node(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    """An operator."""
    return helper.make_node(op, inputs, outputs, **attributes)


def same_out(dtype: Any, axes: Axes) -> bytes:
    """x, as it came."""
    return build([node("Identity", ["x"], ["y"])], {"x": (dtype, axes)}, {"y": (dtype, axes)})


def words(*shape: int) -> np.ndarray:
    """Texts, the odd ones first."""
    array = np.empty(int(np.prod(shape)), object)
    array[:] = [WORDS[i % len(WORDS)] for i in range(array.size)]
    return array.reshape(shape)


def extremes(dtype: str, finite: bool = False) -> np.ndarray:
    """The numbers of a type where things go wrong."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return np.array([True, False, True])
    if kind.kind in "iu":
        whole = np.iinfo(kind)
        return np.array([whole.min, whole.max, whole.max - 1, whole.min + 1, 0, 1], kind)
    limits = np.finfo(kind)
    tiny, largest = limits.smallest_subnormal, limits.max
    values = [0.0, -0.0, tiny, -tiny, limits.smallest_normal, largest, -largest, 0.1, 1 / 3, limits.eps]
    return np.array(values if finite else [*values, np.nan, np.inf, -np.inf], kind)


def numbers() -> Iterator[Odd]:
    """One model for each type of numbers."""
    for dtype in [*FLOATS, "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]:
        feeds: list[Feeds] = [{"x": extremes(dtype)[:, None]}, {"x": np.empty((0, 1), dtype)}]
        if dtype in FLOATS:
            feeds.append({"x": extremes(dtype, finite=True)[:, None]})
        yield Odd(f"only-{dtype}", same_out(dtype, ["batch", 1]), feeds)


def shapes() -> Iterator[Odd]:
    """Models with axes of every kind."""
    f32 = np.float32
    random = np.random.default_rng(0)
    two = np.array([[1.5, -0.0]], f32)
    nothing = build([node("Identity", ["c"], ["y"])], {}, {"y": (f32, [1, 2])}, c=two)
    yield Odd("no-inputs", nothing, [{}])
    yield Odd("scalar", same_out(f32, []), [{"x": np.array(0.1, f32)}, {"x": np.array(np.nan, f32)}])
    total = build([node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": (f32, ["batch", 2])}, {"y": (f32, [])})
    yield Odd("to-scalar", total, [{"x": random.random((3, 2)).astype(f32)}])
    open_rank = build([node("Neg", ["x"], ["y"])], {"x": (f32, None)}, {"y": (f32, None)})
    yield Odd("any-rank", open_rank, [{"x": np.ones(shape, f32)} for shape in ((), (2,), (1, 2, 3), (0,))])
    yield Odd("no-width", same_out(f32, ["batch", 0]), [{"x": np.empty((n, 0), f32)} for n in (0, 3)])
    free = build([node("Neg", ["x"], ["y"])], {"x": (f32, ["a", "b", "c"])}, {"y": (f32, ["a", "b", "c"])})
    yield Odd("free", free, [{"x": np.ones(shape, f32)} for shape in ((2, 0, 3), (0, 2, 3), (1, 2, 1), (2, 1, 0))])
    unnamed = build([node("Add", ["a", "b"], ["y"])], {k: (f32, [None, 2]) for k in "ab"}, {"y": (f32, [None, 2])})
    rows = {"a": random.random((3, 2)).astype(f32), "b": random.random((1, 2)).astype(f32)}
    yield Odd("unnamed", unnamed, [rows, {"a": rows["a"], "b": rows["a"]}])
    found = build([node("NonZero", ["x"], ["y"])], {"x": (f32, ["batch", 2])}, {"y": (np.int64, [2, "found"])})
    some = np.array([[0, 1], [2, 0], [3, 4]], f32)
    yield Odd("non-zero", found, [{"x": some}, {"x": np.zeros((2, 2), f32)}, {"x": some[:0]}])
    kept = build(
        [
            node("ReduceMax", ["x", "axis"], ["m"], keepdims=0),
            node("Greater", ["m", "zero"], ["keep"]),
            node("Compress", ["x", "keep"], ["y"], axis=0),
        ],
        {"x": (f32, ["batch", 2])},
        {"y": (f32, ["kept", 2])},
        axis=np.array([1], np.int64),
        zero=np.array(0, f32),
    )
    signed = np.array([[-1, -2], [1, -3], [-1, 5], [-1, -1]], f32)
    yield Odd("some-rows", kept, [{"x": signed}, {"x": signed[:1]}, {"x": signed[1:3]}])
    shared = build(
        [node("MatMul", ["a", "b"], ["y"]), node("Transpose", ["b"], ["z"], perm=[1, 0])],
        {"a": (f32, ["batch", "inner"]), "b": (f32, ["inner", "outer"])},
        {"y": (f32, ["batch", "outer"]), "z": (f32, ["outer", "inner"])},
    )
    both = {"a": random.random((2, 3)).astype(f32), "b": random.random((3, 4)).astype(f32)}
    empty = {"a": np.empty((2, 0), f32), "b": np.empty((0, 4), f32)}
    yield Odd("shared-axes", shared, [both, empty])
    recurrent = build(
        [node("RNN", ["x", "w", "r"], ["y", "h"], hidden_size=2)],
        {"x": (f32, ["time", "batch", 3])},
        {"y": (f32, ["time", 1, "batch", 2]), "h": (f32, [1, "batch", 2])},
        w=random.random((1, 2, 3)).astype(f32),
        r=random.random((1, 2, 2)).astype(f32),
    )
    yield Odd("recurrent", recurrent, [{"x": random.random((t, b, 3)).astype(f32)} for t, b in ((4, 2), (1, 1))])


def texts() -> Iterator[Odd]:
    """Models of texts."""
    yield Odd("texts", same_out(object, ["batch"]), [{"x": words(9)}, {"x": words(1)}, {"x": words(0)}])
    yield Odd("table-of-texts", same_out(object, ["batch", 2]), [{"x": words(4, 2)}, {"x": words(0, 2)}])
    yield Odd("one-text", same_out(object, []), [{"x": words(1).reshape(())}])


def several() -> Iterator[Odd]:
    """Models of several inputs and outputs of several types, and of odd names."""
    f32 = np.float32
    mixed = build(
        [
            node("Add", ["number", "scale"], ["sum"]),
            node("Identity", ["word"], ["said"]),
            node("Not", ["flag"], ["other"]),
            node("Cast", ["big"], ["half"], to=TensorProto.FLOAT16),
            node("Identity", ["table"], ["same"]),
        ],
        {
            "number": (f32, ["batch", 2]),
            "scale": (f32, []),
            "word": (object, ["words"]),
            "flag": (bool, ["batch"]),
            "big": (np.uint64, [2]),
            "table": (np.int8, ["batch", 3]),
        },
        {
            "sum": (f32, ["batch", 2]),
            "said": (object, ["words"]),
            "other": (bool, ["batch"]),
            "half": (np.float16, [2]),
            "same": (np.int8, ["batch", 3]),
        },
    )
    yield Odd(
        "mixed",
        mixed,
        [
            {
                "number": np.arange(2 * n, dtype=f32).reshape(n, 2) / 3,
                "scale": np.array(0.7, f32),
                "word": words(5),
                "flag": np.arange(n) % 2 == 0,
                "big": np.array([2**16, 3], np.uint64),
                "table": np.arange(3 * n, dtype=np.int8).reshape(n, 3) - 5,
            }
            for n in (2, 0, 1)
        ],
    )
    named = build(
        [node("Sub", [ODD_NAME, LONG_NAME], ["out/put ß"])],
        {ODD_NAME: (f32, ["batch", 2]), LONG_NAME: (f32, ["batch", 2])},
        {"out/put ß": (f32, ["batch", 2])},
    )
    yield Odd("odd-names", named, [{ODD_NAME: np.ones((2, 2), f32), LONG_NAME: np.full((2, 2), 0.3, f32)}])
    for name, number in (("Case", 1.0), ("case", 2.0)):
        added = build(
            [node("Add", ["x", "n"], ["y"])],
            {"x": (f32, ["batch", 1])},
            {"y": (f32, ["batch", 1])},
            n=np.array([number], f32),
        )
        yield Odd(name, added, [{"x": np.array([[0.5]], f32)}])
    graph = helper.make_graph(
        [node("Add", ["x", "n"], ["y"])],
        "odd",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "n")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.array([[1.0, 2.0]], f32), "n")],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    yield Odd("with-default", file, [{"x": np.ones((2, 2), f32)}])


def odd_models() -> list[Odd]:
    """All of them."""
    return [*numbers(), *shapes(), *texts(), *several()]


def write(folder: Path, odds: list[Odd]) -> Path:
    """The folder, with each model as a file."""
    folder.mkdir(exist_ok=True)
    for odd in odds:
        (folder / f"{odd.name}.onnx").write_bytes(odd.file)
    return folder
