"""Optimizers beyond the recorded cases: names, learning rates, constraints, users' own, messages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import constraints, optimizers
from seqc.errors import ConfigError, NotBuiltError, ShapeError
from seqc.graph.ir import Value, input_value
from seqc.graph.tracing import Trace, Variable, tracing
from seqc.known_classes import known
from seqc.optimizers import schedules
from seqc.serialization import register_keras_serializable
from seqc.utils.naming import clear_session


def variable(*values: float, name: str = "w", **options: Any) -> Variable:
    return Variable(np.array(values, "float32"), name=name, **options)


def scaled(inner: Any, *given: Any, **named: Any) -> Any:
    return optimizers.LossScaleOptimizer(inner, *given, **named)


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adam", "Adam", "ADAM"])
def test_name_in_any_case_stands_for_the_optimizer(name: str) -> None:
    assert type(optimizers.get(name)) is optimizers.Adam


def test_every_identifier_of_keras_is_known(shared_dir: Any) -> None:
    known_names = json.loads((shared_dir / "oracle" / "identifiers.json").read_text())["optimizers"]
    for identifier, meaning in known_names.items():
        assert type(optimizers.get(identifier)).__name__ == meaning


@pytest.mark.parametrize("identifier", ["foo", "yogi", 3, {"class_name": "Foo", "config": {}}, np.sum])
def test_unknown_optimizer_is_named(identifier: Any) -> None:
    with pytest.raises(ConfigError, match="Could not interpret optimizer identifier: "):
        optimizers.get(identifier)


def test_message_about_an_unknown_optimizer_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="identifier: foo. Known: adadelta, .*, adam, .*, sgd"):
        optimizers.get("foo")


def test_none_is_no_optimizer() -> None:
    assert optimizers.get(None) is None


def test_configuration_written_by_keras_on_torch_is_read() -> None:
    found = optimizers.get(
        {
            "module": "keras.src.backend.torch.optimizers.torch_sgd",
            "class_name": "SGD",
            "config": {"learning_rate": 0.5, "momentum": 0.25},
            "registered_name": "SGD",
        }
    )
    assert type(found) is optimizers.SGD
    assert found.momentum == 0.25


# -- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.5}, "`momentum` must be a float between [0, 1]."),
        (
            {"momentum": "high"},
            "SGD received an invalid value for `momentum`, expected a number. Received: momentum='high'",
        ),
        (
            {"use_ema": True, "ema_momentum": 2.0},
            "`ema_momentum` must be in the range [0, 1]. Received: ema_m",
        ),
        (
            {"use_ema": True, "ema_overwrite_frequency": 0.5},
            "`ema_overwrite_frequency` must be an integer >= 1",
        ),
        ({"gradient_accumulation_steps": 1}, "`gradient_accumulation_steps` must be an integer >= 2."),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set."),
        (
            {"learning_rate": "fast"},
            "Argument `learning_rate` should be a number, a LearningRateSchedule, or",
        ),
        ({"speed": 3}, "Argument(s) not recognized: {'speed': 3}"),
    ],
)
def test_argument_out_of_range_is_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        optimizers.SGD(**arguments)
    assert message in str(error.value)


def test_decay_of_old_scripts_is_ignored_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="Argument `decay` is no longer supported and will be ignored."):
        optimizers.SGD(decay=0.1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.AdamW(weight_decay=None), "`weight_decay` must be a float"),
        (lambda: optimizers.Lion(beta_1=0.0), "`beta_1` must be in the [0, 1] range"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.1), "`learning_rate_power` needs to be negative or zero"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), "`l1_regularization_strength` needs to be positive"),
        (
            lambda: optimizers.Muon(exclude_layers="output"),
            "`exclude_layers` must be a list of patterns; got the string",
        ),
        (lambda: optimizers.Muon(exclude_layers=["("]), "`exclude_layers` must be a list of patterns for the paths"),
        (lambda: scaled(optimizers.SGD(), clipnorm=1.0), "Instead, set `clipnorm` on the `inner_optimizer`."),
        (lambda: scaled(optimizers.SGD(), speed=1.0), "does not support arguments: `speed`."),
        (lambda: scaled(optimizers.SGD(), dynamic=False), "no longer supports `dynamic=False`"),
        (lambda: scaled("sgd"), "`inner_optimizer` must be an optimizer; got 'sgd'."),
        (
            lambda: optimizers.MultiOptimizer(optimizers.SGD()),  # type: ignore[arg-type]
            "`optimizer_map` must be an OptimizerMap, or a function",
        ),
        (
            lambda: optimizers.OptimizerMap("sgd"),  # type: ignore[arg-type]
            "default_optimizer must be a Keras Optimizer instance. Received: sgd",
        ),
        (
            lambda: optimizers.OptimizerMap(optimizers.SGD(), [1]),  # type: ignore[arg-type]
            "optimizer_map must be a dictionary. Received: [1]",
        ),
        (lambda: optimizers.OptimizerMap(optimizers.SGD(), {"(": optimizers.SGD()}), "'(' is no pattern for the paths"),
        (
            lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap(scaled(optimizers.SGD()))),
            "optimizer cannot be LossScaleOptimizer, which cannot be used inside a MultiOptimizer.",
        ),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "Argument `decay_steps` must be > 0."),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "Argument `first_decay_steps` must be > 0."),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "should be 1 less than the length of values"),
    ],
)
def test_arguments_of_other_classes_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert message in str(error.value)


# -- learning rates ------------------------------------------------------------------------------------------------


def test_learning_rate_is_a_variable_that_can_be_set_between_steps() -> None:
    optimizer, w = optimizers.SGD(0.5), variable(1.0)
    optimizer.apply([np.ones(1, "float32")], [w])
    assert float(w.array[0]) == 0.5
    optimizer.learning_rate = 0.25
    optimizer.apply([np.ones(1, "float32")])
    assert float(w.array[0]) == 0.25
    assert optimizer.learning_rate.path == f"{optimizer.name}/learning_rate"


def test_learning_rate_of_a_schedule_cannot_be_set() -> None:
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(ConfigError, match="was created with a schedule as its `learning_rate`"):
        optimizer.learning_rate = 0.1


def test_schedule_takes_the_place_of_a_number() -> None:
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate = schedules.PiecewiseConstantDecay([0], [0.25, 0.125])
    assert [v.name for v in optimizer.variables] == ["iteration"]
    w = variable(1.0)
    optimizer.apply([np.ones(1, "float32")], [w])
    optimizer.apply([np.ones(1, "float32")])
    assert float(w.array[0]) == 1.0 - 0.25 - 0.125


def test_function_without_arguments_gives_the_learning_rate() -> None:
    w = variable(1.0)
    optimizers.SGD(lambda: 0.125).apply([np.ones(1, "float32")], [w])
    assert float(w.array[0]) == 0.875


def test_own_schedule_written_with_ops_takes_part() -> None:
    @register_keras_serializable("tests")
    class Halving(schedules.LearningRateSchedule):
        def __init__(self, start: float) -> None:
            self.start = start

        def __call__(self, step: Any) -> Value:
            from seqc import ops

            return ops.power(0.5, ops.cast(step, "float32")) * self.start

    optimizer = optimizers.SGD(Halving(0.5))
    assert float(optimizer.learning_rate) == 0.5
    optimizer.apply([np.zeros(1, "float32")], [variable(1.0)])
    assert float(optimizer.learning_rate) == 0.25
    again = optimizers.get(optimizers.serialize(optimizer))
    assert float(again.learning_rate) == 0.5


def test_schedule_without_call_says_so() -> None:
    with pytest.raises(NotImplementedError, match="'LearningRateSchedule' must override `__call__"):
        schedules.LearningRateSchedule()(0)


# -- steps ---------------------------------------------------------------------------------------------------------


def test_constraint_is_applied_after_the_step() -> None:
    w = variable(0.5, 1.0, constraint=constraints.NonNeg())
    optimizers.SGD(1.0).apply([np.array([1.0, 0.25], "float32")], [w])
    np.testing.assert_array_equal(w.array, [0.0, 0.75])


def test_variable_without_gradient_is_left_as_it_is() -> None:
    moved, still = variable(1.0, name="moved"), variable(1.0, name="still")
    optimizers.Adam(0.1).apply([np.ones(1, "float32"), None], [moved, still])
    assert float(still.array[0]) == 1.0
    assert float(moved.array[0]) == pytest.approx(0.9, abs=1e-5)


def test_excluded_variables_do_not_decay() -> None:
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    kernel, bias, scale = (variable(1.0, name=n) for n in ("kernel", "bias", "scale"))
    optimizer.exclude_from_weight_decay(var_list=[scale], var_names=["^bia"])
    optimizer.apply([np.zeros(1, "float32")] * 3, [kernel, bias, scale])
    assert [float(v.array[0]) for v in (kernel, bias, scale)] == [0.75, 1.0, 1.0]
    with pytest.raises(ConfigError, match="can only be configured before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_scaled_loss_gives_the_same_step() -> None:
    optimizer, w = optimizers.SGD(0.5, loss_scale_factor=8.0), variable(1.0)
    gradient = optimizer.scale_loss(np.ones(1, "float32"))
    assert float(gradient[0]) == 8.0
    optimizer.apply([gradient], [w])
    assert float(w.array[0]) == 0.5


def test_zero_gradients_survive_clipping_by_norm() -> None:
    both: list[dict[str, Any]] = [{"clipnorm": 0.5}, {"global_clipnorm": 0.5}]
    for arguments in both:
        w = variable(1.0, 2.0)
        optimizers.SGD(1.0, **arguments).apply([np.zeros(2, "float32")], [w])
        np.testing.assert_array_equal(w.array, [1.0, 2.0])


def test_lamb_takes_an_unscaled_step_from_zero() -> None:
    w = variable(0.0)
    optimizers.Lamb(0.5).apply([np.ones(1, "float32")], [w])
    assert float(w.array[0]) == pytest.approx(-0.5, abs=1e-5)


def test_gradients_come_as_pairs_too() -> None:
    w = variable(1.0)
    optimizers.SGD(0.5).apply_gradients([(np.ones(1, "float32"), w)])
    assert float(w.array[0]) == 0.5


def test_variables_of_double_precision_have_slots_of_double_precision() -> None:
    w = Variable(np.ones(2), name="w")
    optimizer = optimizers.Adam(0.1)
    optimizer.apply([np.ones(2)], [w])
    assert [v.dtype for v in optimizer.variables] == ["int64", "float32", "float64", "float64"]
    assert w.dtype == "float64"


def test_step_in_a_graph_changes_nothing_until_it_runs() -> None:
    optimizer, w, trace = optimizers.Adam(), variable(1.0), Trace()
    optimizer.build([w])
    with tracing(trace):
        optimizer.apply([input_value("g", "float32", (1,))])
    assert float(w.array[0]) == 1.0
    assert {v.name for v in trace.updates} == {"w", "iteration", "w_momentum", "w_velocity"}


def test_average_is_put_in_place_in_the_end() -> None:
    optimizer, w = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5), variable(4.0)
    for _ in range(2):
        optimizer.apply([np.ones(1, "float32")], [w])
    assert float(w.array[0]) == 2.0
    optimizer.finalize_variable_values([w])
    assert float(w.array[0]) == 2.5
    with pytest.raises(ConfigError, match="keeps no average of <Variable other"):
        optimizer.finalize_variable_values([variable(1.0, name="other")])


# -- what does not fit ---------------------------------------------------------------------------------------------


def test_step_without_known_variables_is_refused() -> None:
    with pytest.raises(NotBuiltError, match="the optimizer must already be built on a list of variables"):
        optimizers.SGD().apply([np.ones(1)])


def test_other_variables_than_those_built_with_are_refused() -> None:
    optimizer = optimizers.SGD()
    optimizer.build([variable(1.0)])
    with pytest.raises(ConfigError, match="Unknown variable: <Variable other"):
        optimizer.apply([np.ones(1, "float32")], [variable(1.0, name="other")])


def test_number_of_gradients_must_be_that_of_the_variables() -> None:
    with pytest.raises(ShapeError, match="One gradient per variable is needed; got 1 for 2 variables."):
        optimizers.SGD().apply([np.ones(1)], [variable(1.0), variable(2.0)])


def test_gradient_must_have_the_shape_of_its_variable() -> None:
    with pytest.raises(ShapeError, match=r"gradient of variable 'w' must have shape \(2,\); got float64\[1\]"):
        optimizers.SGD().apply([np.ones(1)], [variable(1.0, 2.0)])


def test_step_without_any_gradient_is_refused() -> None:
    with pytest.raises(ConfigError, match="No gradients provided for any variable."):
        optimizers.SGD().apply([None], [variable(1.0)])


def test_empty_step_does_nothing() -> None:
    optimizer = optimizers.SGD()
    optimizer.apply([])
    assert int(optimizer.iterations.array) == 0


# -- state ---------------------------------------------------------------------------------------------------------


def test_weights_are_set_in_the_order_of_the_variables() -> None:
    optimizer = optimizers.SGD(0.5, momentum=0.5)
    optimizer.build([variable(1.0, 2.0)])
    optimizer.set_weights([7, 0.125, [3.0, 4.0]])
    assert [np.asarray(v).tolist() for v in optimizer.variables] == [7, 0.125, [3.0, 4.0]]
    with pytest.raises(ShapeError, match="has 3 variables; got 1 arrays"):
        optimizer.set_weights([1])


def test_slots_are_named_after_the_path_of_their_variable() -> None:
    clear_session()
    kernel = variable(1.0, name="kernel")
    kernel.path = "sequential/dense/kernel"
    optimizer = optimizers.Adam()
    optimizer.build([kernel])
    assert [v.path for v in optimizer.variables] == [
        "adam/iteration",
        "adam/learning_rate",
        "adam/sequential_dense_kernel_momentum",
        "adam/sequential_dense_kernel_velocity",
    ]


# -- users' own ----------------------------------------------------------------------------------------------------


@known("optimizers")
class SignDescent(optimizers.Optimizer):
    """Written as for Keras, with `build`, lists of slots, and keyword arguments passed on."""

    def __init__(self, learning_rate: float = 0.1, patience: int = 3, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.patience = patience

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.counts = self.add_optimizer_variables(variables, "count")
        self.sums, self.ends = self.add_optimizer_variables(variables, ["sum", "end"], "ones")

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        from seqc import ops

        self.counts[0].assign(self.counts[0] + 1.0)
        variable.assign(variable - ops.sign(gradient) * learning_rate)


def test_own_optimizer_written_as_for_keras_works_and_is_saved_whole() -> None:
    optimizer, w = SignDescent(0.25, patience=5, clipnorm=1.0), variable(1.0)
    optimizer.apply([np.full(1, 7.0, "float32")], [w])
    assert float(w.array[0]) == 0.75
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate", "w_count", "w_sum", "w_end"]
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert (again.patience, again.clipnorm) == (5, 1.0)


def test_class_without_update_step_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Optimizer does not define update_step"):
        optimizers.Optimizer(0.1).apply([np.ones(1, "float32")], [variable(1.0)])


def test_boundaries_are_whole_for_whole_steps_alone() -> None:
    schedule = schedules.PiecewiseConstantDecay([5.5], [0.5, 0.25])
    assert [float(schedule(step)) for step in (5, 6, 5.2, 5.5, 5.7)] == [0.5, 0.25, 0.5, 0.5, 0.25]


# -- as Keras's scripts have it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adam", "Adam", "ADAM", "LossScaleOptimizer", "lossscaleoptimizer"])
def test_class_names_in_configurations_count_in_any_case(name: str) -> None:
    config = {"inner_optimizer": optimizers.serialize(optimizers.SGD(0.5))} if name[0] in "Ll" else {}
    found = optimizers.get({"class_name": name, "config": config})
    assert type(found).__name__.lower() == name.lower()
    assert type(optimizers.deserialize({"class_name": name, "config": config})) is type(found)


def test_applying_gradients_returns_the_counter() -> None:
    optimizer, w = optimizers.SGD(0.5), variable(1.0)
    assert int(optimizer.apply_gradients([(np.ones(1, "float32"), w)])) == 1
    assert int(scaled(optimizer).apply_gradients([(np.ones(1, "float32"), w)])) == 2


@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize("limit", [0, 0.0, -1.0])
def test_a_limit_that_is_not_positive_is_none(name: str, limit: float) -> None:
    given: Any = {name: limit}
    optimizer, w = optimizers.SGD(0.5, **given), variable(1.0)
    optimizer.apply([np.full(1, 4.0, "float32")], [w])
    assert float(w.array[0]) == -1.0


def test_averages_of_no_step_replace_nothing() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.1, use_ema=True), "mse")
    x = np.ones((4, 1), "float32")
    model.fit(x, x, epochs=0, verbose=0)
    model.evaluate(x, x, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])
    assert [w.tolist() for w in model.get_weights()] == [[[1.0]], [0.0]]


class OwnLimits(optimizers.SGD):
    def _clip_gradients(self, grads: Any) -> Any:
        return [g * 0.5 for g in grads]


class OwnDecay(optimizers.SGD):
    def _apply_weight_decay(self, variables: Any) -> None:
        for one in variables:
            one.assign(one * 0.5)


class OwnUpdate(optimizers.SGD):
    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        super()._backend_update_step([g * 0 for g in grads], trainable_variables, learning_rate)


@pytest.mark.parametrize(("kind", "wanted"), [(OwnLimits, 0.75), (OwnDecay, 0.0), (OwnUpdate, 1.0)])
def test_parts_of_a_step_are_overridden_by_keras_names(kind: Any, wanted: float) -> None:
    optimizer, w = kind(0.5), variable(1.0)
    optimizer.apply([np.ones(1, "float32")], [w])
    assert float(w.array[0]) == wanted


def test_variables_are_added_as_in_the_text_of_keras() -> None:
    optimizer, w = optimizers.SGD(0.5), variable(1.0)
    assert optimizer.add_variable_from_reference(reference_variable=w).name == "w_var"
    (one,) = optimizer.add_optimizer_variables(trainable_variables=[w], name="one")
    sums, ends = optimizer.add_optimizer_variables([w], ["sum", "end"], ["zeros", "ones"])
    made = optimizer.add_variable((2,), "ones", None, aggregation="none", layout=None, name="made")
    assert [v.numpy().tolist() for v in (one, *sums, *ends, made)] == [[0.0], [0.0], [1.0], [1.0, 1.0]]
    assert made.dtype == "float32"
    with pytest.raises(ConfigError, match="number of provided names must match"):
        optimizer.add_optimizer_variables([w], ["sum", "end"], ["zeros"])


def test_an_optimizer_written_as_for_keras_trains() -> None:
    class Own(optimizers.Optimizer):
        def build(self, variables: Any) -> None:
            super().build(variables)
            self.sums = self.add_optimizer_variables(variables, "sum")

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            total = self.sums[self._get_variable_index(variable)]
            self.assign_add(total, gradient)
            self.assign_sub(variable, learning_rate * total)
            self.assign(total, total * 0.5)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(Own(0.25), lambda y_true, y_pred: y_pred - y_true)
    for _ in range(2):
        model.fit(np.ones((4, 1), "float32"), np.ones((4, 1), "float32"), batch_size=2, verbose=0)
    # The gradient is 1 in each of four steps: sums of 1, 1.5, 1.75 and 1.875.
    assert float(model.get_weights()[0][0, 0]) == -0.25 * 6.125
    assert len(model.optimizer.variables) == 3
