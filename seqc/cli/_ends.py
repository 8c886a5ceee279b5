"""Options of an export that change what the file takes and gives, as the arguments of `export_model`."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any

import typer

from seqc.cli._sizes import parse_sizes
from seqc.errors import ConfigError

Texts = list[str] | None


def _option(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


HeadOptions = Annotated[
    Texts,
    _option(
        "--head",
        "[OUTPUT=]HEAD",
        "Give the class in place of scores: argmax, top_k:K, threshold:T; or logits, softmax, sigmoid.",
    ),
]
LayerOutputOptions = Annotated[
    Texts, _option("--layer-output", "LAYER", "Give the output of this layer, too; repeatable.")
]
InputTypeOptions = Annotated[
    Texts, _option("--input-dtype", "[INPUT=]DTYPE", "Take the input in another element type, such as uint8.")
]
RescaleOptions = Annotated[
    Texts,
    _option(
        "--rescale",
        "[INPUT=]SCALE[,OFFSET]",
        "Multiply the input by SCALE and add OFFSET first: 1/255, or 1/127.5,-1.",
    ),
]
FixedSizeOptions = Annotated[
    Texts,
    _option(
        "--size", "NAME=N[,N...]", "Fix an axis that the model leaves open, such as batch=1; of several, a file each."
    ),
]
AxisNameOptions = Annotated[Texts, _option("--axis-name", "OLD=NEW", "Call an open axis by another name; repeatable.")]

PrecisionOption = Annotated[
    str, typer.Option("--precision", help="float32; float16, between ends of float32; or float64.")
]
Float32LayerOptions = Annotated[
    Texts, _option("--float32-layer", "LAYER", "Leave this layer out of float16; repeatable.")
]


def end_options(
    heads: Texts, layers: Texts, dtypes: Texts, scales: Texts, sizes: Texts, axis_names: Texts
) -> dict[str, Any]:
    """Returns the arguments of `export_model` that these options stand for.

    Raises:
        ConfigError: one cannot be read.
    """
    return {
        "head": _named("--head", heads, str),
        "layer_outputs": layers,
        "input_dtype": _named("--input-dtype", dtypes, str),
        "rescale": _named("--rescale", scales, _scale),
        "sizes": _sizes(sizes),
        "axis_names": _axis_names(axis_names),
    }


def _named(option: str, given: Texts, read: Callable[[str], Any]) -> Any:
    """Returns one thing for the only input or output, or a dict by name."""
    if not given:
        return None
    pairs = [text.rpartition("=") for text in given]
    if len(given) == 1 and not pairs[0][1]:
        return read(given[0])
    if not all(equals and name for name, equals, _ in pairs):
        raise ConfigError(f"{option} says of which input or output it is, NAME=..., where there are several of it.")
    return {name: read(value) for name, _, value in pairs}


def _scale(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        if len(parts) > 2 or any(len(part) > 40 for part in parts):
            raise ValueError
        scale, offset = (_number(part) for part in (*parts, "0")[:2])
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ConfigError(f"--rescale takes SCALE or SCALE,OFFSET such as 1/255 or 1/127.5,-1; got {text!r}.") from None
    return scale, offset


def _number(text: str) -> float:
    """Returns a number, or one by another."""
    above, slash, below = text.partition("/")
    return float(Fraction(above.strip()) / Fraction(below.strip())) if slash else float(text)


def _sizes(given: Texts) -> dict[str, list[int]] | None:
    if not given:
        return None
    found: dict[str, list[int]] = {}
    for text in given:
        name, _, values = text.partition("=")
        for value in values.split(","):
            found.setdefault(name, []).extend(parse_sizes([f"{name}={value}"]).values())
    return found


def apart(given: list[str]) -> list[str]:
    """Returns names that may stand in one option, with commas between them, each by itself."""
    return [name.strip() for text in given for name in text.split(",")]


def _axis_names(given: Texts) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [text.partition("=") for text in apart(given)]
    if not all(old and new for old, _, new in pairs):
        raise ConfigError(f"--axis-name takes OLD=NEW, such as time=words; got {' '.join(given)}.")
    return {old: new for old, _, new in pairs}


def described(describe: bool, classes: Texts, units: Texts) -> dict[str, Any]:
    """Returns what the file is to say of the model, as arguments of `export_model`.

    Raises:
        ConfigError: a unit is of nothing, or of several lists of classes one has no output.
    """
    pairs = [text.partition("=") for text in units or ()]
    if not all(name and unit for name, _, unit in pairs):
        raise ConfigError(f"--unit needs NAME=UNIT, such as speed=m/s; got {' '.join(units or ())}.")
    return {"describe": describe, "classes": _listed(classes), "units": {n: u for n, _, u in pairs} if pairs else None}


def _listed(classes: Texts) -> Any:
    """Returns names of classes: a list for the only output, or lists by the names of outputs."""
    if not classes:
        return None
    parts = [text.partition("=") if "=" in text.partition(",")[0] else ("", "", text) for text in classes]
    lists = [[name.strip() for name in names.split(",")] for _, _, names in parts]
    outputs = [output.strip() for output, _, _ in parts]
    if len(lists) == 1 and not outputs[0]:
        return lists[0]
    if not all(outputs):
        raise ConfigError(f"--classes of several outputs needs OUTPUT=A,B,... for each; got {' '.join(classes)}.")
    return dict(zip(outputs, lists, strict=True))
