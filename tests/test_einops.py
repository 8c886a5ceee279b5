"""`ops.rearrange`: axes in another order, split and joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.models import load_model

X = np.arange(4 * 6 * 8 * 3).reshape(4, 6, 8, 3).astype("float32")


@pytest.mark.parametrize(
    ("pattern", "lengths", "shape", "total"),
    [  # recorded from Keras 3.15: the sum of each element times its place
        ("b h w c -> b c h w", {}, (4, 3, 6, 8), 62889984.0),
        ("b h w c -> (b h) w c", {}, (24, 8, 3), 63535200.0),
        ("b h w c -> h (b w) c", {}, (6, 32, 3), 53996640.0),
        ("b h w c->b (c h w)", {}, (4, 144), 62889984.0),
        ("b (h1 h) (w1 w) c -> (b h1 w1) h w c", {"h1": 2, "w1": 2}, (16, 3, 4, 3), 63466080.0),
        ("b (h h1) (w w1) c -> b h w (c h1 w1)", {"h1": 2, "w1": 4}, (4, 3, 2, 24), 63485184.0),
        ("(b b2) (h h2) w c -> b h w c b2 h2", {"b2": np.int64(2), "h2": 3}, (2, 2, 8, 3, 2, 3), 61283952.0),
    ],
)
def test_numbers_are_those_of_keras(
    pattern: str, lengths: dict[str, Any], shape: tuple[int, ...], total: float
) -> None:
    y = ops.rearrange(X, pattern, **lengths).numpy()
    assert y.shape == shape
    assert (y.ravel() * np.arange(y.size)).sum() == total


@pytest.mark.parametrize(
    ("pattern", "lengths", "error", "says"),
    [
        ("b h w -> b", {}, ConfigError, "each axis once before"),
        ("b b w c -> b b w c", {}, ConfigError, "each axis once"),
        ("b h w c", {}, ConfigError, "is no pattern"),
        ("... c -> c ...", {}, ConfigError, "is no pattern"),
        ("b h w -> w h b", {}, ShapeError, "for tensors of 3 axes"),
        ("b (h p) w c -> b h p w c", {}, ConfigError, "needs the size of h or p"),
        ("b (h p) w c -> b h p w c", {"p": 4}, ShapeError, "does not split into"),
        ("b (h p) w c -> b h p w c", {"p": 2, "h": 2}, ShapeError, "does not split into"),
        ("b h w c -> b c h w", {"q": 2}, ConfigError, "has no axis q"),
        ("b (h p) w c -> b h p w c", {"p": 0}, ConfigError, "at least 1"),
        (5, {}, ConfigError, "got 5"),
    ],
)
def test_what_makes_no_sense_is_said(pattern: Any, lengths: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        ops.rearrange(X, pattern, **lengths)


def test_a_model_with_it_is_saved_and_keeps_any_batch(tmp_path: Path) -> None:
    x = seqc.Input((6, 8, 3))
    model = seqc.Model(x, ops.rearrange(x, "b (h p) w c -> b h w (c p)", p=2))
    expected = X.reshape(4, 3, 2, 8, 3).transpose(0, 1, 3, 4, 2).reshape(4, 3, 8, 6)
    model.save(tmp_path / "m.keras")
    for one in (model, load_model(tmp_path / "m.keras")):
        np.testing.assert_array_equal(one.predict(X, verbose=0), expected)
        np.testing.assert_array_equal(one.predict(X[:1], verbose=0), expected[:1])
    described = next(one for one in model.get_config()["layers"] if one["class_name"] == "Rearrange")
    # As Keras 3.15 has it in its files.
    assert described["module"] == "keras.src.ops.einops"
    (node,) = described["inbound_nodes"]
    assert (node["args"][1], node["kwargs"]) == ("b (h p) w c -> b h w (c p)", {"p": 2})
    with pytest.raises(ShapeError, match=r"splits into \(t p\) must have a known size"):
        ops.rearrange(seqc.Input((None, 3)), "b (t p) c -> b t (p c)", p=2)
