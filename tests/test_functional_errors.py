"""Bad programs of functional models: each is refused with who needs what, what came, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import (
    ArgumentTypeError,
    ConfigError,
    DataError,
    DTypeError,
    LayerError,
    ShapeError,
    TraceError,
)

A, B = np.zeros((4, 3), "float32"), np.zeros((4, 2), "float32")
P, Q = np.zeros((4, 1), "float32"), np.zeros((4, 2), "float32")
Bad = tuple[Callable[[], Any], type[Exception], str]


def symbol(*shape: int, name: str = "x") -> Any:
    return keras.Input(shape or (3,), name=name)


def two(**settings: Any) -> Any:
    """Two inputs, a and b; two outputs, p and q."""
    a, b = symbol(3, name="a"), symbol(2, name="b")
    h = layers.Concatenate()([a, b])
    model = keras.Model([a, b], [layers.Dense(1, name="p")(h), layers.Dense(2, name="q")(h)], name="two")
    model.compile("sgd", **({"loss": "mse"} | settings))
    return model


def fit(x: Any = (A, B), y: Any = (P, Q), **options: Any) -> Any:
    listed = [list(v) if isinstance(v, tuple) else v for v in (x, y)]
    return two().fit(*listed, verbose=0, **options)


def backwards() -> Any:
    x = symbol()
    y = layers.Dense(1, name="y")(x)
    return keras.Model(y, x)


def around() -> Any:
    """The output leads to the input."""
    shared, x = layers.Dense(3, name="shared"), symbol()
    first = shared(x)
    return keras.Model(shared(first), first)


def disconnected() -> Any:
    a, b = symbol(name="a"), symbol(name="b")
    return keras.Model(a, [layers.Dense(1)(a), layers.Add(name="sum")([a, b])])


def same_input() -> Any:
    x = symbol()
    return keras.Model([x, x], layers.Dense(1)(x))


def same_name() -> Any:
    return keras.Model(x := symbol(), layers.Dense(1, name="d")(layers.Dense(1, name="d")(x)))


MODELS: dict[str, Bad] = {
    "swapped": (backwards, ConfigError, "leads from 'y' to 'x', .* cycles: are inputs and outputs swapped"),
    "cycle": (around, ConfigError, "made of the output 'shared'. A model has no cycles"),
    "disconnected": (disconnected, ConfigError, "output 'sum' needs the input 'b', .* inputs, 'a'. Add it to `inputs`"),
    "same input": (same_input, ConfigError, "the same input twice: 'x'. Give it once"),
    "same name": (same_name, ConfigError, 'name "d" is used 2 times .* give them name='),
    "arrays": (lambda: keras.Model(A, A), ConfigError, "`inputs` is a tensor of numbers. .*symbols"),
    "array out": (lambda: keras.Model(symbol(), [A]), ConfigError, "`outputs` at 0 is a tensor of numbers"),
    "layer": (
        lambda: keras.Model(symbol(), layers.Dense(1, name="d")),
        ConfigError,
        "`outputs` is <Dense name=d.*layer.output",
    ),
    "numbers": (lambda: keras.Model(symbol(), layers.Dense(2)(A)), ConfigError, "`outputs` is a tensor of numbers"),
    "class": (lambda: keras.Model(symbol(), layers.Dense), ConfigError, "`outputs` is Dense, a class"),
    "stack": (
        lambda: keras.Model([layers.Dense(1)], symbol()),
        ConfigError,
        r"A stack of layers is a Sequential\(layers",
    ),
    "shape": (lambda: keras.Model((3,), symbol()), ConfigError, r"`inputs` at 0 is 3 \(int\).*seqc.Input\(shape="),
    "none in list": (
        lambda: keras.Model(symbol(), [None]),
        ConfigError,
        "`outputs` at 0 is None. Is a `return` missing",
    ),
    "no outputs": (lambda: keras.Model(symbol(), []), ConfigError, "no outputs: `outputs` is"),
    "no inputs": (lambda: keras.Model({}, symbol()), ConfigError, "no inputs: `inputs` is {}"),
    "inputs alone": (lambda: keras.Model(inputs=symbol()), ConfigError, "needs inputs and outputs.*`outputs` is None"),
    "outputs alone": (lambda: keras.Model(outputs=symbol()), ConfigError, "needs inputs and outputs.*`inputs` is None"),
    "unknown word": (lambda: keras.Model(x := symbol(), x, units=3), ConfigError, "{'units': 3}"),
    "itself": (lambda: setattr(m := two(), "again", m), ConfigError, "'two' keeps itself as 'again'"),
}

DATA: dict[str, Bad] = {
    "one array": (
        lambda: fit(x=A),
        DataError,
        r"2 inputs: 'a', 'b'. x must be a list .*; got one array of shape \(4, 3\)",
    ),
    "three arrays": (lambda: fit(x=(A, B, A)), DataError, "2 inputs: 'a', 'b'.* got 3 in a list"),
    "unknown input": (
        lambda: fit(x={"a": A, "c": B}),
        DataError,
        "'a', 'b'. x is a dictionary.* no input is called 'c'",
    ),
    "missing input": (lambda: fit(x={"a": A}), DataError, "'b' is missing"),
    "wrong shape": (lambda: fit(x=(B, A)), ShapeError, "Input 'a' of model 'two'"),
    "predict": (lambda: two().predict(A, verbose=0), DataError, "2 inputs: 'a', 'b'"),
    "evaluate": (lambda: two().evaluate([A], [P, Q], verbose=0), DataError, "2 inputs: 'a', 'b'.* got 1 in a list"),
    "on batch": (lambda: two().train_on_batch({"a": A, "c": B}, [P, Q]), DataError, "no input is called 'c'"),
    "call on one": (lambda: two()(A), ConfigError, "'two' takes 2 inputs, 'a', 'b'; it was called with 1"),
    "call by place": (
        lambda: two()(A, B),
        ArgumentTypeError,
        r"'two' .*second tensor .*`training`.* list: layer\(\[a, b",
    ),
    "call by name": (lambda: two()({"a": A}), ConfigError, "needs inputs .* b missing"),
    "call shape": (
        lambda: two()([B, A]),
        ShapeError,
        r"Input 'a' of model 'two' needs shape \(None, 3\); got \(4, 2\)",
    ),
    "one target": (lambda: fit(y=P), DataError, "2 outputs: 'p', 'q'. y must be .* got one array"),
    "three targets": (lambda: fit(y=(P, Q, Q)), DataError, "2 outputs: 'p', 'q'.* got 3 in a list"),
    "unknown target": (lambda: fit(y={"p": P, "r": Q}), DataError, "no output is called 'r'"),
    "missing target": (lambda: fit(y={"p": P}), DataError, "output 'q' needs labels"),
    "three weights": (lambda: fit(sample_weight=[P[:, 0]] * 3), DataError, "sample_weight must be .* got 3 in a list"),
    "unknown weights": (
        lambda: fit(sample_weight={"r": P[:, 0]}),
        DataError,
        "sample_weight .*no output is called 'r'",
    ),
    "short weights": (lambda: fit(sample_weight={"p": P[:3, 0]}), DataError, r"'sample_weight\['p'\]' sizes: 3"),
    "wide weights": (lambda: fit(sample_weight={"p": np.zeros((4, 7))}), DataError, r"weights of shape \(batch, 7\)"),
    "class weights": (
        lambda: fit(class_weight={0: 1.0}),
        ConfigError,
        "single output; this one has 2. Give sample_weight",
    ),
    "unequal": (lambda: fit(x=(A, B[:3])), DataError, r"'x\['b'\]' sizes: 3"),
    "unknown loss": (
        lambda: two(loss={"p": "mse", "r": "mse"}),
        ConfigError,
        "`loss` names 'r'.* outputs are 'p', 'q'",
    ),
    "missing loss": (lambda: two(loss={"p": "mse"}), ConfigError, "nothing about the output 'q'.* Give None"),
    "three losses": (
        lambda: two(loss=["mse"] * 3),
        ConfigError,
        "`loss` has 3 entries, and the model 2 outputs: 'p', 'q'",
    ),
    "unknown scale": (lambda: two(loss_weights={"r": 1.0}), ConfigError, "`loss_weights` names 'r'"),
    "three scales": (lambda: two(loss_weights=[1, 2, 3]), ConfigError, "`loss_weights` has 3 entries"),
    "scale for all": (lambda: two(loss_weights=2.0), ConfigError, "2 outputs, 'p', 'q': `loss_weights` is a list"),
    "unknown metric": (lambda: two(metrics={"r": ["mae"]}), ConfigError, "`metrics` names 'r'"),
    "one metric": (lambda: two(metrics=["mae"]), ConfigError, "`metrics` has 1 entries"),
}

x, s = symbol(), symbol(5, 3, name="s")
CALLS: dict[str, Bad] = {
    "Dense on none": (
        lambda: layers.Dense(2, name="d")(),
        ArgumentTypeError,
        r"'d' \(Dense.* without `x`; it has call\(x\)",
    ),
    "Dense on two": (
        lambda: layers.Dense(2, name="d")([x, x]),
        LayerError,
        "'d' .* received 2 input tensors. Merge them",
    ),
    "Dense by place": (lambda: layers.Dense(2)(x, x), ArgumentTypeError, r"has call\(x\), .* Concatenate or Add"),
    "Dense on a list": (lambda: layers.Dense(2)([x]), LayerError, r"received a list of one. .*layer\(x\[0\]\)"),
    "Dense on a dictionary": (lambda: layers.Dense(2)({"u": x}), LayerError, r"layer\(x\['u'\]\)"),
    "Dense on nothing": (lambda: layers.Dense(2)([]), LayerError, "empty list"),
    "Dense on None": (lambda: layers.Dense(2, name="d")(None), DTypeError, "'d' .* is called on tensors.* got None"),
    "Dense on a layer": (lambda: layers.Dense(2)(layers.Dense(2)), LayerError, r"layer\(other\(x\)\)"),
    "Dense of a symbol": (
        lambda: layers.Dense(x),
        LayerError,
        r"with the symbol .*'x'.* as its `units`.* Dense\(...\)\(x\)",
    ),
    "unknown word": (lambda: layers.Dense(2)(x, axis=1), ArgumentTypeError, "unexpected keyword argument 'axis'"),
    "Add on one": (lambda: layers.Add()(x), ShapeError, "`Add` layer should be called on a list of inputs"),
    "Add by place": (lambda: layers.Add()(x, x), ArgumentTypeError, r"second tensor .*`mask`.* layer\(\[a, b\]\)"),
    "Add by places": (lambda: layers.Add()(x, x, x), ArgumentTypeError, r"layer\(\[a, b\]\)"),
    "Add on a dictionary": (lambda: layers.Add()({"u": x}), ShapeError, r"dictionary of \['u'\]"),
    "Add on a number": (lambda: layers.Add()([x, 1.0]), ShapeError, r"input 1 is a single number. .*x \+ 1"),
    "Concatenate on one": (
        lambda: layers.Concatenate()(x),
        ShapeError,
        "`Concatenate` layer should be called on a list",
    ),
    "Concatenate by place": (lambda: layers.Concatenate()(x, x), ArgumentTypeError, r"layer\(\[a, b\]\)"),
    "Concatenate on a dictionary": (lambda: layers.Concatenate()({"u": x}), ShapeError, "dictionary"),
    "Subtract on three": (lambda: layers.Subtract()([x, x, x]), ShapeError, "exactly 2 inputs"),
    "Dot on one": (lambda: layers.Dot(1)(x), ShapeError, "a list of 2 inputs"),
    "Dot on three": (lambda: layers.Dot(1)([x, x, x]), ShapeError, "exactly 2 inputs"),
    "Dot by place": (lambda: layers.Dot(1)(x, x), ArgumentTypeError, r"layer\(\[a, b\]\)"),
    "LSTM on two": (lambda: layers.LSTM(2)([s, s]), ShapeError, "has 2 states .*; got 1 in initial_state"),
    "LSTM on none": (lambda: layers.LSTM(2)(), ArgumentTypeError, "was called without"),
    "attention on one": (lambda: layers.Attention()(s), ShapeError, r"\[query, value\]"),
    "heads on one": (lambda: layers.MultiHeadAttention(1, 2)(s), ArgumentTypeError, "without `value`"),
    "pooling by place": (
        lambda: layers.GlobalAveragePooling1D()(s, s),
        ArgumentTypeError,
        "`mask`.* a mask holds booleans",
    ),
    "mode": (lambda: layers.BatchNormalization()(x, training=x), ArgumentTypeError, "where its call takes `training`"),
}


def condition() -> None:
    if x:
        pass


NUMBERS: dict[str, Bad] = {
    "numpy": (lambda: np.exp(x), TraceError, "numpy.exp of a tensor: .*'x'.* Use seqc.ops"),
    "stacked": (lambda: np.concatenate([x, x]), TraceError, "'x'.* Use seqc.ops"),
    "array": (lambda: np.array(x), TraceError, "'x'"),
    "condition": (condition, TraceError, "'x'.* Python control flow"),
    "comparison": (lambda: bool(x > 0), TraceError, "'x'.* Python control flow"),
    "float": (lambda: float(x), TraceError, "'x'"),
    "int": (lambda: int(x), TraceError, "'x'"),
    "length": (lambda: len(x), TraceError, r"seqc.ops.shape\(x\)\[0\]"),
    "loop": (lambda: list(x), TraceError, "functions of seqc.ops"),
}

several = symbol(name="a"), symbol(name="b")
STACKS: dict[str, Bad] = {
    "graph": (lambda: keras.Sequential(x, layers.Dense(1)(x)), ConfigError, "got the symbol .*Model(inputs, outputs)"),
    "merge": (
        lambda: keras.Sequential([layers.Add()])([A, A]),
        ConfigError,
        "takes one tensor.*Model(inputs, outputs)",
    ),
    "inputs": (
        lambda: keras.Sequential([*several]),
        ConfigError,
        "an Input comes first, and once.*Model(inputs, outputs)",
    ),
    "outputs": (
        lambda: keras.Sequential([keras.Input((5, 3)), layers.LSTM(2, return_state=True)]),
        LayerError,
        "Layers with several outputs do not fit.*Model(inputs, outputs)",
    ),
    "symbol": (lambda: keras.Sequential([layers.Dense(1)(x)]), LayerError, "Only instances .*Model(inputs, outputs)"),
    "heads": (
        lambda: keras.Sequential([layers.MultiHeadAttention(1, 2)]),
        LayerError,
        "single required .*Model(inputs, outputs)",
    ),
}
STACKS = {
    name: (run, kind, text.replace("(inputs, outputs)", r"\(inputs, outputs\)"))
    for name, (run, kind, text) in STACKS.items()
}


@pytest.mark.parametrize(
    ("run", "kind", "says"),
    [
        pytest.param(*bad, id=f"{table}: {name}")
        for table, rows in (
            ("model", MODELS),
            ("data", DATA),
            ("call", CALLS),
            ("numbers", NUMBERS),
            ("stack", STACKS),
        )
        for name, bad in rows.items()
    ],
)
def test_bad_programs_are_refused_with_a_way_out(run: Callable[[], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=f"(?s){says}") as caught:
        run()
    assert type(caught.value) is kind


class Captures(layers.Layer):
    """Adds what it was not given."""

    def __init__(self, other: Any, **options: Any) -> None:
        super().__init__(**options)
        self.other = other

    def call(self, inputs: Any) -> Any:
        return inputs + self.other()


def test_a_symbol_from_outside_a_call_is_refused_wherever_the_call_is_made() -> None:
    outside, dense = symbol(name="outside"), layers.Dense(3)
    match = r"(?s)'thief' \(Captures.* uses the symbol .*'outside'.* Hand it over as an argument"
    for other in (lambda: outside, lambda: dense(outside), lambda: ops.exp(outside)):
        thief = Captures(other, name="thief")
        with pytest.raises(TraceError, match=match):
            thief(symbol())
        with pytest.raises(TraceError, match=match):
            keras.Sequential([keras.Input((3,)), thief])
    with pytest.raises(TraceError, match="uses the symbol"):
        layers.Dense(3, activation=lambda y: y * outside)(symbol())


def test_a_loss_or_metric_of_a_symbol_is_refused() -> None:
    model = keras.Model(x, layers.Dense(3)(x))
    for settings in (
        {"loss": lambda y, p: ops.mean(p * x)},
        {"loss": "mse", "metrics": [lambda y, p: ops.mean(p * x)]},
    ):
        model.compile("sgd", **settings)
        with pytest.raises(TraceError, match=r"loss or metric uses the symbol .*an output of the model"):
            model.fit(A, A, verbose=0)


def test_layers_that_hold_each_other_are_refused() -> None:
    one, other = Captures(None, name="one"), Captures(None, name="other")
    one.inside = other
    with pytest.raises(ConfigError, match="'other' keeps 'one', which it is inside of, as 'around'"):
        other.around = one
