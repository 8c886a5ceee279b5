"""Estimators of scikit-learn as ONNX models, by skl2onnx, which is taught what a wrapper computes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV

from seqc.errors import ExportError
from seqc.export import compile_graph, rename
from seqc.export.ends import Ends
from seqc.graph.ir import Array, Graph
from seqc.graph.strings import STRING
from seqc.wrappers.base import SKLBase, bound_graph
from seqc.wrappers.calibration import calibrated_graph, last_of
from seqc.wrappers.dependency import import_skl2onnx
from seqc.wrappers.estimators import SKLearnClassifier
from seqc.wrappers.graphs import with_estimator
from seqc.wrappers.rewording import in_its_words
from seqc.wrappers.walking import estimators_in, wrappers_in

# The operators of ai.onnx.ml that come with every opset from 15 on.
_ML = 3
# Element types as skl2onnx calls them.
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
    estimator = in_its_words(estimator, list(inputs))
    _register(skl2onnx, {type(wrapper) for wrapper in wrappers_in(estimator)})
    types = [(name, _type(skl2onnx, array)) for name, array in inputs.items()]
    options = {id(estimator): {"zipmap": zipmap}} if is_classifier(estimator) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of skl2onnx's own affairs
        try:
            found: onnx.ModelProto = skl2onnx.convert_sklearn(
                estimator,
                "pipeline",
                types,
                target_opset={"": opset, "ai.onnx.ml": _ML},
                options=options,
                custom_conversion_functions={CalibratedClassifierCV: _write_calibrated},
                custom_shape_calculators={CalibratedClassifierCV: _infer_calibrated},
            )
        except ExportError:
            raise
        except Exception as error:  # each converter has errors of its own
            raise ExportError(
                f"skl2onnx {skl2onnx.__version__} cannot convert {_blamed(estimator, error)}: "
                f"{str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
            ) from error
    return found


def _blamed(estimator: Any, error: Exception) -> str:
    """Returns who cannot be converted: the step whose converter failed, or that has none."""
    failed, trace = None, error.__traceback__
    while trace is not None:
        operator = trace.tb_frame.f_locals.get("operator")
        failed, trace = getattr(operator, "raw_operator", None) or failed, trace.tb_next
    found = [(path, one) for path, one in estimators_in(estimator) if path and not _is_composite(one)]
    text = str(error)
    for path, step in (*((p, e) for p, e in found if e is failed), *((p, e) for p, e in found if _says(text, e))):
        return f"step '{path}' ({type(step).__name__})"
    return f"the {type(failed or estimator).__name__}"


def _says(text: str, estimator: Any) -> bool:
    return type(estimator).__name__ in text


def _is_composite(estimator: Any) -> bool:
    return type(estimator).__name__ in ("Pipeline", "ColumnTransformer", "FeatureUnion")


def _type(skl2onnx: Any, array: Array) -> Any:
    dtype = STRING if array.dtype == object else array.dtype.name
    return getattr(skl2onnx.common.data_types, _TYPES[dtype])([None, *array.shape[1:]])


def _register(skl2onnx: Any, kinds: set[type]) -> None:
    for kind in kinds:
        options = {"zipmap": [True, False, "columns"], "nocl": [False], "raw_scores": [True, False]}
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
    _say_types(_graph_of(operator.raw_operator, _columns(operator), "float32"), operator)


def _infer_calibrated(operator: Any) -> None:
    _say_types(calibrated_graph(operator.raw_operator), operator)


def _say_types(graph: Graph, operator: Any) -> None:
    from skl2onnx.common import data_types

    kinds = {
        STRING: data_types.StringTensorType,
        "int64": data_types.Int64TensorType,
        "bool": data_types.BooleanTensorType,
    }
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
    raw = bool(scope.get_options(operator.raw_operator, {}, fail=False).get("raw_scores"))
    _put(_graph_of(operator.raw_operator, _columns(operator), element, raw), (source,), scope, operator, container)


def _write_calibrated(scope: Any, operator: Any, container: Any) -> None:
    """Puts calibrated classifiers, and what is made of their scores, into what skl2onnx writes."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

    estimator, sources = operator.raw_operator, []
    for pair in estimator.calibrated_classifiers_:
        classifier = pair.estimator
        inner = scope.declare_local_operator(sklearn_operator_name_map[type(classifier)], classifier)
        inner.inputs = operator.inputs
        inner.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
        inner.outputs.append(scope.declare_local_variable("scores", FloatTensorType()))
        last = last_of(classifier)
        if hasattr(classifier, "decision_function") and container.has_options(last, "raw_scores"):
            scope.add_options(id(last), {"raw_scores": True})
            container.add_options(id(last), {"raw_scores": True})
        sources.append(inner.outputs[1].onnx_name)
    _put(calibrated_graph(estimator), tuple(sources), scope, operator, container)


def _put(graph: Graph, sources: tuple[str, ...], scope: Any, operator: Any, container: Any) -> None:
    """Puts the nodes of a graph into what skl2onnx writes, between these names and an operator's outputs."""
    named = rename(graph, sources, tuple(v.onnx_name for v in operator.outputs))
    model = compile_graph(named, opset=container.target_opset_onnx)
    if _own_names(model.graph) & {name for node in container.nodes for name in (*node.output, node.name)}:
        model = onnx.compose.add_prefix(
            model, scope.get_unique_operator_name("model") + "/", rename_inputs=False, rename_outputs=False
        )
    container.nodes.extend(model.graph.node)
    container.initializers.extend(model.graph.initializer)
    for domain in model.opset_import:
        container.node_domain_version_pair_sets.add((domain.domain, domain.version))


def _graph_of(wrapper: SKLBase, columns: int, dtype: str, raw_scores: bool = False) -> Graph:
    graph = bound_graph(wrapper.model_, np.empty((1, columns)))
    name, own = graph.input_names[0], graph.inputs[0].dtype
    if dtype != own:
        graph = Ends(dtypes={name: dtype}).of_graph(graph)
    return with_estimator(graph, wrapper, raw_scores)


def _columns(operator: Any) -> int:
    return int(operator.raw_operator.n_features_in_)


def _own_names(graph: onnx.GraphProto) -> set[str]:
    ends = {port.name for port in (*graph.input, *graph.output)}
    inside = (name for node in graph.node for name in (*node.output, node.name))
    return {*inside, *(array.name for array in graph.initializer)} - ends - {""}
