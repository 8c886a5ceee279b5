"""`seqc.ops.image` and the layouts of images: against real Keras, with gradients, and on onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.graph_runs import step_file
from kit.oracle import KEPT
from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph.autodiff import pull_back
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, input_value

CASES = json.loads((KEPT / "image_op_cases.json").read_text())
ARRAYS = np.load(KEPT / "image_op_cases.npz")


def called(case: dict[str, Any], tensors: list[Value]) -> Value:
    function: Any = ops
    for part in case["function"].split("."):
        function = getattr(function, part)
    settings = dict(case["settings"])
    result: Value
    if "output_shape" in settings:
        result = function(tensors[0], settings.pop("output_shape"), *tensors[1:], **settings)
    else:
        result = function(*tensors, **settings)
    return result


def graph_of(case: dict[str, Any], gradient: bool) -> tuple[Graph, list[np.ndarray]]:
    """Returns the function as a graph, with its gradients, and what goes in."""
    arrays = [ARRAYS[name] for name in case["given"]]
    tensors = [input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
    y = called(case, tensors)
    if not gradient:
        return Graph(tuple(tensors), (y,), ("y",)), arrays
    upstream = input_value("u", y.dtype, y.type.shape)
    found = pull_back([y], [upstream], tensors)
    outputs = (y, *found)
    return Graph((*tensors, upstream), outputs, tuple(f"y{i}" for i in range(len(outputs)))), [
        *arrays,
        ARRAYS[case["y"].replace("y", "u")],
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['function']}-{case['y']}")
def test_functions_are_those_of_keras(case: dict[str, Any]) -> None:
    graph, arrays = graph_of(case, "gradients" in case)
    y, *gradients = Interpreter(graph).run(arrays)
    wanted = ARRAYS[case["y"]]
    assert np.asarray(y).dtype == wanted.dtype
    close(y, wanted)
    for place, gradient in enumerate(gradients):
        exact = ARRAYS[f"{case['y'].replace('y', 'g')}_{place}"]
        close(np.asarray(gradient)[..., : exact.shape[-1]], exact)


def close(found: Any, wanted: np.ndarray) -> None:
    scale = max(1.0, float(np.abs(wanted.astype("float64")).max(initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['function']}-{case['y']}")
def test_functions_are_the_same_on_onnxruntime(case: dict[str, Any]) -> None:
    session = pytest.importorskip("seqc.backends.onnxruntime")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    graph, arrays = graph_of(case, False)
    (y,) = Interpreter(graph).run(arrays)
    found = session.Session(step_file(graph), threads=1).run(dict(zip(graph.input_names, arrays, strict=True)))
    close(found["y"], np.asarray(y))


def test_models_with_functions_of_images_are_saved(tmp_path: Path) -> None:
    images = keras.Input((8, 8, 4))
    x = ops.image.resize(images, (6, 8), interpolation="nearest")
    x = ops.image.pad_images(ops.depth_to_space(x, 2), 1, 2, target_height=14, target_width=20)
    x = ops.image.gaussian_blur(x, (3, 5), data_format="channels_last")
    model = keras.Model(images, [ops.image.extract_patches(x, 2), ops.mean(ops.image.sobel_edges(x), (1, 2, 3))])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    given = np.random.default_rng(1).uniform(size=(2, 8, 8, 4)).astype("float32")
    for one, other in zip(again(given), model(given), strict=True):
        np.testing.assert_array_equal(one, other)


SHEAR = np.array([1, 0.2, 1, 0.1, 1, 1, 0, 0], "float32")
CORNERS = np.array([[0, 0], [5, 0], [0, 7], [5, 7]], "float32")
PLACES = np.array([[0, 0.7, 1], [3, 0, 7], [2, 5, 3], [0, 2, 1]], "float32")
MOVING: dict[str, Callable[[Any], Any]] = {
    "resize": lambda x: ops.image.resize(x, (5, 7), "nearest"),
    "affine_transform": lambda x: ops.image.affine_transform(x, SHEAR, "nearest", "reflect"),
    "perspective_transform": lambda x: ops.image.perspective_transform(x, CORNERS, CORNERS * 1.3, "nearest"),
    "map_coordinates": lambda x: ops.image.map_coordinates(x, PLACES, 0),
    "extract_patches": lambda x: ops.image.extract_patches(x, (3, 2), (1, 2), padding="same"),
    "extract_patches apart": lambda x: ops.image.extract_patches(x, 2, 1, 3),
    "extract_patches_3d": lambda x: ops.image.extract_patches_3d(x, (2, 3, 2)),
    "unfold": lambda x: ops.unfold(ops.transpose(x, (0, 3, 1, 2)), 2, padding=1, stride=2),
    "space_to_depth": lambda x: ops.space_to_depth(x, 2),
    "space_to_depth first": lambda x: ops.space_to_depth(ops.transpose(x, (0, 3, 1, 2)), 2, "channels_first"),
}


@pytest.mark.parametrize("space", [(8, 6, 3), (None, None, 3)], ids=["known", "unknown"])
@pytest.mark.parametrize("name", MOVING)
def test_what_moves_elements_keeps_all_their_digits(name: str, space: tuple[int | None, ...]) -> None:
    move = MOVING[name]
    places = np.arange(1, 2 * 8 * 6 * 3 + 1, dtype="float32").reshape(2, 8, 6, 3)
    which = np.asarray(move(places)).astype("int64")  # number 0 is none
    assert np.unique(which).size > 2  # places are told apart
    for dtype, first in (("int32", 2**31 - 400), ("int64", 2**62 + 1), ("uint32", 2**32 - 400), ("bool", 0)):
        numbers = np.arange(first, first + places.size).astype(dtype)
        given, wanted = numbers.reshape(places.shape), np.concatenate([np.zeros(1, dtype), numbers])[which]
        images = keras.Input(space, dtype=dtype)
        for found in (move(given), keras.Model(images, move(images)).predict(given, verbose=0)):
            assert np.asarray(found).dtype == dtype
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", MOVING)
def test_what_moves_elements_keeps_their_digits_on_onnxruntime(name: str) -> None:
    session = pytest.importorskip("seqc.backends.onnxruntime")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    numbers = np.arange(2**24 + 1, 2**24 + 289, dtype="int32").reshape(2, 8, 6, 3)
    images = input_value("x", "int32", (2, 8, 6, 3))
    found = session.Session(step_file(Graph((images,), (MOVING[name](images),), ("y",))), threads=1).run({"x": numbers})
    np.testing.assert_array_equal(found["y"], MOVING[name](numbers))


def test_what_there_is_beyond_images_of_integers_is_the_nearest_of_their_numbers() -> None:
    for dtype, fill, wanted in (("uint8", -3.0, 0), ("uint8", 2.6, 3), ("int32", 1e30, 2**31 - 1), ("bool", 0.7, True)):
        x = np.zeros((1, 2, 2, 1), dtype)
        moved = ops.image.affine_transform(x, [1, 0, 5, 0, 1, 0, 0, 0], "nearest", fill_value=fill)
        wide = ops.image.resize(x, (2, 4), "nearest", pad_to_aspect_ratio=True, fill_value=fill)
        assert [np.asarray(y).flat[0] for y in (moved, wide)] == [wanted, wanted]


def test_one_map_is_of_all_images() -> None:
    x = np.random.default_rng(1).uniform(size=(3, 5, 4, 2)).astype("float32")
    for given in (SHEAR, SHEAR[None]):
        each = ops.image.affine_transform(x, np.repeat(SHEAR[None], 3, 0))
        np.testing.assert_array_equal(ops.image.affine_transform(x, given), each)
        images = keras.Input((5, 4, 2))
        model = keras.Model(images, ops.image.affine_transform(images, given))
        np.testing.assert_array_equal(model.predict(x, verbose=0), each)


@pytest.mark.parametrize("first", [False, True])
def test_blocks_of_images_of_unknown_size_become_channels(first: bool) -> None:
    data_format = "channels_first" if first else "channels_last"
    images = keras.Input((3, None, None) if first else (None, None, 3))
    model = keras.Model(images, ops.space_to_depth(images, 2, data_format))
    for size in ((4, 6), (8, 2)):
        given = np.random.default_rng(1).uniform(size=(2, 3, *size) if first else (2, *size, 3)).astype("float32")
        np.testing.assert_array_equal(model(given), ops.space_to_depth(given, 2, data_format))


def test_what_functions_of_images_cannot_do_is_said() -> None:
    x = np.zeros((2, 4, 4, 3), "float32")
    cases: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (ShapeError, "Invalid images rank", lambda: ops.image.resize(x[0, 0], (2, 2))),
        (
            ConfigError,
            "Invalid value for argument `fill_mode`",
            lambda: ops.image.affine_transform(x, [0.0] * 8, fill_mode="x"),
        ),
        (ConfigError, "Must specify exactly two of left_padding", lambda: ops.image.pad_images(x, 1, 1, 1)),
        (ConfigError, "top_cropping must be >= 0", lambda: ops.image.crop_images(x, None, 0, 2, 0, 3)),
        (ShapeError, "First dim of `coordinates`", lambda: ops.image.map_coordinates(x, np.zeros((3, 2)), 1)),
        (ShapeError, "depth_to_space needs a multiple of 4 channels", lambda: ops.depth_to_space(x, 2)),
        (ShapeError, "fold: images of", lambda: ops.fold(np.zeros((1, 8, 3), "float32"), 4, 2)),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
