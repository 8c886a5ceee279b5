"""Random functional models: branches, merges, shared and nested layers, several inputs and outputs.

Layers come from `random_models`; here is what one tensor in and one tensor out cannot say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from kit.random_beginnings import IDS
from kit.random_functions import draw_function
from kit.random_layers import ANY, BY_RANK, draw_layer
from seqc import Input, Model, layers, ops
from seqc.errors import ShapeError
from seqc.graph.ir import Array

Shape = tuple[int, ...]
INPUTS: tuple[Shape, ...] = ((3,), (4, 2), (4, 3, 2), (5, 4, 1), (4, 4, 3))
IMAGES: tuple[Shape, ...] = ((4, 4, 3), (6, 4, 2), (5, 5, 3))
MERGES = (layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
# What an image goes through channels-first.
OF_IMAGES: tuple[str, ...] = (
    *("activation", "average_pool", "batch_normalization", "conv2d", "conv2d", "cropping", "depthwise", "dropout"),
    *("leaky_relu", "max_pool", "relu", "separable", "transposed", "upsample", "zero_padding"),
)
MOST_ELEMENTS = 600  # of a sample, beyond which nothing is made of it


@dataclass
class Growing:
    """A model on its way: what there is, and how often each is used."""

    draw: st.DrawFn
    images: bool
    made: list[Any] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    shared: list[tuple[Shape, str, Any]] = field(default_factory=list)

    def pick(self, accept: Callable[[Any], bool] = lambda x: True) -> Any:
        """Returns something made before, what nothing reads yet the more often, or None."""
        found = [x for x in self.made if accept(x) and size(x) <= MOST_ELEMENTS]
        fresh = [x for x in found if id(x) not in self.used]
        if not found:
            return None
        unread: bool = bool(fresh) and self.draw(st.booleans())
        chosen: list[Any] = fresh if unread else found
        return self.draw(st.sampled_from(chosen))

    def take(self, *xs: Any) -> None:
        self.used.update(map(id, xs))

    def add(self, x: Any) -> None:
        self.made.append(x)


def shape_of(x: Any) -> Shape:
    return tuple(x.shape[1:])


def size(x: Any) -> int:
    count = 1
    for d in shape_of(x):
        count *= d
    return count


def layer(g: Growing) -> None:
    """A layer of one tensor; now and then one that was used before."""
    x = g.pick()
    again = [made for seen, dtype, made in g.shared if (seen, dtype) == (shape_of(x), x.dtype)]
    if again and g.draw(st.integers(0, 2)) == 0:
        made = g.draw(st.sampled_from(again))
    elif g.images:
        names = OF_IMAGES if len(shape_of(x)) == 3 else ("dense", "relu", "dropout")
        made = (ANY | BY_RANK[3])[g.draw(st.sampled_from(names))](shape_of(x), g.draw)
    else:
        made = draw_layer(shape_of(x), g.draw)
    g.shared.append((shape_of(x), x.dtype, made))
    g.add(made(x))
    g.take(x)


def merge(g: Growing) -> None:
    """What is alike, put together; one of them is made by an operation where there is no other."""
    x = g.pick(lambda v: v.dtype == "float32")
    if x is None:
        return
    y = g.pick(lambda v: v is not x and shape_of(v) == shape_of(x) and v.dtype == x.dtype)
    y = operated(g, x) if y is None else y
    kinds = [*MERGES, layers.Subtract]
    kind = g.draw(st.sampled_from(kinds))
    # What is left of two things alike is rounding, and a normalization of its length would make numbers of that.
    g.add(kind()([x, y * 0.3 if kind is layers.Subtract else y]))
    g.take(x, y)


def concatenate(g: Growing) -> None:
    x = g.pick(lambda v: v.dtype == "float32")
    if x is None:
        return
    ys = [v for v in g.made if v.dtype == x.dtype and shape_of(v)[:-1] == shape_of(x)[:-1] and size(v) <= MOST_ELEMENTS]
    y = g.draw(st.sampled_from(ys))
    g.add(layers.Concatenate()([x, y]))
    g.take(x, y)


def operated(g: Growing, x: Any) -> Any:
    """An operation of `seqc.ops` or an operator on one tensor."""
    number = g.draw(st.sampled_from([0.5, 2.0, -1.0]))
    kinds: list[Callable[[], Any]] = [
        lambda: x * number,
        lambda: number - x,
        lambda: ops.tanh(x),
        lambda: ops.abs(x) + ops.sigmoid(x),
        lambda: ops.where(x > 0, x, number * x),
        lambda: ops.clip(x, -1.0, 1.0),
        lambda: x * ops.mean(x, -1, keepdims=True),
        lambda: x / (1.0 + ops.max(ops.abs(x), tuple(range(1, len(x.shape))), keepdims=True)),
    ]
    return g.draw(st.sampled_from(kinds))()


def operation(g: Growing) -> None:
    x = g.pick(lambda v: v.dtype == "float32")
    if x is not None:
        g.add(operated(g, x))
        g.take(x)


def function(g: Growing) -> None:
    """A function of `seqc.ops` that sorts, loops, factors or transforms."""
    x = g.pick(lambda v: v.dtype == "float32" and len(shape_of(v)) < 4)
    if x is not None:
        g.add(draw_function(x, g.draw))
        g.take(x)


def lambdas(g: Growing) -> None:
    x = g.pick(lambda v: v.dtype == "float32")
    if x is not None:
        g.add(
            layers.Lambda(lambda v, number: ops.sin(v) * number, arguments={"number": g.draw(st.floats(0.5, 2.0))})(x)
        )
        g.take(x)


def sliced(g: Growing) -> None:
    x = g.pick(lambda v: len(shape_of(v)) > 1 and shape_of(v)[0] > 1 and v.dtype == "float32")
    if x is not None:
        g.add(x[:, 1:] if g.draw(st.booleans()) else x[:, ::2])
        g.take(x)


def gated(g: Growing) -> None:
    """Squeeze and excite."""
    x = g.pick(lambda v: len(shape_of(v)) == 3)
    if x is None:
        return
    keeps = g.draw(st.booleans())
    gate = layers.Dense(x.shape[-1], "sigmoid")(layers.GlobalAveragePooling2D(keepdims=keeps)(x))
    g.add(x * (gate if keeps else layers.Reshape((1, 1, x.shape[-1]))(gate)))
    g.take(x)


def nested(g: Growing) -> None:
    """A model of one's own with a shortcut, used once or twice."""
    x = g.pick(lambda v: v.dtype == "float32")
    if x is None:
        return
    inner = Input(shape_of(x))
    h = layers.Dense(x.shape[-1], "tanh")(inner)
    if len(shape_of(x)) == 3:
        h = layers.Conv2D(x.shape[-1], 2, padding="same")(h)
    model = Model(inner, layers.BatchNormalization(momentum=0.5)(h + inner * 0.5))
    y = model(x)
    g.shared.append((shape_of(x), x.dtype, model))
    g.add(model(y) if g.draw(st.booleans()) else y)
    g.take(x)


def attention(g: Growing) -> None:
    x = g.pick(lambda v: len(shape_of(v)) == 2)
    if x is None:
        return
    y = g.pick(lambda v: len(shape_of(v)) == 2 and v.shape[-1] == x.shape[-1])
    options = {"use_causal_mask": True} if g.draw(st.booleans()) else {}
    heads = g.draw(st.integers(0, 2))
    rate = g.draw(st.sampled_from([0.0, 0.3]))
    if heads == 2:
        g.add(layers.GroupedQueryAttention(2, 2, g.draw(st.integers(1, 2)), rate)(x, y, **options))
    elif heads:
        g.add(layers.MultiHeadAttention(2, 2, dropout=rate)(x, y, **options))
    else:
        kind = g.draw(st.sampled_from([layers.Attention, layers.AdditiveAttention]))
        g.add(kind(use_scale=g.draw(st.booleans()))([x, y], **options))
    g.take(x, y)


def dot(g: Growing) -> None:
    x = g.pick(lambda v: len(shape_of(v)) == 2)
    if x is None:
        return
    y = g.pick(lambda v: len(shape_of(v)) == 2 and v.shape[-1] == x.shape[-1])
    g.add(layers.Dot(2, normalize=g.draw(st.booleans()))([x, y]))
    g.take(x, y)


def states(g: Growing) -> None:
    """A recurrent layer whose states another one begins with."""
    x = g.pick(lambda v: len(shape_of(v)) == 2)
    if x is None:
        return
    kind = g.draw(st.sampled_from([layers.LSTM, layers.GRU, layers.SimpleRNN]))
    units = g.draw(st.integers(1, 3))
    y, *last = kind(units, return_state=True, return_sequences=True)(x)
    g.add(kind(units, return_sequences=g.draw(st.booleans()))(y, initial_state=last))
    g.add(last[0])
    g.take(x, y, last[0])


IMAGE_STEPS = (layer, layer, layer, merge, merge, concatenate, operation, sliced, gated, nested)
STEPS = (*IMAGE_STEPS, attention, dot, function, lambdas, states)


def _input(draw: st.DrawFn, images: bool) -> list[Any]:
    """Returns an input and perhaps what is made of it at once."""
    if not images and draw(st.integers(0, 3)) == 0:
        ids = Input((4,), dtype="int32")
        if draw(st.integers(0, 3)) == 0:
            crossed = layers.HashedCrossing(5, output_mode="one_hot")([ids[:, 0], ids[:, 1]])
            return [layers.Dense(3)(crossed), ids]
        return [layers.Embedding(IDS, 2, mask_zero=draw(st.booleans()))(ids), ids]
    return [Input(draw(st.sampled_from(IMAGES if images else INPUTS)))]


def _ended(x: Any, draw: st.DrawFn, images: bool) -> Any:
    if len(shape_of(x)) > 1 and draw(st.booleans()):
        keeps = len(shape_of(x)) == 3 and draw(st.booleans())
        x = layers.GlobalAveragePooling2D()(x) if keeps else layers.Flatten()(x)
        return layers.Dense(2)(x)
    return x


@st.composite
def graphs(draw: st.DrawFn, most: int = 8, images: bool = False) -> Model:
    """Functional models of up to `most` draws of layers, merges and operations.

    Args:
        most: how many draws at most.
        images: whether every tensor is an image or, behind a global pool or Flatten, ends in a Dense layer.
    """
    g = Growing(draw, images)
    inputs = []
    for _ in range(draw(st.integers(1, 2))):
        made = _input(draw, images)
        inputs.append(made[-1])
        g.made.append(made[0])
    kinds = IMAGE_STEPS if images else STEPS
    try:
        for _ in range(draw(st.integers(1, most))):
            draw(st.sampled_from(kinds))(g)
        ends = [x for x in g.made if id(x) not in g.used]
        outputs = [_ended(x, draw, images) for x in ends]
        while len(outputs) > 3:
            outputs[-2:] = [layers.Add()([layers.Dense(2)(layers.Flatten()(x)) for x in outputs[-2:]])]
        return Model(inputs, outputs)
    except ShapeError as error:
        # Keras takes no mask there either.
        if "mask" not in str(error):
            raise
        reject()


def spread_weights(model: Model) -> None:
    """Gives every weight numbers of its own, of both signs where it may, so that none hides behind a zero or a one."""
    rng = np.random.default_rng(7)
    for w in model.weights:
        low = 0.3 if "variance" in w.path else -0.7
        w.assign(rng.uniform(low, 0.9, w.shape).astype(w.dtype))


def samples(model: Model, batch: int) -> list[Array]:
    """Returns arrays for the inputs.

    No sequence begins with padding: where attention sees nothing else, single precision leaves nothing of its scores.
    """
    rng = np.random.default_rng(batch)
    shapes: list[tuple[Any, ...]] = [(batch, *x.shape[1:]) for x in model.inputs]
    return [
        _not_first(rng.integers(0, IDS, shape, dtype="int32"))
        if x.dtype == "int32"
        else rng.normal(size=shape).astype("float32")
        for x, shape in zip(model.inputs, shapes, strict=True)
    ]


def _not_first(ids: Array) -> Array:
    ids[:, :1] += ids[:, :1] == 0
    return ids
