"""The reference has a word on everything public: no docstring is missing, and no argument is left out."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from building.docstrings import common_arguments, described, gaps, parameters, parse  # noqa: E402
from building.inventory import MODULES, function_of, inventory  # noqa: E402
from building.rst import docstring_lines, inline  # noqa: E402

pytest.importorskip("seqc_runtime")


@pytest.mark.slow
def test_nothing_public_is_without_a_word() -> None:
    assert [f"{gap.path} {gap.argument}".rstrip() for gap in gaps()] == []


def test_each_thing_is_listed_once_and_where_people_find_it() -> None:
    entries = inventory()
    paths = [entry.path for entry in entries]
    assert len(paths) == len(set(paths)) > 700
    assert len({id(entry.thing) for entry in entries}) == len(entries)
    for path in ("seqc.layers.Dense", "seqc.layers.Layer", "seqc.Model", "seqc.ops.relu", "seqc.losses.Huber",
                 "seqc.optimizers.Adam", "seqc.datasets.digits.load_data", "seqc_runtime.load"):  # fmt: skip
        assert path in paths
    aliases = {alias: entry.path for entry in entries for alias in entry.aliases}
    assert aliases["seqc.layers.Convolution2D"] == "seqc.layers.Conv2D"


def test_common_words_are_used_and_not_said_twice() -> None:
    """Every entry of arguments.toml stands for some argument that has no words of its own."""
    needed: dict[str, set[str]] = {}
    for entry in inventory():
        for thing in (entry.thing, *(function_of(entry.thing, member) for member in entry.members)):
            names = parameters(thing)
            own = parse(inspect.getdoc(thing) or "", names).arguments
            for place in (entry.module, "everywhere", entry.path):
                needed.setdefault(place, set()).update(name for name in names if not own.get(name))
    left_out = MODULES.keys() - {entry.module for entry in inventory()}  # for want of a package
    told = {(place, name) for place, said in common_arguments().items() if place not in left_out for name in said}
    assert {(place, name) for place, name in told if name not in needed.get(place, ())} == set()


def test_arguments_that_share_a_line_are_told_apart() -> None:
    doc = """Sums.

    Args:
        x: a tensor: any. axis: the axes; see `x`. keepdims, dtype: as in
        NumPy.
        seed: a number.

    Returns:
        The sum.

    Raises:
        ShapeError: no axis. DTypeError: a text.
    """
    parsed = parse(inspect.cleandoc(doc), ["x", "axis", "keepdims", "dtype", "seed"])
    assert parsed.arguments == {
        "x": "a tensor: any.", "axis": "the axes; see `x`.", "keepdims": "as in NumPy.", "dtype": "as in NumPy.",
        "seed": "a number.",
    }  # fmt: skip
    assert parsed.text == ["Sums.", ""]
    assert parsed.returns == "The sum."
    names = ["unroll", "window", "center", "beta_regularizer"]
    doc = "Args:\n    unroll: taken. window,\n        center: as there. gamma and the regularizers:\n        None."
    said = {"unroll": "taken.", "window": "as there.", "center": "as there.", "beta_regularizer": "None."}
    assert said.items() <= parse(doc, names).arguments.items()
    assert parsed.raises == [("ShapeError", "no axis."), ("DTypeError", "a text.")]


def test_what_is_said_elsewhere_is_brought_along() -> None:
    import seqc

    said = described(seqc.layers.LSTMCell, "seqc.layers", "LSTMCell")
    assert said["kernel_initializer"] == common_arguments()["seqc.layers"]["kernel_initializer"]  # not "as in `Dense`"
    assert said["units"] == described(seqc.layers.LSTM, "seqc.layers", "LSTM")["units"] != ""
    lines = docstring_lines("seqc.layers.Conv2D", seqc.layers.Conv2D)
    assert sum(line.startswith(":param filters:") for line in lines) == 1
    assert sum(line.startswith(":param ") for line in lines) == len(parameters(seqc.layers.Conv2D))


def test_markup_in_docstrings_is_text() -> None:
    assert inline("a * b and c_ in `x_y` or `a + b`") == r"a \* b and c\_ in `x_y`\  or ``a + b``\ "
