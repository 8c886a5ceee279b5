"""Values, graphs, how they are walked, rebuilt, printed and evaluated."""

from __future__ import annotations

import re

import numpy as np
import pytest

from seqc import ops
from seqc.errors import NoGradientError, NoLoweringError, TraceError
from seqc.graph import dims, ir
from seqc.graph.ir import Constant, Graph, Input, Type, Value, apply_many, constant, input_value
from seqc.graph.rewriting import rewrite
from seqc.ops.arithmetic import Add, Mul
from seqc.ops.rnn import LSTM

BATCH = dims.symbol("batch")


def graph_of(*outputs: Value) -> Graph:
    leaves = tuple(v for v in ir.walk(outputs) if isinstance(v.op, Input))
    return Graph(leaves, outputs, tuple(f"y{i}" for i in range(len(outputs))))


@pytest.fixture
def x() -> Value:
    return input_value("x", "float32", (BATCH, 3))


class TestValues:
    def test_a_value_knows_its_type(self, x: Value) -> None:
        y = ops.matmul(x, np.ones((3, 4), "float32"))
        assert y.type == Type("float32", (BATCH, 4))
        assert (y.shape, y.dtype, y.ndim) == ((None, 4), "float32", 2)
        assert str(y) == "<MatMul: float32[batch, 4]>"

    def test_python_numbers_become_32_bits_and_arrays_stay(self) -> None:
        assert ir.as_value(1.5).dtype == "float32"
        assert ir.as_value([1, 2]).dtype == "int32"
        assert ir.as_value(True).dtype == "bool"
        assert ir.as_value(np.float64(1.5)).dtype == "float64"
        assert ir.as_value(np.arange(3)).dtype == "int64"
        assert ir.as_value(1, "float64").dtype == "float64"

    def test_operators_mean_functions(self, x: Value) -> None:
        made = {
            "Add": x + 1, "Sub": 1 - x, "Mul": 2 * x, "Div": x / 2, "Pow": x**3, "Neg": -x, "Abs": abs(x),
            "Less": x < 0, "LessOrEqual": x <= 0, "Greater": x > 0, "GreaterOrEqual": x >= 0, "Equal": x == 0,
            "Not": x != 0, "And": (x > 0) & True, "Or": False | (x > 0), "Xor": (x > 0) ^ (x < 1), "Mod": x % 2,
            "Floor": x // 2, "MatMul": x @ np.ones((3, 2)), "Squeeze": x[:, 0],
        }  # fmt: skip
        assert {name: v.op.name for name, v in made.items()} == {name: name for name in made}
        assert (~(x > 0)).op.name == "Not"

    def test_an_array_on_the_left_leaves_the_operation_to_us(self, x: Value) -> None:
        y = np.ones((2, 1, 3)) * x
        assert isinstance(y, Value)
        assert y.type == Type("float32", (2, BATCH, 3))

    def test_values_are_compared_by_element_and_found_by_identity(self, x: Value) -> None:
        other = input_value("x", "float32", (BATCH, 3))
        assert (x == other).type == Type("bool", (BATCH, 3))
        assert len({x, other, x}) == 2
        assert {x: 1}.get(other) is None
        assert (x == None) is False  # type: ignore[comparison-overlap]  # noqa: E711
        assert (x == "x") is False

    def test_constants_can_be_computed_with_numpy(self) -> None:
        y = ops.sum(constant(np.arange(4.0)) * 2)
        assert float(y) == 12
        assert int(y) == 12
        assert bool(y == 12)
        np.testing.assert_array_equal(np.asarray(constant(np.arange(3.0))), [0, 1, 2])
        np.testing.assert_array_equal([float(v) for v in constant(np.arange(3.0))], [0, 1, 2])
        copied = np.array(constant(np.arange(3.0)))
        copied[0] = 5  # a constant is not changed through its copy

    @pytest.mark.parametrize("use", [bool, float, int, np.asarray, lambda v: v.numpy(), lambda v: 1 if v > 0 else 2])
    def test_numbers_of_an_input_are_not_known_while_the_graph_is_built(self, use: object) -> None:
        loss = ops.sum(input_value("image", "float32", (BATCH, 3)) * 2)
        message = "This needs the numbers of 'image' (float32[batch, 3]), which are not known while the graph is being"
        with pytest.raises(TraceError, match=re.escape(message)):
            use(loss)  # type: ignore[operator]

    def test_the_length_of_a_symbolic_axis_is_not_known(self, x: Value) -> None:
        assert len(ops.transpose(x)) == 3
        with pytest.raises(TraceError, match="The length of <Input.*> is not known before it runs"):
            len(x)

    def test_values_remember_the_scopes_around_them(self, x: Value) -> None:
        with ir.scope("block"), ir.scope("dense"):
            y = ops.exp(x)
        assert (y.scope, ops.exp(x).scope) == ("block/dense", "")

    def test_results_of_an_operation_with_several_are_picked(self, x: Value) -> None:
        steps = ops.expand_dims(x, 1)
        weights = [np.zeros(s, "float32") for s in ((3, 8), (2, 8), (8,))]
        outputs, h, *_ = apply_many(LSTM(), steps, *weights)
        assert (outputs.type, h.type) == (Type("float32", (BATCH, 1, 2)), Type("float32", (BATCH, 2)))
        with pytest.raises(TraceError, match=r"LSTM has 3 results; pick one\."):
            _ = outputs.inputs[0].type


class TestConstants:
    def test_equal_arrays_are_equal_constants_whatever_their_label(self) -> None:
        a, b = Constant(np.arange(3.0), "dense/kernel"), Constant(np.arange(3.0))
        assert a == b
        assert hash(a) == hash(b)

    @pytest.mark.parametrize(
        "other",
        [np.arange(3.0, dtype="float32"), np.arange(3.0)[:, None], np.array([0.0, 1.0, 3.0]), np.array([-0.0, 1, 2])],
    )
    def test_another_dtype_shape_number_or_sign_of_zero_is_another_constant(self, other: np.ndarray) -> None:
        assert Constant(np.arange(3.0)) != Constant(other)

    def test_not_a_number_equals_itself_in_a_constant(self) -> None:
        assert Constant(np.array([np.nan])) == Constant(np.array([np.nan]))

    def test_a_constant_keeps_its_numbers_when_the_array_changes(self) -> None:
        array = np.zeros(3)
        value = constant(array)
        array[0] = 1
        np.testing.assert_array_equal(value.numpy(), np.zeros(3))
        with pytest.raises(ValueError, match="read-only"):
            value.op.eval()[0] = 1


class TestGraphs:
    def test_walk_gives_operands_before_users_in_the_order_of_writing(self, x: Value) -> None:
        a, b = ops.exp(x), ops.tanh(x)
        c = a * b
        d = c + a
        assert [v.op.name for v in ir.walk([d, b])] == ["Input", "Exp", "Tanh", "Mul", "Add"]

    def test_walk_goes_deeper_than_python_recursion(self, x: Value) -> None:
        y = x
        for _ in range(5000):
            y = y + x
        order = ir.walk([y])
        assert len(order) == 5001
        assert order[0] is x
        assert order[-1] is y

    def test_rewrite_replaces_and_keeps_what_no_rule_touches(self, x: Value) -> None:
        kept = ops.exp(x)
        graph = graph_of(ops.add(kept, ops.multiply(kept, kept)))

        def rule(_: Value, v: Value) -> Value | None:
            return ops.add(*v.inputs) if isinstance(v.op, Mul) else None

        changed = rewrite(graph, rule)
        assert [v.op.name for v in changed.walk()] == ["Input", "Exp", "Add", "Add"]
        assert changed.walk()[1] is kept
        assert changed.inputs == graph.inputs
        assert [v.op.name for v in graph.walk()] == ["Input", "Exp", "Mul", "Add"]

    def test_a_graph_that_no_rule_touches_stays_itself_and_unread_inputs_are_seen(self, x: Value) -> None:
        unread = ir.input_value("unread", "float32", (2,))
        graph = ir.Graph((unread, x), (ops.exp(x),), ("y",))
        seen: list[Value] = []
        assert rewrite(graph, lambda old, _: seen.append(old)) is graph
        assert [v.op.name for v in seen] == ["Input", "Input", "Exp"]
        assert seen[0] is unread
        other = rewrite(graph, lambda old, _: ir.input_value("other", "float32", (2,)) if old is unread else None)
        assert other.inputs[1] is x
        assert other.input_names == ("other", "x")
        assert other.outputs == graph.outputs

    def test_rewrite_shows_a_rule_nodes_with_rewritten_operands(self, x: Value) -> None:
        graph = graph_of(ops.exp(ops.tanh(x)))
        seen: list[str] = []

        def rule(_: Value, v: Value) -> Value | None:
            seen.append(v.op.name + "".join(f" of {i.op.name}" for i in v.inputs))
            return ops.sin(v.inputs[0]) if v.op.name == "Tanh" else None

        rewrite(graph, rule)
        assert seen == ["Input", "Tanh of Input", "Exp of Sin"]

    def test_rewrite_can_replace_an_input_and_keeps_unused_ones(self, x: Value) -> None:
        unused = input_value("unused", "float32", ())
        graph = Graph((x, unused), (ops.exp(x),), ("y",))
        wide = input_value("x", "float32", (BATCH, 5))
        changed = rewrite(graph, lambda _, v: wide if v is x else None)
        assert changed.inputs[0] is wide
        assert changed.inputs[1] is unused
        assert changed.outputs[0].type == Type("float32", (BATCH, 5))

    def test_rewrite_reaches_results_of_operations_with_several(self, x: Value) -> None:
        weights = [np.zeros(s, "float32") for s in ((3, 8), (2, 8), (8,))]
        outputs, h = apply_many(LSTM(), ops.expand_dims(ops.exp(x), 1), *weights)[:2]
        changed = rewrite(graph_of(outputs, h), lambda _, v: v.inputs[0] if v.op.name == "Exp" else None)
        assert "Exp" not in {v.op.name for v in changed.walk()}
        assert [y.type for y in changed.outputs] == [outputs.type, h.type]

    def test_the_same_graph_prints_the_same_text(self, x: Value) -> None:
        kernel = constant(np.zeros((3, 2), "float32"), "dense/kernel")
        y = ops.leaky_relu(ops.matmul(x, kernel) + np.ones(2, "float32"), 0.25) * 2.0
        graph = Graph((x,), (y, ops.max(y, axis=-1)), ("scores", "best"))
        assert str(graph) == "\n".join([
            "graph(x: float32[batch, 3])",
            "  %0 = MatMul <- x, dense/kernel:float32[3, 2] : float32[batch, 2]",
            "  %1 = Add <- %0, const:float32[2] : float32[batch, 2]",
            "  %2 = LeakyRelu(alpha=0.25) <- %1 : float32[batch, 2]",
            "  %3 = Mul <- %2, 2.0 : float32[batch, 2]",
            "  %4 = ReduceMax(axes=(1,)) <- %3 : float32[batch]",
            "  return scores=%3",
            "  return best=%4",
        ])  # fmt: skip

    def test_several_results_print_with_their_numbers(self, x: Value) -> None:
        weights = [np.zeros(s, "float32") for s in ((3, 4), (1, 4), (4,))]
        _, h, c = apply_many(LSTM(reverse=True), ops.expand_dims(x, 1), *weights)[:3]
        lines = str(graph_of(h + c)).splitlines()
        assert lines[2].startswith("  %1 = LSTM(reverse=True) <- %0, const:float32[3, 4], const:float32[1, 4], const:")
        assert lines[3] == "  %2 = Add <- %1.1, %1.2 : float32[batch, 1]"


class TestOperations:
    def test_operations_are_equal_by_their_attributes(self) -> None:
        assert Add() == Add()
        assert Add() != Mul()
        assert LSTM(reverse=True) == LSTM(reverse=True)
        assert LSTM(reverse=True) != LSTM()
        assert len({Add(), Add(), Mul()}) == 2

    def test_an_operation_says_what_it_lacks(self, x: Value) -> None:
        class Bare(ir.Op):
            pass

        with pytest.raises(NoGradientError, match="Bare has no gradient"):
            Bare().vjp(x, x, x)
        with pytest.raises(NoLoweringError, match="Bare cannot be expressed in ONNX"):
            Bare().lower(None, x)  # type: ignore[arg-type]

    def test_attributes_print_where_they_are_not_the_default(self) -> None:
        assert repr(LSTM()) == "LSTM"
        assert repr(LSTM(activation="relu", reverse=True)) == "LSTM(activation='relu', reverse=True)"


def test_sizes_are_read_off_actual_shapes() -> None:
    assert dims.bind_sizes([((BATCH, dims.symbol("time")), (3, 5)), ((BATCH + 1, 4), (4, 4))]) == {
        "batch": 3,
        "time": 5,
    }
