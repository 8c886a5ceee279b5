"""What `get_config()` of every layer, optimizer, schedule, loss, metric, regularizer, constraint and initializer holds.

`python -m kit.configurations` in tests/, by a Python that has Keras, records what Keras's hold in
cases/configurations.json; tests/test_configurations.py holds seqc's against it.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).resolve().parents[1] / "cases" / "configurations.json"
KINDS = (
    "layers", "optimizers", "optimizers.schedules", "losses", "metrics", "regularizers", "constraints", "initializers",
)  # fmt: skip
# What constructors cannot do without, by the name of the argument.
NEEDED: dict[str, Any] = {
    "units": 2, "filters": 2, "kernel_size": 2, "input_dim": 3, "output_dim": 2, "equation": "ab,bc->ac", "rate": 0.5,
    "output_shape": 2, "num_heads": 1, "key_dim": 2, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1,
    "height": 4, "width": 4, "target_shape": (2,), "dims": (1,), "axes": 1, "n": 2, "stddev": 0.1, "num_bins": 3,
    "activation": "relu", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "first_decay_steps": 5,
    "num_classes": 2, "target_class_ids": [0], "recall": 0.5, "precision": 0.5, "sensitivity": 0.5, "specificity": 0.5,
    "height_factor": 0.1, "output_size": 2, "pool_size": 2, "max_number": 2, "factor": 0.5, "scale": 2.0,
    "learning_rate": 0.1, "width_factor": 0.1, "num_tokens": 4, "max_tokens": 4, "target_size": (2, 2),
}  # fmt: skip
# What is made otherwise, in the namespace of the library.
MADE = {
    "Bidirectional": "layers.Bidirectional(layers.LSTM(2))",
    "TimeDistributed": "layers.TimeDistributed(layers.Dense(2))",
    "Wrapper": "layers.Wrapper(layers.Dense(2))",
    "SpectralNormalization": "layers.SpectralNormalization(layers.Dense(2))",
    "RNN": "layers.RNN(layers.LSTMCell(2))",
    "StackedRNNCells": "layers.StackedRNNCells([layers.LSTMCell(2)])",
    "Pipeline": "layers.Pipeline([layers.ReLU()])",
    "RandomApply": "layers.RandomApply(layers.ReLU())",
    "RandomPosterization": "layers.RandomPosterization(4)",
    "Discretization": "layers.Discretization([0.5])",
    "CategoryEncoding": "layers.CategoryEncoding(3)",
    "InputLayer": "layers.InputLayer((3,))",
    "MultiOptimizer": "optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD()))",
    "OptimizerMap": "optimizers.OptimizerMap(optimizers.SGD())",
    "LossScaleOptimizer": "optimizers.LossScaleOptimizer(optimizers.SGD())",
    "PiecewiseConstantDecay": "optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.2])",
    "MeanMetricWrapper": "metrics.MeanMetricWrapper(metrics.mean_squared_error)",
}
# Around what comes from other frameworks, functions, and bases that say nothing.
LEFT_OUT = {
    *("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "Lambda"),
    *("LearningRateSchedule", "Loss", "Metric", "Regularizer", "Constraint", "Initializer"),
}


def made(library: Any, kind: str, name: str) -> Any:
    """Returns an object of a library's class with as few arguments as it takes."""
    if name in MADE:
        return eval(MADE[name], vars(library))
    cls = getattr(place_of(library, kind), name)
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return cls(**{argument: NEEDED[argument] for argument in needed})


def place_of(library: Any, kind: str) -> Any:
    for part in kind.split("."):
        library = getattr(library, part)
    return library


def names(library: Any, kind: str) -> list[str]:
    """Returns the names of the classes of a kind, each once."""
    classes = {name: cls for name, cls in vars(place_of(library, kind)).items() if inspect.isclass(cls)}
    known = {name for name, cls in classes.items() if cls.__name__ == name or cls.__name__ not in classes}
    return sorted(name for name in known - LEFT_OUT if not name.startswith("_"))


def main() -> None:
    import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]

    kept = {
        f"{kind}.{name}": " ".join(sorted(made(keras, kind, name).get_config()))
        for kind in KINDS
        for name in names(keras, kind)
    }
    RECORD.write_text(json.dumps(kept, indent=0) + "\n")


if __name__ == "__main__":
    main()
