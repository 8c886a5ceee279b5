"""What a file takes and gives beside what its model does: heads, types and sizes of inputs, outputs of layers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from kit.cli_models import seqc, seqc_json
from seqc import Input, Model, Sequential, layers, ops, utils
from seqc.errors import ArgumentTypeError, ConfigError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def classifier() -> Model:
    utils.set_random_seed(3)
    image = Input((8, 8, 3), name="image")
    h = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    return Model(image, layers.Dense(5, activation="softmax", name="scores")(h))


def run(path: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result: list[np.ndarray] = session.run(
        None, {x.name: given for x, given in zip(session.get_inputs(), inputs, strict=True)}
    )
    return result


def as_head(scores: np.ndarray, head: str | None) -> list[np.ndarray]:
    order = np.argsort(-scores, -1, "stable")[..., :2]
    return {
        None: [scores],
        "argmax": [scores.argmax(-1)],
        "top_k:2": [np.take_along_axis(scores, order, -1), order],
        "threshold:0.2": [scores > 0.2],
        "logits": [np.log(scores)],
    }[head]


@pytest.mark.parametrize("head", [None, "argmax", "top_k:2", "threshold:0.2", "logits"])
@pytest.mark.parametrize(("first", "batch"), [(False, None), (True, 6)])
def test_ends_meet_each_other(classifier: Model, tmp_path: Path, head: str | None, first: bool, batch: Any) -> None:
    options: dict[str, Any] = {} if batch is None else {"sizes": {"batch": batch}}
    receipt = classifier.export(
        tmp_path / "m.onnx",
        head=head,
        input_dtype="uint8",
        rescale=([1 / 50, 1 / 60, 1 / 70], -0.5),
        layer_outputs=["conv", "pool"],
        channels_first_input=first,
        channels_first_output=["conv"] if first else False,
        **options,
    )
    assert (receipt.inputs[0].dtype, receipt.inputs[0].shape[0]) == ("uint8", batch or "batch")
    *given, conv, pool = run(tmp_path / "m.onnx", np.moveaxis(IMAGES, -1, 1) if first else IMAGES)
    x = (IMAGES / np.array([50, 60, 70]) - 0.5).astype("f")
    inner = Model(classifier.inputs, [classifier.get_layer(name).output for name in ("conv", "pool", "scores")])
    wanted_conv, wanted_pool, scores = inner.predict(x, verbose=0)
    np.testing.assert_allclose(np.moveaxis(conv, 1, -1) if first else conv, wanted_conv, atol=2e-5)
    np.testing.assert_allclose(pool, wanted_pool, atol=1e-5)
    wanted = as_head(scores, head)
    assert len(given) == len(wanted)
    for got, want in zip(given, wanted, strict=True):
        assert got.dtype == (want.dtype if head != "logits" else np.float32)
        if head == "logits":
            got, want = got - got.max(-1, keepdims=True), want - want.max(-1, keepdims=True)
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    "options",
    [{"input_dtype": "uint8"}, {"rescale": 255.0}, {"input_dtype": "uint8", "precision": "float16"}],
    ids=["uint8", "rescale", "float16"],
)
def test_classes_are_in_the_order_of_their_logits_where_probabilities_are_equal(
    activation: str, options: dict[str, Any], tmp_path: Path
) -> None:
    image = Input((8, 6, 3), name="image")
    model = Model(image, layers.Dense(4, activation=activation, name="y")(layers.GlobalAveragePooling2D()(image)))
    kernel = np.array([[4, 2, -3, 5], [-2, 3, 4, 6], [3, 1, 4, -7]], "f")
    model.set_weights([kernel, np.array([9, 8, 7, 6], "f")])
    numbers = np.random.default_rng(0).integers(0, 256, (6, 8, 6, 3), np.uint8)
    x = numbers if "input_dtype" in options else (numbers / 255).astype("f")
    logits = numbers.mean((1, 2)) @ kernel.astype("d") + [9, 8, 7, 6]
    order = np.argsort(-logits, -1, "stable")
    scores = model.predict(numbers.astype("f"), verbose=0)
    assert np.any(np.argsort(-scores, -1, "stable") != order)
    for head in ("argmax", "top_k:3"):
        model.export(tmp_path / "m.onnx", head=head, **options)
        *given, classes = run(tmp_path / "m.onnx", x)
        np.testing.assert_array_equal(classes, order[:, 0] if head == "argmax" else order[:, :3])
        for probabilities in given:
            np.testing.assert_allclose(probabilities, np.take_along_axis(scores, order[:, :3], -1), atol=1e-3)


@pytest.fixture(scope="module")
def segments() -> Model:
    utils.set_random_seed(3)
    image = Input((8, 6, 3), name="image")
    h = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(image)
    return Model(image, layers.Conv2D(4, 1, activation="softmax", name="scores")(h))


@pytest.mark.parametrize("head", [None, "argmax", "top_k:2", "threshold:0.2", "logits"])
@pytest.mark.parametrize("named", [False, True])
def test_channels_come_first_where_a_head_leaves_some(
    segments: Model, tmp_path: Path, head: str | None, named: bool
) -> None:
    names = ["scores_scores", "scores_classes"] if head == "top_k:2" else [] if head == "argmax" else ["scores"]
    first: Any = ["conv", *names] if named else True
    segments.export(tmp_path / "m.onnx", head=head, layer_outputs=["conv"], channels_first_output=first)
    x = (IMAGES[:, :, :6] / 255).astype("f")
    *given, conv = run(tmp_path / "m.onnx", x)
    assert conv.shape == (6, 4, 8, 6)
    for got, want in zip(given, as_head(segments.predict(x, verbose=0), head), strict=True):
        if head == "logits":
            got, want = got - got.max(1, keepdims=True), want - want.max(-1, keepdims=True)
        # A map of classes has no channels: it is as high and as wide as the image.
        np.testing.assert_allclose(got, want if head == "argmax" else np.moveaxis(want, -1, 1), atol=1e-5)
    said = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}["seqc.output_layout"]
    mixed = '{"scores": "channels_last", "conv": "channels_first"}'
    assert said == (mixed if head == "argmax" else "channels_first")
    segments.save(tmp_path / "m.keras")
    seqc("verify", tmp_path / "m.onnx", "--against", tmp_path / "m.keras")


def test_channels_of_a_map_of_classes_are_refused(segments: Model, tmp_path: Path) -> None:
    message = r"names 'scores'; .* 'scores' int64\[batch, 8, 6\]; .* unless they are classes, as argmax gives"
    with pytest.raises(ConfigError, match=message):
        segments.export(tmp_path / "m.onnx", head="argmax", channels_first_output=["scores"])


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_a_map_of_classes_that_a_model_gives_itself_stays_as_it_is(
    segments: Model, tmp_path: Path, dtype: str | None
) -> None:
    classes = ops.argmax(segments.outputs[0], -1)
    model = Model(segments.inputs, classes if dtype is None else ops.cast(classes, dtype))
    receipt = model.export(tmp_path / "m.onnx", channels_first_output=True)
    assert receipt.outputs[0].shape == ("batch", 8, 6)


@pytest.mark.parametrize(("head", "activation"), [("softmax", None), ("sigmoid", None)])
def test_a_head_makes_probabilities_of_logits(tmp_path: Path, head: str, activation: Any) -> None:
    model = Sequential([Input((3,)), layers.Dense(4, activation=activation)])
    model.export(tmp_path / "m.onnx", head=head)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("f")
    logits = model.predict(x, verbose=0).astype("d")
    exps = np.exp(logits)
    wanted = exps / exps.sum(-1, keepdims=True) if head == "softmax" else exps / (1 + exps)
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x)[0], wanted, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_head_sees_the_softmax_of_half_precision(tmp_path: Path, policy: str) -> None:
    model = Sequential([Input((3,)), layers.Dense(4, "softmax", dtype=policy)])
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("f")
    with pytest.raises(ConfigError, match="ends in Softmax already"):
        model.export(tmp_path / "m.onnx", head="softmax")
    model.export(tmp_path / "m.onnx", head="logits")
    (logits,) = run(tmp_path / "m.onnx", x)
    exps, probabilities = np.exp(logits.astype("d")), model.predict(x, verbose=0)
    assert logits.dtype == (np.float32 if policy == "mixed_bfloat16" else np.float16)
    np.testing.assert_allclose(exps / exps.sum(-1, keepdims=True), probabilities.astype("d"), atol=0.01)
    model.export(tmp_path / "m.onnx", head="argmax")
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", x)[0], logits.argmax(-1))


@pytest.mark.parametrize(
    ("end", "name"),
    [
        (lambda y: ops.softmax(y, 1), "Softmax"),
        (lambda y: ops.log_softmax(y, 1), "LogSoftmax"),
        (lambda y: ops.softmax(y, (1, 2)), "Softmax"),
        (lambda y: ops.reshape(ops.sigmoid(y), (-1, 12)), "Sigmoid"),
    ],
)
def test_probabilities_along_any_axis_get_no_other_head(tmp_path: Path, end: Any, name: str) -> None:
    x = Input((3, 4))
    model = Model(x, end(x))
    for head in ("softmax", "sigmoid"):
        with pytest.raises(ConfigError, match=f"ends in {name} already"):
            model.export(tmp_path / "m.onnx", head=head)
    given = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("f")
    model.export(tmp_path / "m.onnx", head="argmax")
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", given)[0], model.predict(given, verbose=0).argmax(-1))


def test_logits_are_there_along_any_axis(tmp_path: Path) -> None:
    x = Input((3, 4))
    Model(x, ops.softmax(x * 2.0, 1)).export(tmp_path / "m.onnx", head="logits")
    given = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("f")
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", given)[0], given * 2)


@pytest.mark.parametrize(
    ("rescale", "channels", "wanted"),
    [
        ((0.5, 0.25), 2, [0.75, 0.75]),
        (([0.5, 0.25], 0), 2, [0.5, 0.25]),
        (np.array([0.5, 0.25]), 2, [0.5, 0.25]),
        ([[0.5, 0.25], 1], 2, [1.5, 1.25]),
        ([0.5, 0.25], 3, [0.75, 0.75, 0.75]),
        ([0.5, 0.25, 0.125], 3, [0.5, 0.25, 0.125]),
    ],
)
def test_two_numbers_are_a_factor_and_an_offset(tmp_path: Path, rescale: Any, channels: int, wanted: Any) -> None:
    x = Input((channels,))
    Model(x, x * 1.0).export(tmp_path / "m.onnx", rescale=rescale)
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", np.ones((1, channels), "f"))[0], [np.float32(wanted)])


def test_two_numbers_in_a_list_may_be_those_of_two_channels(tmp_path: Path) -> None:
    x = Input((2,))
    with pytest.raises(ConfigError, match=r"Write \(0.5, 0.25\) for a factor .* or \(\[0.5, 0.25\], 0\)"):
        Model(x, x * 1.0).export(tmp_path / "m.onnx", rescale=[0.5, 0.25])


def test_outputs_and_inputs_have_ends_of_their_own(tmp_path: Path) -> None:
    a, b = Input((4,), name="a"), Input((4,), name="b", dtype="int32")
    h = layers.Concatenate()([a, layers.Rescaling(0.5)(b)])
    model = Model([a, b], {"kind": layers.Dense(3, name="kind")(h), "yes": layers.Dense(1, "sigmoid", name="yes")(h)})
    model.export(
        tmp_path / "m.onnx",
        head={"kind": "argmax", "yes": "threshold:0.5"},
        input_dtype={"b": "int64"},
        rescale={"a": 2},
        output_name={"kind": "class"},
    )
    x = [np.random.default_rng(0).normal(size=(9, 4)).astype("f"), np.arange(36).reshape(9, 4)]
    wanted = model.predict([2 * x[0], x[1].astype("i")], verbose=0)
    kind, yes = run(tmp_path / "m.onnx", *x)
    np.testing.assert_array_equal(kind, wanted["kind"].argmax(-1))
    np.testing.assert_array_equal(yes, wanted["yes"] > 0.5)
    assert [y.name for y in onnx.load(tmp_path / "m.onnx").graph.output] == ["class", "yes"]


def test_every_combination_of_sizes_is_a_file(tmp_path: Path) -> None:
    model = Sequential([Input((None, 3)), layers.LSTM(4, return_sequences=True), layers.Dense(2)])
    receipts = model.export(tmp_path / "m.onnx", sizes={"batch": [1, 4], "time": [2, 5]}, axis_names={})
    found = {Path(receipt.path).name: receipt.inputs[0].shape for receipt in receipts}
    pairs = list(itertools.product((1, 4), (2, 5)))
    assert found == {f"m_batch{n}_time{t}.onnx": (n, t, 3) for n, t in pairs}
    for n, t in pairs:
        x = np.random.default_rng(0).normal(size=(n, t, 3)).astype("f")
        got = run(tmp_path / f"m_batch{n}_time{t}.onnx", x)[0]
        np.testing.assert_allclose(got, model.predict(x, verbose=0), atol=1e-6)


def test_axes_get_other_names_wherever_they_come_from(tmp_path: Path) -> None:
    model = Sequential([Input((None, 3)), layers.Conv1D(4, 3, padding="valid"), layers.Activation("relu")])
    receipt = model.export(tmp_path / "m.onnx", axis_names={"time": "steps", "batch": "n"})
    assert receipt.inputs[0].shape == ("n", "steps", 3)
    assert receipt.outputs[0].shape == ("n", "steps - 2", 4)
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("f")
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x)[0], model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"head": "softmax"}, ConfigError, "ends in Softmax already"),
        ({"head": "top_k:9"}, ConfigError, "has 5 on its last axis"),
        ({"head": "top_k:0"}, ConfigError, "top_k:K (K at least 1)"),
        ({"head": "argmax:3"}, ConfigError, "A head is softmax"),
        ({"head": 3}, ConfigError, "must say which of|A head is"),
        ({"head": {"nobody": "argmax"}}, ConfigError, "no output 'nobody'; it has ['scores']"),
        ({"layer_outputs": ["nobody"]}, ConfigError, "No such layer"),
        ({"layer_outputs": [3]}, ArgumentTypeError, "takes names of layers"),
        ({"input_dtype": "string"}, ConfigError, "input_dtype is one of"),
        ({"input_dtype": {"x": "uint8"}}, ConfigError, "no input 'x'"),
        ({"rescale": "1/255"}, ConfigError, "rescale takes a factor"),
        ({"rescale": float("nan")}, ConfigError, "finite numbers"),
        ({"rescale": ([1.0, 2.0], 0)}, ConfigError, "2 numbers for input 'image'"),
        ({"rescale": 1e39}, ConfigError, "too large for float32: (1e+39, 0.0)"),
        ({"rescale": (1, -1e39)}, ConfigError, "too large for float32: (1.0, -1e+39)"),
        ({"sizes": {"time": 3}}, ConfigError, "the model has batch"),
        ({"sizes": {"batch": 0}}, ConfigError, "positive"),
        ({"sizes": {"batch": True}}, ArgumentTypeError, "a whole number"),
        ({"sizes": 3}, ArgumentTypeError, "by name"),
        ({"axis_names": {"time": "t"}}, ConfigError, "the model has batch"),
        ({"axis_names": {"batch": "1"}}, ConfigError, "called by letters"),
    ],
)
def test_ends_that_make_no_sense_are_refused(
    classifier: Model, tmp_path: Path, options: dict[str, Any], error: type, words: str
) -> None:
    with pytest.raises(error) as told:
        classifier.export(tmp_path / "m.onnx", **options)
    assert any(part in str(told.value) for part in words.split("|"))
    assert list(tmp_path.iterdir()) == []


def test_two_axes_do_not_get_one_name(tmp_path: Path) -> None:
    model = Sequential([Input((None, 3)), layers.LSTM(2)])
    with pytest.raises(ConfigError, match="two axes the name 'batch'"):
        model.export(tmp_path / "m.onnx", axis_names={"time": "batch"})


@pytest.mark.slow
def test_the_command_says_the_same_and_verify_knows_it(
    classifier: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    classifier.save("m.keras")
    options = ("--head", "argmax", "--input-dtype", "uint8", "--rescale", "1/255,-1/2", "--layer-output", "pool")
    told = seqc_json("export", "m.keras", "-o", "m.onnx", *options, "--size", "batch=1,2", "--channels-first-input")
    assert [file["path"] for file in told["files"]] == ["m_batch1.onnx", "m_batch2.onnx"]
    checked = seqc_json("verify", "m_batch2.onnx", "--against", "m.keras")
    assert checked["passed"]
    assert checked["parity"]["sizes"] == [{}]
    seqc("export", "m.keras", "-o", "n.onnx", "--axis-name", "batch=n")
    assert seqc_json("verify", "n.onnx", "--against", "m.keras")["passed"]
    assert "--rescale takes SCALE" in seqc("export", "m.keras", "-o", "x.onnx", "--rescale", "1/0", code=2).stderr
    assert "OLD=NEW" in seqc("export", "m.keras", "-o", "x.onnx", "--axis-name", "n", code=2).stderr


def test_of_several_outputs_the_refusal_says_how_to_name_one(tmp_path: Path) -> None:
    x = Input((3,), name="x")
    model = Model(x, {"kind": layers.Dense(4, name="kind")(x), "speed": layers.Dense(1, name="speed")(x)})
    with pytest.raises(ConfigError, match=r"head=\{'kind': 'argmax'\}, or --head kind=argmax"):
        model.export(tmp_path / "m.onnx", head="argmax")


@pytest.mark.parametrize("head", ["argmax", "softmax", "top_k:1", "top_k:2"])
def test_no_head_of_classes_goes_along_the_batch(tmp_path: Path, head: str) -> None:
    x = Input((6,), name="x")
    scores = layers.Dense(3)(x)
    for y in (ops.squeeze(layers.Dense(1)(x), -1), ops.transpose(scores, (1, 0)), ops.max(scores, -1)):
        with pytest.raises(ConfigError, match="work across the samples"):
            Model(x, y).export(tmp_path / "m.onnx", head=head)
        assert list(tmp_path.iterdir()) == []
    model = Model(x, ops.squeeze(layers.Dense(1)(x), -1))
    model.export(tmp_path / "m.onnx", head="threshold:0.5")
    numbers = np.random.default_rng(0).normal(size=(4, 6)).astype("f")
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", numbers)[0], model.predict(numbers, verbose=0) > 0.5)
