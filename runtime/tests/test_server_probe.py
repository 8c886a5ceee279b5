"""Which models' samples may run together."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from onnx import helper
from runtime_kit.probing import probed
from runtime_kit.serving_models import build, conv, looped, lstm, mlp, pair, simple

import seqc_runtime
from seqc_runtime import RuntimeExecutionError, providers
from seqc_runtime.server.config import ModelConfig
from seqc_runtime.server.loading import Loader
from seqc_runtime.server.made_up import MadeUp
from seqc_runtime.server.probe import Wishes, probe
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.stats import Stats
from seqc_runtime.server.triton import model_config

N = ["batch", 4]
GATHERED = build(
    [helper.make_node("Gather", ["x", "first"], ["r"], axis=0), helper.make_node("Add", ["x", "r"], ["y"])],
    {"x": N},
    {"y": N},
    {"first": np.array([0], np.int64)},
)
NORMALISED = build(
    [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "little"], ["part"]),
        helper.make_node("Sub", ["x", "part"], ["y"]),
    ],
    {"x": N},
    {"y": N},
    {"axes": np.array([0], np.int64), "little": np.array([1e-7], np.float32)},
)
TRAINING = build(
    [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "m2", "v2"], training_mode=1)],
    {"x": N},
    {"y": N},
    {name: np.ones(4, np.float32) for name in "sbmv"},
)
TOPPED = build(
    [helper.make_node("TopK", ["x", "k"], ["y", "i"], axis=0)], {"x": N}, {"y": N}, {"k": np.array([1], np.int64)}
)
SORTED = build(
    [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1),
        helper.make_node("TopK", ["x", "s"], ["y", "i"], axis=0),
    ],
    {"x": N},
    {"y": N},
    {},
)
SUMMED = build([helper.make_node("CumSum", ["x", "axis"], ["y"])], {"x": N}, {"y": N}, {"axis": np.array(0, np.int64)})
EMBEDDED = build(
    [helper.make_node("Gather", ["table", "x"], ["y"])],
    {"x": ["batch", 3]},
    {"y": ["batch", 3, 2]},
    {"table": np.arange(20, dtype=np.float32).reshape(10, 2)},
    onnx.TensorProto.INT64,
)


@pytest.mark.parametrize("build", [conv, lstm, pair, lambda: mlp(8, 32, 3), lambda: EMBEDDED])
def test_samples_that_stand_for_themselves_run_together(build: Callable[[], bytes]) -> None:
    batching, notes = probed(build())
    assert (batching.max_rows, notes) == (64, "")
    assert batching.fixed > 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (simple("Softmax", N, axis=0), "changes with its neighbours"),
        (simple("ReduceMean", N, ["one", 4], axes=[0], keepdims=1), "has no batch axis"),
        (GATHERED, "changes with its neighbours"),
        (NORMALISED, "holds"),
        (TRAINING, "one by one"),
        (TOPPED, "give an output of shape"),
        (SORTED, "changes with"),
        (SUMMED, "changes with its neighbours"),
        (simple("RandomNormalLike", N), "runs again"),
        (simple("Relu", [2, 4]), "has no batch axis"),
        (simple("Transpose", ["batch", "batch"], ["batch", "batch"], perm=[1, 0]), "another axis"),
        (simple("Flatten", N, [4, "batch"], axis=1), "has no batch axis"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_samples_that_look_at_each_other_do_not(data: bytes, why: str) -> None:
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert why in notes
    assert "one by one" in notes or "made-up" in notes


def test_a_model_that_needs_inputs_of_its_own_is_still_served() -> None:
    data = build(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        {"x": ["batch", "time"]},
        {"y": ["batch", 7, 13]},
        {"shape": np.array([-1, 7, 13], np.int64)},
    )
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert "made-up inputs" in notes


def test_exact_allows_only_sizes_whose_answers_are_equal_bit_for_bit() -> None:
    for data, width in ((mlp(8, 32, 16, 3), 8), (mlp(64, 32, 5), 64)):
        batching, _ = probed(data, exact=True, max_rows=16)
        session = seqc_runtime.load(data, device="cpu", threads=1)
        random = np.random.default_rng(9)
        for rows in batching.sizes:
            x = random.standard_normal((rows, width)).astype(np.float32)
            alone = np.concatenate([session.predict(x[i : i + 1]) for i in range(rows)])
            assert alone.tobytes() == session.predict(x).tobytes()
    batching, _ = probed(pair(), exact=True, max_rows=16)
    assert batching.sizes == frozenset(range(1, 17))


@pytest.mark.slow
def test_a_slow_model_does_not_hold_the_start_up() -> None:
    data = looped(30_000_000)
    start = time.monotonic()
    batching, notes = probed(data, seconds=0.3)
    assert time.monotonic() - start < 30
    assert batching.max_rows == 1
    assert "more than 0.3 s" in notes


@pytest.mark.slow
def test_batches_that_take_too_long_are_not_made() -> None:
    batching, notes = probed(looped(3000), seconds=5.0, max_rows=4096)
    assert 1 < batching.max_rows < 4096
    assert "more were not tried" in notes


def test_exact_does_not_trust_what_was_seen_at_one_length_for_others() -> None:
    batching, notes = probed(lstm(), exact=True)
    assert batching.max_rows == 1
    assert "other lengths" in notes


def test_samples_that_depend_on_each_other_by_less_than_rounding_are_found_by_odd_neighbours() -> None:
    batching, _ = probed(NORMALISED)
    assert batching.max_rows == 1


def beyond(first: int) -> bytes:
    """x + the sum of the samples from number `first` on."""
    return build(
        [
            helper.make_node("Slice", ["x", "first", "last", "axis"], ["rest"]),
            helper.make_node("ReduceSum", ["rest", "axis"], ["sum"], keepdims=1),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        {"x": N},
        {"y": N},
        {
            "first": np.array([first], np.int64),
            "last": np.array([2**31], np.int64),
            "axis": np.array([0], np.int64),
        },
    )


def within(low: float, high: float) -> bytes:
    """x + how many numbers of all samples lie between two."""
    return build(
        [
            helper.make_node("Greater", ["x", "low"], ["above"]),
            helper.make_node("Less", ["x", "high"], ["below"]),
            helper.make_node("And", ["above", "below"], ["inside"]),
            helper.make_node("Cast", ["inside"], ["ones"], to=1),
            helper.make_node("ReduceSum", ["ones", "axes"], ["count"], keepdims=1),
            helper.make_node("Add", ["x", "count"], ["y"]),
        ],
        {"x": N},
        {"y": N},
        {
            "low": np.array([low], np.float32),
            "high": np.array([high], np.float32),
            "axes": np.array([0, 1], np.int64),
        },
    )


NEVER_FINITE = build(
    [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Neg", ["square"], ["negative"]),
        helper.make_node("Log", ["negative"], ["y"]),
    ],
    {"x": N},
    {"y": N},
    {},
)
ALL_THE_SAME = build([helper.make_node("Mul", ["x", "zero"], ["y"])], {"x": N}, {"y": N}, {"zero": np.zeros(1, "f")})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(beyond(12), "among 64 samples", id="beyond the twelfth sample"),
        pytest.param(beyond(20), "among 64 samples", id="beyond the twentieth sample"),
        pytest.param(within(50, 90), "an answer changes", id="numbers from 50 to 90"),
        pytest.param(within(500, 5000), "an answer changes", id="numbers from 500 to 5000"),
        pytest.param(NEVER_FINITE, "never a finite number", id="no answer is a number"),
        pytest.param(ALL_THE_SAME, "the same answer", id="all answers are the same"),
    ],
)
def test_what_a_few_plain_samples_would_not_show_is_found(data: bytes, why: str) -> None:
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert why in notes


INT64 = onnx.TensorProto.INT64


def counted(low: int, high: int, mine: int | None = None) -> bytes:
    """The sine of x + how many numbers of all samples lie between two.

    They are added for rows that start with more than `mine`.
    """
    nodes = [
        helper.make_node("Greater", ["x", "low"], ["above"]),
        helper.make_node("Less", ["x", "high"], ["below"]),
        helper.make_node("And", ["above", "below"], ["inside"]),
        helper.make_node("Cast", ["inside"], ["ones"], to=1),
        helper.make_node("ReduceSum", ["ones", "axes"], ["count"], keepdims=1),
        helper.make_node("Gather", ["x", "zero"], ["first"], axis=1),
        helper.make_node("Greater", ["first", "mine"], ["large"]),
        helper.make_node("Cast", ["large"], ["matters"], to=1),
        helper.make_node("Mul", ["count", "matters"], ["more"]),
        helper.make_node("Cast", ["x"], ["f"], to=1),
        helper.make_node("Sin", ["f"], ["signs"]),
        helper.make_node("Add", ["signs", "more"], ["y"]),
    ]
    numbers = {"low": low, "high": high, "mine": -(1 << 62) if mine is None else mine}
    constants = {name: np.array([number]) for name, number in numbers.items()}
    constants |= {"axes": np.array([0, 1]), "zero": np.array([0])}
    return build(nodes, {"x": ["batch", 3]}, {"y": ["batch", 3]}, constants, INT64)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(counted(500, 900), id="from 500 to 900"),
        pytest.param(counted(1_000_000, 1_000_000_000), id="millions"),
        pytest.param(counted(-1_000_000, -1000), id="below -1000"),
        pytest.param(counted(500, 10_000_000, 500), id="where both are large"),
    ],
)
def test_what_only_integers_of_some_size_would_show_is_found(data: bytes) -> None:
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert "an answer changes" in notes


def tables(*rows: int) -> bytes:
    """The sum of what integers choose from tables of so many rows."""
    names = [f"i{number}" for number in range(len(rows))]
    nodes = [helper.make_node("Gather", [f"t{name}", name], [f"r{name}"]) for name in names]
    nodes.append(helper.make_node("Sum", [f"r{name}" for name in names], ["y"]))
    random = np.random.default_rng(0)
    constants = {f"t{n}": random.standard_normal((size, 2)).astype("f") for n, size in zip(names, rows, strict=True)}
    return build(nodes, {name: ["batch"] for name in names}, {"y": ["batch", 2]}, constants, INT64)


def test_every_input_of_integers_has_limits_of_its_own() -> None:
    model = seqc_runtime.load(tables(1, 10, 1000, 50_000), device="cpu", threads=1)
    made = MadeUp(model.inputs, model.operators, np.random.default_rng(0))
    assert made.find(model.run) is None
    feeds = made.widened(made.samples(4000))
    assert len(model.run(feeds)[0]) == 4000
    assert [int(np.abs(feed).max()) // 10 for feed in feeds.values()] == [0, 0, 99, 4999]
    assert probed(tables(1, 10, 1000))[0].max_rows == 64


def test_integers_that_are_too_large_only_together_are_not_made() -> None:
    def run(feeds: dict[str, np.ndarray]) -> None:
        if any((np.abs(one) + np.abs(other) > 60).any() for one, other in [feeds.values()]):
            raise RuntimeExecutionError("too large together")

    model = seqc_runtime.load(tables(2, 2), device="cpu", threads=1)
    made = MadeUp(model.inputs, model.operators, np.random.default_rng(0))
    assert made.find(run) is None
    for _ in range(100):
        run(made.widened(made.samples(64)))


def test_integers_that_say_how_much_is_made_stay_small() -> None:
    seen: list[int] = []
    model = seqc_runtime.load(tables(2, 2), device="cpu", threads=1)
    made = MadeUp(model.inputs, frozenset({"Tile"}), np.random.default_rng(0))
    assert made.find(lambda feeds: seen.extend(int(feed.max()) for feed in feeds.values())) is None
    seen += [int(feed.max()) for feed in made.widened(made.samples(64)).values()]
    assert max(seen) < 100


def test_how_far_joined_answers_may_be_from_those_given_alone_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "m.onnx").write_bytes(mlp(8, 32, 3))
    for exact, tolerance in ((False, "0.0002"), (True, "0")):
        loader = Loader(Stats(), "cpu", 1, exact=exact, max_batch=8)
        with caplog.at_level("INFO"):
            servable = loader("m", 1, tmp_path / "m.onnx", ModelConfig(max_delay=0.003))
        if servable.max_batch == 1:
            continue
        said = model_config(servable, 100)
        assert said["parameters"]["batching_tolerance"] == {"string_value": tolerance}
        assert said["parameters"]["batching_rows"] == {"string_value": str(servable.max_batch)}
        assert said["dynamic_batching"] == {"max_queue_delay_microseconds": 3000}
    assert "run together; answers are those given alone within 0.0002 of the largest number" in caplog.text
    random = np.random.default_rng(0)
    x = random.standard_normal((8, 8)).astype("f")
    alone = np.concatenate([servable.model.predict(x[i : i + 1]) for i in range(8)])
    assert np.abs(servable.model.predict(x) - alone).max() <= 2e-4 * np.abs(alone).max()


@pytest.mark.slow
def test_a_probe_that_is_not_done_in_time_leaves_requests_one_by_one() -> None:
    start = time.monotonic()
    batching, notes = probed(looped(300_000), seconds=0.4)
    assert time.monotonic() - start < 30
    assert batching.max_rows == 1
    assert "not done after 0.4 s" in notes or "more than 0.4 s" in notes


class Device:
    """Another device than the CPU, as far as the probe can tell: its sums end otherwise, and its memory is small."""

    def __init__(self, noise: float, rows: int) -> None:
        self.noise, self.rows = noise, rows
        self.random = np.random.default_rng(0)

    def session(self, real: Any) -> Any:
        def session(target: Any, options: Any, providers: Any, enable_fallback: Any) -> SimpleNamespace:
            opened = real.InferenceSession(target, options, providers=["CPUExecutionProvider"])

            def run(names: Any, feeds: Any, options: Any = None) -> list[np.ndarray]:
                results = opened.run(names, feeds, options)
                if len(results[0]) > self.rows:
                    raise RuntimeError("Failed to allocate memory for requested buffer")
                scale = [1 + self.noise * self.random.uniform(-1, 1, result.shape) for result in results]
                return [(one * other).astype(one.dtype) for one, other in zip(results, scale, strict=True)]

            return SimpleNamespace(
                run=run,
                get_inputs=opened.get_inputs,
                get_outputs=opened.get_outputs,
                get_modelmeta=opened.get_modelmeta,
                get_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
                get_provider_graph_assignment_info=list,
                disable_fallback=opened.disable_fallback,
            )

        return session


@pytest.mark.parametrize(
    ("noise", "rows", "most", "why"),
    [
        (0.0, 64, 64, ""),
        (1e-5, 64, 64, ""),
        (1e-2, 64, 1, "the same sample gives other answers"),
        (0.0, 16, 16, "at most 16 rows run together: 32 fail"),
        (0.0, 3, 1, "Failed to allocate"),
    ],
)
def test_a_device_whose_sums_end_otherwise_or_whose_memory_is_small(
    monkeypatch: pytest.MonkeyPatch, noise: float, rows: int, most: int, why: str
) -> None:
    real = providers.import_onnxruntime()
    device = SimpleNamespace(**{name: getattr(real, name) for name in ("SessionOptions", "RunOptions", "__version__")})
    device.__file__ = real.__file__
    device.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    device.InferenceSession = Device(noise, rows).session(real)
    monkeypatch.setattr(providers, "import_onnxruntime", lambda: device)
    monkeypatch.setattr(providers, "_driver_problem", lambda: None)
    model = seqc_runtime.load(mlp(8, 32, 3), device="cuda", threads=1)
    batching, notes = probe(model, Wishes())
    assert batching.max_rows == most
    assert why in " / ".join(notes)
    servable = Servable("m", 1, model, batching=batching)
    assert model_config(servable, 100)["instance_group"][0]["kind"] == "KIND_GPU"
