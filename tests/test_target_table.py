"""docs/targets.md says of every target and layer what the code does; and what goes there computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from kit import layer_table, target_table
from kit.drawn import may_be_odd
from kit.effort import effort, turn
from kit.random_graphs import graphs, samples, spread_weights
from kit.target_table import compiled, graph_of
from seqc import Model
from seqc.errors import SeqcError
from seqc.export.emitter import Emission
from seqc.export.model import inference_graph
from seqc.export.places import PLACES, Place, find_place
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.passes.precision import promote_floats

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

# The places in which anything is written otherwise than in any other.
FORMS = [p for p in PLACES.values() if p.forms or p.lacking or not p.stops_at_lengths] + [find_place(min_ort="1.16")]
some = settings(max_examples=effort(25, 100), suppress_health_check=[HealthCheck.too_slow], deadline=None)


def written() -> list[str]:
    return target_table.PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_has_every_target_as_the_code_has_it() -> None:
    page = written()
    first = page.index(target_table.places()[0])
    assert page[first : first + len(PLACES) + 2] == target_table.places(), "run `python -m kit.target_table` in tests/"


@pytest.mark.slow
def test_the_page_has_a_row_for_every_layer_that_a_file_can_hold() -> None:
    rows = [line.split("`")[1] for line in written() if line.startswith("| `")][len(PLACES) :]
    assert rows == [name for name, _ in target_table._exported()]
    assert len(rows) > 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_the_page_says_where_every_layer_goes() -> None:
    page, lines = written(), target_table.layer_lines()
    assert page[page.index(lines[0]) :] == lines, "run `python -m kit.target_table` in tests/"


def check_numbers(emission: Emission, graph: Graph, arrays: list[Array], who: Any) -> None:
    """Fails where onnxruntime does not compute a file's graph in double precision."""
    from seqc.backends.onnxruntime import Session

    found = Session(emission.content, threads=1).run(dict(zip(graph.input_names, arrays, strict=True)))
    wide = [x.astype("float64") if x.dtype == np.float32 else x for x in arrays]
    for name, truth in zip(graph.output_names, Interpreter(promote_floats(graph)).run(wide), strict=True):
        if np.asarray(truth).dtype.kind != "f":
            np.testing.assert_array_equal(found[name], truth, err_msg=str(who))
            continue
        scale = np.max(np.abs(truth[np.isfinite(truth)]), initial=1e-3)
        np.testing.assert_allclose(found[name], truth, rtol=1e-4, atol=2e-5 * scale, err_msg=str(who))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize("place", FORMS, ids=lambda p: p.name)
def test_every_kept_layer_computes_the_same_in_the_forms_of_a_place(place: Place) -> None:
    taken = 0
    # Each case in the forms of some places, and in each place cases of all kinds.
    for case in turn(layer_table._cases(), FORMS.index(place), 3):
        try:
            graph = graph_of(case, place)
        except SeqcError:
            continue
        emission = compiled(graph, place)
        x = case.arrays["x"]
        if isinstance(emission, str) or x.dtype.kind in "OUS":
            continue
        taken += 1
        check_numbers(emission, graph, [x.astype(case.facts["input_dtype"])], (place.name, case.id))
    assert taken > effort(25, 100)


@pytest.mark.slow
@may_be_odd
@some
@given(graphs())
def test_random_graphs_compute_the_same_in_the_forms_of_every_place(model: Model) -> None:
    spread_weights(model)
    arrays = samples(model, 3)
    for place in FORMS:
        shapes: Any = [x.shape for x in arrays]
        assert place is not None
        graph = inference_graph(model, (shapes[0] if len(shapes) == 1 else shapes) if place.fixed else None)
        emission = compiled(graph, place)
        if not isinstance(emission, str):
            check_numbers(emission, graph, arrays, place.name)
