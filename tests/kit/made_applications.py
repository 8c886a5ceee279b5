"""What models of keras.applications are made of, and what they answer: the same for Keras and seqc.

record_applications.py records both for all of CASES and ANSWERS. `python tests/kit/made_applications.py LABEL` prints
the layers of one case, by either library: Keras where it is there. Nothing of weights is kept: they follow from a rule
that both sides compute.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).resolve().parents[1] / "cases" / "applications.json"
FAMILIES = {
    "convnext": [f"ConvNeXt{one}" for one in ("Tiny", "Small", "Base", "Large", "XLarge")],
    "densenet": ["DenseNet121", "DenseNet169", "DenseNet201"],
    "efficientnet": [f"EfficientNetB{i}" for i in range(8)],
    "efficientnet_v2": [f"EfficientNetV2{one}" for one in ("B0", "B1", "B2", "B3", "S", "M", "L")],
    "inception_resnet_v2": ["InceptionResNetV2"],
    "inception_v3": ["InceptionV3"],
    "mobilenet": ["MobileNet"],
    "mobilenet_v2": ["MobileNetV2"],
    "mobilenet_v3": ["MobileNetV3Small", "MobileNetV3Large"],
    "nasnet": ["NASNetMobile", "NASNetLarge"],
    "resnet": ["ResNet50", "ResNet101", "ResNet152"],
    "resnet_v2": ["ResNet50V2", "ResNet101V2", "ResNet152V2"],
    "vgg16": ["VGG16"],
    "vgg19": ["VGG19"],
    "xception": ["Xception"],
}
Case = tuple[str, dict[str, Any]]


def _cases() -> Iterator[Case]:
    for names in FAMILIES.values():
        for i, name in enumerate(names):
            yield name, {}
            if i == 0:
                # Keras finds the parts of an EfficientNetV2 by the model's name.
                own = {} if name.startswith("EfficientNetV2") else {"name": "own"}
                yield name, {"include_top": False, "pooling": "avg"}
                yield name, {"include_top": False, "pooling": "max", "input_shape": (96, 117, 1), **own}
    for name in ("ConvNeXtTiny", "EfficientNetV2B0", "MobileNetV3Small", "VGG16"):
        yield name, {"classes": 7, "classifier_activation": None, "input_shape": (100, 100, 3)}
    yield "EfficientNetB0", {"weights": "imagenet"}
    yield "MobileNet", {"weights": "imagenet", "include_top": False}
    for alpha in (0.25, 1.3):
        yield "MobileNet", {"alpha": alpha, "input_shape": (128, 128, 3)}
        yield "MobileNetV2", {"alpha": alpha, "input_shape": (96, 96, 3)}
        yield "MobileNetV3Large", {"alpha": alpha, "minimalistic": alpha == 0.25}
    yield "MobileNetV3Small", {"alpha": 0.5, "include_preprocessing": False}
    yield "MobileNet", {"depth_multiplier": 2, "dropout": 0.5, "classes": 3}
    yield "MobileNetV3Small", {"dropout_rate": 0, "input_shape": (64, 48, 3)}
    for name in ("EfficientNetV2B0", "ConvNeXtTiny"):
        yield name, {"include_preprocessing": False, "include_top": False, "pooling": "avg"}


def _files() -> Iterator[Case]:
    for include_top in (True, False):
        for name in [name for names in FAMILIES.values() for name in names]:
            yield name, {"include_top": include_top}
        for alpha in (0.25, 0.5, 0.75):
            yield "MobileNet", {"alpha": alpha, "include_top": include_top, "input_shape": (160, 160, 3)}
        for alpha in (0.35, 1.4):
            yield "MobileNetV2", {"alpha": alpha, "include_top": include_top, "input_shape": (96, 96, 3)}
        for name in FAMILIES["mobilenet_v3"]:
            yield name, {"alpha": 0.75, "include_top": include_top}
            yield name, {"minimalistic": True, "include_top": include_top}


CASES = list(_cases())
# Of which the files of published weights are recorded.
FILES = list(_files())
# Small networks on small images, whose answers are recorded as well; those of the first are compared each time.
_LOGITS = {"classes": 10, "classifier_activation": None}
ANSWERS: list[Case] = [
    ("MobileNet", {"alpha": 0.25, "input_shape": (32, 32, 3), **_LOGITS}),
    ("MobileNetV2", {"alpha": 0.35, "input_shape": (33, 40, 3), **_LOGITS}),
    ("MobileNetV3Small", {"alpha": 0.5, "input_shape": (48, 32, 3), **_LOGITS}),
    ("MobileNetV3Large", {"alpha": 0.75, "minimalistic": True, "input_shape": (32, 32, 3), **_LOGITS}),
    ("EfficientNetB0", {"input_shape": (32, 48, 3), **_LOGITS}),
    ("EfficientNetV2B0", {"input_shape": (32, 48, 3), **_LOGITS}),
    ("EfficientNetV2S", {"input_shape": (32, 32, 3), **_LOGITS}),
    ("DenseNet121", {"input_shape": (32, 32, 3), **_LOGITS}),
    ("ResNet50", {"input_shape": (32, 32, 3), **_LOGITS}),
    ("ResNet50V2", {"input_shape": (32, 40, 3), **_LOGITS}),
    ("VGG16", {"input_shape": (32, 32, 3), "include_top": False, "pooling": "max"}),
    ("NASNetMobile", {"input_shape": (32, 32, 3), **_LOGITS}),
    ("ConvNeXtTiny", {"input_shape": (32, 32, 3), **_LOGITS}),
    ("Xception", {"input_shape": (71, 71, 3), **_LOGITS}),
    ("InceptionV3", {"input_shape": (75, 75, 3), **_LOGITS}),
    ("InceptionResNetV2", {"input_shape": (75, 75, 3), **_LOGITS}),
]
# How large kernels are: 6 is the scale of He, at which rounding grows a thousandfold in EfficientNetV2. Through a few
# networks no image comes with less.
GAIN = 4
GAINS = {"MobileNet": 5, "EfficientNetB0": 6, "InceptionV3": 6}


def label_of(case: Case) -> str:
    """Returns a case as it is called."""
    name, options = case
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})"


def make(keras: Any, case: Case) -> Any:
    """Returns the model of a case, with automatic names from the beginning."""
    name, options = case
    keras.utils.clear_session()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(keras.applications, name)(**{"weights": None, **options})


# -- what a model is made of ------------------------------------------------------------------------------------------

# What one of the two writes and the other leaves out where it is the default.
_DEFAULTS = {
    "activity_regularizer": None,
    "build_config": None,
    "compile_config": None,
    "optional": False,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
    "synchronized": False,
    "mask": None,
    "training": None,
}


def _essentials(value: Any) -> Any:
    """Returns a configuration without what is a default, and tensors by the call that gave them."""
    if isinstance(value, list | tuple):
        return [_essentials(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__keras_tensor__":
        return value["config"]["keras_history"]
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    kept = {key: one for key, one in value.items() if key != "build_config"}
    return {key: _essentials(one) for key, one in kept.items() if key not in _DEFAULTS or one != _DEFAULTS[key]}


def rows_of(model: Any) -> tuple[list[str], list[str]]:
    """Returns the layers of a model, in their order, then the operations between them; and its weights."""
    described = json.loads(json.dumps(model.get_config()))
    layers: list[str] = []
    between: list[str] = []
    for entry in described["layers"]:
        _say_defaults(entry)
        row = json.dumps(_essentials(entry), sort_keys=True)
        (between if entry["module"].startswith("keras.src.ops") else layers).append(row)
    ends = json.dumps([described["name"], described["input_layers"], described["output_layers"]])
    weights = [f"{_path(layer, w)} {tuple(w.shape)} {w.trainable}" for layer in model.layers for w in layer.weights]
    return [ends, *layers, *sorted(between)], weights


def _say_defaults(entry: dict[str, Any]) -> None:
    """Adds to the description of a layer what Keras writes down though it is the default."""
    if entry["class_name"] == "Dropout":
        for node in entry["inbound_nodes"]:
            node["kwargs"].setdefault("training", False)
    elif entry["class_name"] == "Dense":
        entry["config"].setdefault("quantization_config", None)
    elif entry["class_name"] == "Sequential":
        entry.setdefault("compile_config", {})


def _path(layer: Any, weight: Any) -> str:
    """Returns the path of a weight, from the layer on: in Keras, stacks of layers and the scopes of NASNet show."""
    if hasattr(layer, "layers"):
        return weight.path if weight.path.startswith(f"{layer.name}/") else f"{layer.name}/{weight.path}"
    _, _, rest = f"/{weight.path}".rpartition(f"/{layer.name}/")
    return f"{layer.name}/{rest}"


def digest(rows: list[str]) -> str:
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def facts(model: Any) -> list[Any]:
    """Returns how many layers, weights and parameters a model has, and hashes of the first two."""
    layers, weights = rows_of(model)
    return [len(model.layers), len(weights), model.count_params(), digest(layers), digest(weights)]


# -- what it answers --------------------------------------------------------------------------------------------------


def images(shape: tuple[int, ...], bytes_: bool) -> np.ndarray:
    """Returns two images: waves of different lengths and directions in each channel, from 0 to 255 or from -1 to 1."""
    height, width, channels = shape
    down, right = np.mgrid[0:height, 0:width]
    found = [
        [np.sin(down * (0.3 + 0.2 * c + 0.1 * i) + right * (0.7 - 0.2 * c + 0.15 * i)) for c in range(channels)]
        for i in range(2)
    ]
    waves = np.moveaxis(np.asarray(found), 1, -1)
    return (127.5 * (waves + 1) if bytes_ else waves).astype("float32")


def takes_bytes(name: str) -> bool:
    """Tells whether a network scales its images itself, from 0 to 255."""
    return name.startswith(("MobileNetV3", "EfficientNet", "ConvNeXt"))


def rule(model: Any, gain: float = GAIN) -> list[np.ndarray]:
    """Returns weights for a model that follow from their names, shapes and places alone; but those of Normalization.

    Keras computes with what such a layer was made or adapted with, whatever its weights are set to.
    """
    kept = {id(w) for layer in model.layers if type(layer).__name__ == "Normalization" for w in layer.weights}
    return [
        np.asarray(w) if id(w) in kept else _weight(i, w.path.rpartition("/")[2], tuple(w.shape), w.path, gain)
        for i, w in enumerate(model.weights)
    ]


def _weight(i: int, name: str, shape: tuple[int, ...], path: str, gain: float) -> np.ndarray:
    state = np.random.RandomState(i)  # whose numbers are the same in every NumPy
    if "variance" in name or name == "gamma":
        numbers = state.uniform(0.8, 1.2, shape)
    elif len(shape) < 2:
        numbers = state.uniform(-0.05, 0.05, shape)
    else:
        # Of a depthwise kernel, most taps meet the border of so small an image.
        fan_in = 4 if "depthwise" in path or "dw" in path else np.prod(shape[:-1])
        numbers = state.uniform(-1, 1, shape) * np.sqrt(gain / fan_in)
    return numbers.astype("float32")


def answers(model: Any, case: Case) -> np.ndarray:
    """Returns what a model with those weights answers to those images."""
    model.set_weights(rule(model, GAINS.get(case[0], GAIN)))
    x = images(model.input_shape[1:], takes_bytes(case[0]))
    return np.asarray(model.predict(x, verbose=0), "float64")


# -- what the modules have ---------------------------------------------------------------------------------------------


def signatures(keras: Any) -> dict[str, list[list[Any]]]:
    """Returns the arguments of each network, and of the functions beside it: [name, default], or [name] alone."""
    paths = [name for names in FAMILIES.values() for name in names]
    modules = (*FAMILIES, "resnet50", "imagenet_utils")
    paths += [f"{module}.{name}" for module in modules for name in ("preprocess_input", "decode_predictions")]
    found = {}
    for path in paths:
        parameters = inspect.signature(attrgetter(path)(keras.applications)).parameters.values()
        taken = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        found[path] = [[p.name] if p.default is p.empty else [p.name, p.default] for p in taken]
    return found


if __name__ == "__main__":
    try:
        import keras
    except ImportError:
        import seqc as keras
    for case in [case for case in CASES if label_of(case) in sys.argv[1:]]:
        print(*(row for rows in rows_of(make(keras, case)) for row in rows), sep="\n")
