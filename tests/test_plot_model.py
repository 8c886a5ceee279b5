"""`seqc.utils.plot_model`: boxes and arrows as Keras draws them, and files of each kind."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import seqc as keras
from kit.branched_models import nested, operations, shared, states
from seqc import layers
from seqc.errors import ConfigError, MissingDependencyError, NotBuiltError

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")
Arrows = list[tuple[str, str]]

# Drawn by Keras 3.15 (`model_to_dot`), which calls the operation of a product multiply, not mul.
SHARED = [("drop", "q"), ("image", "shared"), ("join", "drop"), ("join", "p"), ("shared", "join"), ("text", "shared")]
OPERATIONS = [("add", "relu"), ("d", "multiply"), ("multiply", "add"), ("relu", "ln"), ("x", "add"), ("x", "d")]
STATES = [("enc", "dec"), ("enc", "mha"), ("s", "enc")]
NESTED = [("fmod", "o"), ("inner", "fmod"), ("x", "inner")]
INSIDE = [("fa", "o"), ("fd", "fa"), ("i1", "i2"), ("i2", "i2in"), ("i2in", "fa"), ("i2in", "fd"), ("x", "i1")]


def need_pydot() -> None:
    pytest.importorskip("pydot", reason="pydot is not installed")


def arrows(graph: Any) -> Arrows:
    """Returns the arrows of a graph by the names in their boxes."""
    names: dict[str, str] = {}
    found: list[Any] = []

    def look(part: Any) -> None:
        for node in part.get_nodes():
            if (head := re.search("<b>(.*?)</b>", str(node.get("label")))) is not None:
                names[node.get_name()] = head[1]
        found.extend(part.get_edges())
        for inside in part.get_subgraphs():
            look(inside)

    look(graph)
    return sorted((names[edge.get_source()], names[edge.get_destination()]) for edge in found)


@pytest.mark.parametrize(
    ("make", "expanded", "expected"),
    [
        (shared, True, SHARED),
        (operations, False, OPERATIONS),
        (states, False, STATES),
        (nested, False, NESTED),
        (nested, True, INSIDE),
    ],
)
def test_arrows_are_those_of_keras(make: Any, expanded: bool, expected: Arrows) -> None:
    need_pydot()
    assert arrows(keras.utils.model_to_dot(make(), expand_nested=expanded)) == expected


def test_a_stack_is_a_chain_and_a_subclass_one_box() -> None:
    need_pydot()
    stack = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, name="one"), layers.Dense(1, name="two")], name="stack"
    )
    assert arrows(keras.utils.model_to_dot(stack)) == [("one", "two")]

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.inner = layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    model = Own()
    with pytest.raises(NotBuiltError, match="'own' has not been built"):
        keras.utils.model_to_dot(model)
    model.build((None, 3))
    assert "<b>own</b> (Own)" in keras.utils.model_to_dot(model).to_string()


def test_arrows_into_models_of_several_inputs_and_outputs_meet_the_right_ones() -> None:
    need_pydot()
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model(
        {"a": a, "b": b}, [layers.Dense(2, name="of_a")(a), layers.Dense(3, name="of_b")(b)], name="inner"
    )
    x, y = keras.Input((3,), name="x"), keras.Input((2,), name="y")
    first, second = inner({"b": x, "a": y})
    model = keras.Model([x, y], [layers.Dense(1, name="p")(first), layers.Dense(1, name="q")(second)])
    found = arrows(keras.utils.model_to_dot(model, expand_nested=True))
    assert found == [("a", "of_a"), ("b", "of_b"), ("of_a", "p"), ("of_b", "q"), ("x", "b"), ("y", "a")]


def test_boxes_say_what_is_asked_for() -> None:
    need_pydot()
    model = shared()
    model.get_layer("q").trainable = False
    plain = keras.utils.model_to_dot(model, show_layer_names=False).to_string()
    assert "<b>Dense</b>" in plain
    assert "shared" not in plain
    assert "shape" not in plain.replace("shape=none", "")
    text = keras.utils.model_to_dot(
        model, show_shapes=True, show_dtype=True, show_layer_activations=True, show_trainable=True, rankdir="LR", dpi=72
    ).to_string()
    for part in (
        "<b>join</b> (Concatenate)",
        "Input shape: <b>[(None, 8), (None, 8)]</b>",
        "Output shape: <b>(None, 16)</b>",
        "Output dtype: <b>float32</b>",
        "Activation: <b>linear</b>",
        "rankdir=LR",
        "dpi=72",
    ):
        assert part in text
    assert text.count("<b>Trainable</b>") == 2
    assert text.count("<b>Non-trainable</b>") == 1


@pytest.mark.parametrize("nested_name", ['a"b', "c\\", "<d>&"])
@needs_dot
def test_files_of_each_kind_are_written_whatever_layers_are_called(nested_name: str, tmp_path: Path) -> None:
    need_pydot()
    x = keras.Input((3,), name='<img>&"x')
    inside = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="i")], name=nested_name)
    model = keras.Model(x, inside(x) + 1)
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "dot": b"digraph"}
    for kind, start in begins.items():
        keras.utils.plot_model(model, tmp_path / f"m.{kind}", show_layer_names=True, expand_nested=True)
        assert (tmp_path / f"m.{kind}").read_bytes().startswith(start)
    text = (tmp_path / "m.svg").read_text()
    assert "&lt;img&gt;&amp;&quot;x" in text.replace('"', "&quot;")
    assert ">add<" in text


def test_text_for_other_programs_needs_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_pydot()
    monkeypatch.setenv("PATH", str(tmp_path))
    keras.utils.plot_model(shared(), tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text().count("->") == len(SHARED)
    with pytest.raises(MissingDependencyError, match="program `dot`, which is not on the PATH. Install Graphviz"):
        keras.utils.plot_model(shared(), tmp_path / "m.png")
    assert not (tmp_path / "m.png").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(MissingDependencyError, match=r'pydot, which is not installed: pip install "seqc\[plot\]"'):
        keras.utils.plot_model(shared())


def test_arguments_without_sense_are_refused(tmp_path: Path) -> None:
    need_pydot()
    with pytest.raises(ConfigError, match=r"plot_model writes \.png, .*; got 'm\.doc'"):
        keras.utils.plot_model(shared(), "m.doc")
    with pytest.raises(ConfigError, match="rankdir must be one of TB, BT, LR, RL; got 'down'"):
        keras.utils.plot_model(shared(), tmp_path / "m.png", rankdir="down")
    with pytest.raises(ConfigError, match="dpi must be a positive number"):
        keras.utils.plot_model(shared(), tmp_path / "m.png", dpi=0)
