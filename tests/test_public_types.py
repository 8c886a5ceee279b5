"""What is public says the types of its arguments and results; where that is `Any`, a table says why."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from building.inventory import function_of, inventory  # noqa: E402

pytest.importorskip("seqc_runtime")
pytestmark = pytest.mark.slow  # it loads everything public

# Reason -> names of arguments. None of Python's types says what these may be.
ARGUMENTS = {
    "a tensor: what NumPy makes an array of, here or in another library, a symbol, or a variable": """
        X a alpha array b base beta bias bins condition coordinates counts default depthwise_kernel dx elements elems
        end_points fill_value gamma idf_weights image1 image2 images img index indices init init_val inputs kernel key
        like logits lower mask mask_value mean num_segments offset output output_length pointwise_kernel pred
        predictions primals probabilities q query ref_embeddings ref_labels repeats sample_weight scale segment_ids
        sequence_lengths shift sigma sorted_sequence source start start_indices start_points step stop tangents
        target target_length targets tensor transform translation updates upper value values variable variance volumes
        window x x1 x2 x_max x_min xs y y_pred y_true
    """,
    "what Keras takes as a name, as a configuration, as an object, or as a function of the caller's": """
        *_activation *_constraint *_initializer *_regularizer activation call_function cell config constraint
        identifier initializer layer learning_rate loss loss_weights metric metrics obj optimizer preprocessor
        regularizer thing vocabulary weighted_metrics
    """,
    "an element type: a name, a type of Python's or NumPy's, or a policy": "default_policy dtype reverse_dtype",
    "sizes: numbers, None, and symbols that are known when the model runs, one or several": """
        batch_size cropping newshape output_shape pad_width padding shape
    """,
    "one for each input or output: alone, in a list, or in a dictionary of any depth": """
        input_signature input_tensors loop_vars output_gradients outputs shallow_structure sources specs structure
    """,
    "a number, a generator, or None, as there": "random_state seed",
    "samples: arrays, tables of pandas or polars, data sets of h5py or zarr, generators": """
        data dataset labels rows validation_data
    """,
    "an object of another library, or of any class that has the methods": """
        layout model name path pipeline result session
    """,
    "one callback, or lists of them": "callbacks",
    "a name or path of weights, None, or the weights of samples and classes": "weights",
    "a name, a path, or a list of them": "embeddings_metadata",
    "a number, or False": "unroll",
    "a name, or a member of TensorFlow's enumeration": "unconnected_gradients",
}
# Reason -> patterns of paths. What these give depends on what they are given.
RESULTS = {
    "arrays or tensors in the structure of the model's outputs, or of what the caller's functions give": """
        seqc.GradientTape.*gradient seqc.GradientTape.*jacobian seqc.Model.compute_loss seqc.Model.evaluate
        seqc.Model.forward seqc.Model.predict* seqc.Model.test_* seqc.Model.train_* seqc.layers.Layer.call
        seqc.layers.Layer.compute_output_spec seqc.layers.Layer.input seqc.layers.Layer.output seqc.layers.Layer.*_call
        seqc.losses.Loss.call seqc.metrics.Metric.stateless_result seqc.ops.* seqc.optimizers.Optimizer.scale_loss
        seqc.utils.FeatureSpace.get_encoded_features seqc.utils.pack_x_y_sample_weight seqc_runtime.Model.predict
    """,
    "shapes in the structure of the model's inputs or outputs": "seqc.Model.input_shape seqc.Model.output_shape",
    "a value, or a symbol, as the operands are": """
        seqc.layers.add seqc.layers.average seqc.layers.concatenate seqc.layers.dot seqc.layers.maximum
        seqc.layers.minimum seqc.layers.multiply seqc.layers.subtract
    """,
    "an object of any class, also the caller's own, or plain data of one": """
        seqc.*.deserialize seqc.*.get seqc.*.serialize seqc.saving.*deserialize* seqc.saving.get_registered_object
        seqc.saving.serialize_keras_object seqc.initializers.Initializer.clone seqc.optimizers.Optimizer.from_config
        seqc.Model.get_layer seqc.Model.loss seqc.Model.optimizer seqc.callbacks.Callback.model
    """,
    "what an optimizer counts in and reads: a variable, a schedule or a number": """
        seqc.optimizers.Optimizer.add_optimizer_variables seqc.optimizers.Optimizer.iterations
        seqc.optimizers.Optimizer.learning_rate
    """,
    "a tree of what the caller's function gives": "seqc.tree.*",
    "the estimator itself, of a class that scikit-learn makes": "seqc.wrappers.*.fit",
    "data sets, alone or with their class names": "seqc.preprocessing.* seqc.utils.*_dataset_from_directory",
    "an object of Pillow, pydot or IPython": """
        seqc.utils.array_to_img seqc.utils.load_img seqc.utils.model_to_dot seqc.utils.plot_model
    """,
    "a receipt, or what another format gives": "seqc.Model.export",
    "whatever was put in": "seqc.utils.Config.get seqc.utils.Config.pop",
}


def without_types() -> Iterator[tuple[str, str]]:
    """Yields the path of everything public, and an argument of it, or "return", that is `Any`."""
    for entry in inventory():
        things = [(entry.path, entry.thing)]
        things += [(f"{entry.path}.{member}", function_of(entry.thing, member)) for member in entry.members]
        for path, thing in things:
            try:
                signature = inspect.signature(thing)
            except (TypeError, ValueError):
                continue
            for one in signature.parameters.values():
                if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD) and one.annotation in ("Any", Any):
                    yield path, one.name
            if not isinstance(thing, type) and signature.return_annotation in ("Any", Any):
                yield path, "return"


def test_any_stands_where_a_reason_is_told() -> None:
    arguments = {name for names in ARGUMENTS.values() for name in names.split()}
    results = {pattern for patterns in RESULTS.values() for pattern in patterns.split()}
    needed, unexplained = set(), []
    for path, name in without_types():
        table, key = (results, path) if name == "return" else (arguments, name)
        reasons = {pattern for pattern in table if fnmatch(key, pattern)}
        needed |= reasons
        if not reasons:
            unexplained.append(f"{path} {name}")
    assert unexplained == []
    assert (arguments | results) - needed == set()
