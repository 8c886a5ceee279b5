"""Random small Sequential models of all layers that seqc carries."""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st

from kit.random_beginnings import draw_beginning
from kit.random_layers import draw_layer
from seqc import Input, Sequential
from seqc.errors import ShapeError

SHAPES = ((3,), (4, 2), (4, 3, 2), (4, 4, 3), (5, 4, 1), (1, 3, 3), (2, 3, 2, 2), (None, 2), (None, 4, 1))


@st.composite
def models(draw: st.DrawFn, most: int = 5, numbers: bool = False) -> Sequential:
    """Models of one to `most` layers on samples of rank one to four; some begin with strings, ids or what is measured.

    Args:
        most: how many layers at most, without those that make floats of something else.
        numbers: whether none begins with strings.
    """
    if draw(st.integers(0, 3)) == 0:
        model = Sequential(draw_beginning(draw, numbers))
    else:
        model = Sequential([Input(draw(st.sampled_from(SHAPES)))])
    for _ in range(draw(st.integers(1, most))):
        seen = model.output_shape[1:] if model.layers else model.input_shape[1:]
        layer = draw_layer(tuple(d or 2 for d in seen), draw, any_size=None in seen)
        try:
            model.add(layer)
        except ShapeError as error:
            # Keras takes no mask of steps there either.
            if "The mask of Softmax" not in str(error):
                raise
            reject()
    return model
