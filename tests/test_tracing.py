"""Variables and traces: what is read becomes an input of the graph, what is assigned becomes an output."""

from __future__ import annotations

import threading
from typing import Any
from weakref import ref

import numpy as np
import pytest

import seqc as keras
from seqc import Variable, ops
from seqc.errors import ShapeError, TraceError
from seqc.graph import eager
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, input_value, walk
from seqc.graph.tracing import Trace, current_trace, require_trace, tracing

# -- variables outside a trace -----------------------------------------------------------------------------------------


def test_a_variable_outside_a_trace_is_its_array() -> None:
    v = Variable(np.array([1.0, 2.0], "float32"), name="v")
    assert (v.shape, v.dtype, v.ndim, str(v.type)) == ((2,), "float32", 1, "float32[2]")
    np.testing.assert_array_equal(v, [1, 2])
    np.testing.assert_array_equal(v.value, [1, 2])
    np.testing.assert_array_equal(v * 2 + 1, [3, 5])
    np.testing.assert_array_equal(np.array([10.0, 20.0], "float32") - v, [9, 18])
    np.testing.assert_allclose(np.exp(v), np.exp([1, 2]), rtol=1e-6)
    np.testing.assert_array_equal(np.add.reduce(v), 3)


def test_a_variable_is_made_in_the_ways_of_keras() -> None:
    assert Variable(1.5).dtype == "float32"
    assert Variable(3).dtype == "int32"
    assert Variable(np.zeros(2), dtype="int64").dtype == "int64"
    made = Variable(keras.initializers.Ones(), shape=(2, 3), dtype="float32", trainable=False)
    np.testing.assert_array_equal(made, np.ones((2, 3)))
    assert not made.trainable
    copy = Variable(made)
    made.assign(np.zeros((2, 3)))
    np.testing.assert_array_equal(copy, np.ones((2, 3)))


def test_assigning_keeps_shape_and_dtype() -> None:
    v = Variable(np.zeros(2, "float32"), name="v")
    v.assign([1, 2])
    v.assign_add(np.ones(2))
    v.assign_sub([0.5, 0.5])
    np.testing.assert_array_equal(v, [1.5, 2.5])
    assert v.dtype == "float32"
    v.assign(Variable(np.array([7, 8])))
    assert (v.dtype, v.numpy().tolist()) == ("float32", [7, 8])
    with pytest.raises(ShapeError, match="Variable 'v' has shape \\(2,\\); got a value of shape \\(3,\\)"):
        v.assign(np.zeros(3))
    with pytest.raises(ShapeError, match="got a value of shape \\(\\)"):
        v.assign(0.0)


def test_arrays_that_go_in_or_come_out_are_copies() -> None:
    array = np.zeros(2, "float32")
    v = Variable(array)
    v.assign(array)
    array[:] = 9
    v.numpy()[:] = 9
    np.testing.assert_array_equal(v, [0, 0])


# -- inside a trace ----------------------------------------------------------------------------------------------------


def run(trace: Trace, outputs: list[Value], **inputs: Any) -> list[Any]:
    """Computes outputs of a trace, whose variables are read as they are now."""
    leaves = (*trace.reads.values(), *(x for x in trace.inputs))
    graph = Graph(leaves, tuple(outputs), tuple(map(str, range(len(outputs)))))
    return Interpreter(graph).run([*(v.array for v in trace.reads), *inputs.values()])


def test_a_read_is_an_input_and_an_assignment_an_output() -> None:
    v, trace = Variable(np.array([1.0, 2.0], "float32"), name="v"), Trace()
    with tracing(trace):
        before = v * 10
        v.assign_add([1, 1])
        after = v * 10
        v.assign(v * 2)
    np.testing.assert_array_equal(v, [1, 2])
    assert list(trace.reads) == list(trace.updates) == [v]
    for array in ([1, 2], [5, 6]):
        v.assign(array)
        results = run(trace, [before, after, trace.updates[v]])
        for found, wanted in zip(results, (10 * v.numpy(), 10 * (v.numpy() + 1), 2 * (v.numpy() + 1)), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_an_assigned_value_takes_the_dtype_of_the_variable() -> None:
    count, trace = Variable(0, name="count"), Trace()
    with tracing(trace):
        count.assign(count + 1.5)
    assert trace.updates[count].dtype == "int32"


def test_the_numbers_of_a_variable_cannot_be_asked_while_tracing() -> None:
    v = Variable(np.array([1.0], "float32"), name="scale")
    questions: list[Any] = [Variable.numpy, np.asarray, float, int, np.exp, np.sum, lambda v: v.value.numpy()]
    for ask in questions:
        with tracing(Trace()), pytest.raises(TraceError, match="needs the numbers of 'scale' .*Use seqc.ops functions"):
            ask(v)
        with tracing(Trace()), tracing(None):
            ask(v)


def test_variables_of_one_path_get_different_names() -> None:
    a, b, trace = Variable(1.0, name="w"), Variable(2.0, name="w"), Trace()
    with tracing(trace):
        total = a + b
    assert [trace.label(v) for v in (a, b)] == ["w", "w_1"]
    assert run(trace, [total]) == [3.0]


def test_traces_nest_and_end_with_an_error() -> None:
    def fail_in(trace: Trace) -> None:
        assert current_trace() is trace
        raise KeyError

    outer, inner = Trace(), Trace(training=True)
    assert current_trace() is None
    with tracing(outer):
        with pytest.raises(KeyError), tracing(inner):
            fail_in(inner)
        assert current_trace() is outer
    assert current_trace() is None


def test_a_trace_belongs_to_its_thread() -> None:
    found: list[Any] = []
    with tracing(Trace()):
        thread = threading.Thread(target=lambda: found.append(current_trace()))
        thread.start()
        thread.join()
    assert found == [None]


def test_what_needs_a_trace_says_so() -> None:
    with pytest.raises(TraceError, match="add_loss of layer 'a' works only inside a model that is being traced"):
        require_trace("add_loss of layer 'a'")


def test_random_numbers_differ_by_place_step_and_seed() -> None:
    trace = Trace()
    like = input_value("like", "float32", (50,))
    with tracing(trace):
        drawn = [trace.random_uniform(like), trace.random_uniform(like)]
    graph = Graph((like, trace.seed, trace.step), tuple(drawn), ("a", "b"))

    def draw(seed: int, step: int) -> list[Any]:
        return Interpreter(graph).run([np.zeros(50, "float32"), np.int64(seed), np.int64(step)])  # type: ignore[list-item]

    a, b = draw(1, 1)
    np.testing.assert_array_equal(a, draw(1, 1)[0])
    for other in (b, draw(2, 1)[0], draw(1, 2)[0]):
        assert np.any(a != other)


# -- computed values and NumPy -----------------------------------------------------------------------------------------


def test_numpy_functions_take_values_that_are_known() -> None:
    y = keras.layers.Activation("relu")(np.array([[-1.0, 4.0]], "float32"))
    np.testing.assert_array_equal(np.sqrt(y), [[0, 2]])
    np.testing.assert_array_equal(np.maximum(y, 1), [[1, 4]])
    np.testing.assert_array_equal(np.concatenate([y, y]), [[0, 4], [0, 4]])
    assert np.argmax(y) == 1
    assert np.mean(y) == 2
    assert isinstance(np.sqrt(y), np.ndarray)


@pytest.mark.parametrize("asks", [float, bool, np.asarray, str, lambda y: y.numpy(), np.sqrt])
def test_a_loop_that_asks_for_numbers_computes_no_operation_often(asks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated, count = eager._evaluated, [0]

    def counted(value: Value, arrays: list[Any]) -> Any:
        count[0] += 1
        return evaluated(value, arrays)

    monkeypatch.setattr(eager, "_evaluated", counted)
    x, wanted = ops.convert_to_tensor(np.ones((2, 2))), np.ones((2, 2))
    made = []
    for _ in range(100):
        x, wanted = x * 0.5 + ops.sin(x), wanted * 0.5 + np.sin(wanted)
        asks(ops.sum(x))
        made.append(x)
    np.testing.assert_allclose(x, wanted)
    assert count[0] < 100 * (4 + 2 * eager.REPEATED)
    assert ops.sum(made[0]).numpy() == pytest.approx(4 * (0.5 + np.sin(1)))


def test_results_that_are_kept_do_not_keep_all_that_they_were_made_of() -> None:
    start = np.ones((100, 100), "float32")
    outputs = [ops.sum(ops.exp(ops.sin(ops.convert_to_tensor(start)) * 2 + 1)) for _ in range(3)]
    for y in outputs:
        float(y)
        assert y.known is not None
        assert all(v.known is None for v in walk([y]) if v is not y)


def test_a_chain_that_stands_already_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    below = eager._not_yet_known

    def counted(value: Value) -> list[Value]:
        sizes.append(len(below(value)))
        return below(value)

    monkeypatch.setattr(eager, "_not_yet_known", counted)
    chain = [ops.convert_to_tensor(np.ones(2))]
    for _ in range(50):
        chain.append(chain[-1] + 1)
    assert [x.numpy().tolist() for x in chain] == [[float(i + 1)] * 2 for i in range(51)]
    assert max(sizes) <= 3


def test_numbers_that_were_asked_for_keep_no_history_and_are_nobody_elses() -> None:
    x = ops.convert_to_tensor(np.ones(2, "float32"))
    first, y = ref(x), x * 2
    for _ in range(2):
        found = y.numpy()
        found += 5
    y = y * 1
    del x
    assert first() is None
    assert y.numpy().tolist() == [2, 2]


def test_asking_for_numbers_on_the_way_changes_no_derivative() -> None:
    def cubed(x: Any) -> Any:
        y = x * x
        return y * x if float(ops.sum(y)) > 0 else y

    class Model(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            one = ops.convert_to_tensor(np.float32(2))
            asked = one * 1.0
            with keras.GradientTape() as tape:
                y, tripled = cubed(asked), before * 3.0
            return {"early": tape.gradient(y, asked), "late": tape.gradient(tripled, before)}

    x = np.array([2.0], "float32")
    assert [y.numpy().tolist() for y in ops.jvp(cubed, [x], [np.ones_like(x)])] == [[8], [12]]
    before = ops.convert_to_tensor(np.float32(5)) * 1.0
    float(before)
    model = Model([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd")
    assert model.train_on_batch(x[:, None], return_dict=True) == {"early": 12, "late": 3}


@pytest.mark.parametrize(
    ("compute", "wanted"),
    [
        (lambda a, y: a + y, [11, 22]),
        (lambda a, y: a - y, [9, 18]),
        (lambda a, y: a * y, [10, 40]),
        (lambda a, y: a / y, [10, 10]),
        (lambda a, y: a // y, [10, 10]),
        (lambda a, y: a % (y + 2), [1, 0]),
        (lambda a, y: a**y, [10, 400]),
        (lambda a, y: a @ y, 50),
        (lambda a, y: a > y * 11, [False, False]),
        (lambda a, y: (a > 0) & (y > 1), [False, True]),
        (lambda a, y: np.add(a, y), [11, 22]),
    ],
)
def test_an_operator_with_an_array_on_its_left_stays_in_the_graph(compute: Any, wanted: Any) -> None:
    a = np.array([10.0, 20.0], "float32")
    assert compute(a, np.array([1.0, 2.0], "float32")).tolist() == wanted
    result = compute(a, ops.convert_to_tensor(np.array([1.0, 2.0], "float32")))
    assert isinstance(result, Value)
    assert result.numpy().tolist() == wanted
    trace = Trace()
    v = Variable(np.array([1.0, 2.0], "float32"))
    with tracing(trace):
        traced = compute(a, v)
    np.testing.assert_array_equal(run(trace, [traced])[0], wanted)
