"""Estimators of scikit-learn as ONNX models, by skl2onnx, which is taught what a wrapper computes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from seqc.errors import ExportError
from seqc.export import compile_graph, rename
from seqc.export.ends import Ends
from seqc.graph.ir import Array
from seqc.graph.strings import STRING
from seqc.wrappers.base import SKLBase, bound_graph
from seqc.wrappers.columns import MISSING
from seqc.wrappers.dependency import import_skl2onnx
from seqc.wrappers.estimators import SKLearnClassifier
from seqc.wrappers.graphs import with_estimator
from seqc.wrappers.kinds import picked

# The operators of ai.onnx.ml that come with every opset from 15 on.
_ML = 3
# What is not told of a model's own names in a file: those of its ends.
_TYPES = {"float32": "FloatTensorType", "int64": "Int64TensorType", STRING: "StringTensorType"}
_ELEMENTS = {"FloatTensorType": "float32", "DoubleTensorType": "float64", "Int64TensorType": "int64"}


def convert(estimator: Any, inputs: Mapping[str, Array], opset: int, zipmap: bool) -> onnx.ModelProto:
    """Returns a fitted estimator as an ONNX model.

    Args:
        estimator: a pipeline, or anything else of scikit-learn. inputs: examples of what it takes, by name: float32,
        int64 or strings. opset: of the operators. zipmap: whether probabilities come as a dictionary for each sample.

    Raises:
        MissingDependencyError: skl2onnx is needed. ExportError: a step has no ONNX form; the error names it.
    """
    skl2onnx = import_skl2onnx()
    newest = skl2onnx.get_latest_tested_opset_version()
    if opset > newest:
        raise ExportError(f"skl2onnx {skl2onnx.__version__} writes opset {newest} at most; got opset={opset}.")
    estimator = _in_its_words(estimator, list(inputs))
    _register(skl2onnx, {type(wrapper) for wrapper in wrappers_in(estimator)})
    types = [(name, _type(skl2onnx, array)) for name, array in inputs.items()]
    options = {id(estimator): {"zipmap": zipmap}} if is_classifier(estimator) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of skl2onnx's own affairs
        try:
            found: onnx.ModelProto = skl2onnx.convert_sklearn(
                estimator, "pipeline", types, target_opset={"": opset, "ai.onnx.ml": _ML}, options=options
            )
        except ExportError:
            raise
        except Exception as error:  # each converter has errors of its own
            raise ExportError(
                f"skl2onnx {skl2onnx.__version__} cannot convert {_blamed(skl2onnx, estimator, error)}: "
                f"{str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
            ) from error
    return found


def _in_its_words(estimator: Any, names: Sequence[str]) -> Any:
    """Returns a copy of an estimator that says in the words that skl2onnx knows what it would not understand: strings
    that are missing, slices and masks of columns, and steps of a pipeline that do nothing.
    """
    changed = copy.deepcopy(estimator)
    for _, found in _estimators(changed, "", set()):
        learnt = getattr(found, "statistics_", None)
        if isinstance(found, SimpleImputer) and getattr(getattr(learnt, "dtype", None), "kind", "") == "O":
            if not isinstance(found.missing_values, str):
                found.missing_values = MISSING
        elif isinstance(found, Pipeline):
            steps = [(name, step) for name, step in found.steps if step is not None and not isinstance(step, str)]
            found.steps = steps or found.steps
        elif isinstance(found, ColumnTransformer):
            found.transformers_ = [
                (name, inner, _listed(found, key, names)) for name, inner, key in found.transformers_
            ]
    return changed


def _listed(table: ColumnTransformer, key: Any, names: Sequence[str]) -> list[Any]:
    """Returns columns that a ColumnTransformer takes by name where they are inputs, and otherwise by number."""
    own = [str(name) for name in getattr(table, "feature_names_in_", range(table.n_features_in_))]
    found = picked(key, own)
    return found if own == list(names) else [own.index(name) for name in found]


def wrappers_in(estimator: Any) -> Iterator[SKLBase]:
    """Yields the fitted wrappers in an estimator, wherever they are."""
    found = (one for _, one in _estimators(estimator, "", set()))
    yield from (one for one in found if isinstance(one, SKLBase) and hasattr(one, "model_"))


def _estimators(held: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yields the estimators in an object with the names of the steps that lead to them, outer ones first."""
    if isinstance(held, list | tuple):
        for one in held:
            named = isinstance(one, tuple) and one and isinstance(one[0], str)
            yield from _estimators(one[1:] if named else one, _joined(path, one[0]) if named else path, seen)
    elif isinstance(held, Mapping):
        for one in list(held.values()):
            yield from _estimators(one, path, seen)
    elif hasattr(held, "get_params") and not isinstance(held, type) and id(held) not in seen:
        seen.add(id(held))
        yield path, held
        if not isinstance(held, SKLBase):
            fitted = sorted(vars(held).items(), key=lambda pair: not pair[0].endswith("_"))
            for _, one in fitted:
                yield from _estimators(one, path, seen)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _blamed(skl2onnx: Any, estimator: Any, error: Exception) -> str:
    """Returns who cannot be converted, as far as that can be told: the step that has no converter, or that fails."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    found = list(_estimators(estimator, "", set()))
    text = str(error)
    known = [(p, e) for p, e in found if type(e) not in sklearn_operator_name_map and p and not _is_composite(e)]
    named = [(p, e) for p, e in found if p and not _is_composite(e) and type(e).__name__ in text]
    for path, step in (*known, *named):
        return f"step '{path}' ({type(step).__name__})"
    return f"the {type(estimator).__name__}"


def _is_composite(estimator: Any) -> bool:
    return type(estimator).__name__ in ("Pipeline", "ColumnTransformer", "FeatureUnion")


def _type(skl2onnx: Any, array: Array) -> Any:
    dtype = STRING if array.dtype == object else array.dtype.name
    return getattr(skl2onnx.common.data_types, _TYPES[dtype])([None, *array.shape[1:]])


def _register(skl2onnx: Any, kinds: set[type]) -> None:
    for kind in kinds:
        options = {"zipmap": [True, False, "columns"], "nocl": [False], "raw_scores": [False]}
        skl2onnx.update_registered_converter(
            kind,
            f"Seqc{kind.__name__}",
            _infer,
            _write,
            overwrite=True,
            options=options if issubclass(kind, SKLearnClassifier) else None,
        )


def _infer(operator: Any) -> None:
    """Says the types of a wrapper's outputs, as skl2onnx asks for them."""
    from skl2onnx.common import data_types

    wrapper = operator.raw_operator
    kinds = {
        STRING: data_types.StringTensorType,
        "int64": data_types.Int64TensorType,
        "bool": data_types.BooleanTensorType,
    }
    graph = _graph_of(wrapper, _columns(operator), "float32")
    for variable, output in zip(operator.outputs, graph.outputs, strict=True):
        shape = [d if isinstance(d, int) else None for d in output.type.shape]
        variable.type = kinds.get(output.dtype, data_types.FloatTensorType)(shape)


def _write(scope: Any, operator: Any, container: Any) -> None:
    """Puts the nodes of a wrapper's graph into what skl2onnx writes."""
    variables = operator.inputs
    source = variables[0].onnx_name
    element = _ELEMENTS.get(type(variables[0].type).__name__)
    if element is None:
        raise ExportError(f"A model takes numbers; {operator.raw_operator!r} is given {variables[0].type!r}.")
    if len(variables) > 1:
        source = scope.get_unique_variable_name("features")
        container.add_node("Concat", [v.onnx_name for v in variables], source, axis=1, op_version=13)
    graph = _graph_of(operator.raw_operator, _columns(operator), element)
    opset = container.target_opset_onnx
    named = rename(graph, (source,), tuple(v.onnx_name for v in operator.outputs))
    model = compile_graph(named, opset=opset)
    if _own_names(model.graph) & {name for node in container.nodes for name in (*node.output, node.name)}:
        model = onnx.compose.add_prefix(
            model, scope.get_unique_operator_name("model") + "/", rename_inputs=False, rename_outputs=False
        )
    container.nodes.extend(model.graph.node)
    container.initializers.extend(model.graph.initializer)
    for domain in model.opset_import:
        container.node_domain_version_pair_sets.add((domain.domain, domain.version))


def _graph_of(wrapper: SKLBase, columns: int, dtype: str) -> Any:
    graph = bound_graph(wrapper.model_, np.empty((1, columns)))
    name, own = graph.input_names[0], graph.inputs[0].dtype
    if dtype != own:
        graph = Ends(dtypes={name: dtype}).of_graph(graph)
    return with_estimator(graph, wrapper)


def _columns(operator: Any) -> int:
    return int(operator.raw_operator.n_features_in_)


def _own_names(graph: onnx.GraphProto) -> set[str]:
    ends = {port.name for port in (*graph.input, *graph.output)}
    inside = (name for node in graph.node for name in (*node.output, node.name))
    return {*inside, *(array.name for array in graph.initializer)} - ends - {""}
