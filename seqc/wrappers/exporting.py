"""Fitted estimators as ONNX files: a wrapper alone, and pipelines of scikit-learn as a whole."""

from __future__ import annotations

import inspect
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from sklearn.utils.validation import check_is_fitted

from seqc.errors import ArgumentTypeError
from seqc.export import export_graph
from seqc.export.about import CLASSES
from seqc.export.disk import check_beside, new_files
from seqc.export.model import inference_graph
from seqc.export.options import check_flags, check_known, check_metadata, check_opset, check_record, check_size
from seqc.export.receipt import Port, Receipt
from seqc.export.record import pack_record
from seqc.utils.files import check_room, check_target
from seqc.wrappers.base import SKLBase
from seqc.wrappers.checking import answers, verify_estimator
from seqc.wrappers.cleaning import cleaned
from seqc.wrappers.columns import as_inputs, some_rows
from seqc.wrappers.converting import convert
from seqc.wrappers.estimators import SKLearnClassifier
from seqc.wrappers.graphs import PROBABILITIES, with_estimator
from seqc.wrappers.walking import wrappers_in

_OPSET = 18
# Of `export_graph`, what is said of the estimator and not by the caller.
_FOLLOWS = ("graph", "input_names", "output_names", "layers", "parameters", "model_name", "ends", "about")
_OPTIONS = tuple(name for name in inspect.signature(export_graph).parameters if name not in (*_FOLLOWS, "path"))


def export_estimator(estimator: SKLBase, path: str | os.PathLike[str], **options: Any) -> Receipt:
    """Writes a fitted wrapper as a verified ONNX file for inference; needs no skl2onnx.

    A classifier's file gives `label` and `probabilities`, those of `predict` and `predict_proba`, or `scores` where the
    outputs are no probabilities; a regressor's `prediction`, a column for each target; a transformer's `features`.

    Args:
        estimator: the wrapper. path: the file. options: see `seqc.export.export_graph` (verify, opset, target,
        precision, metadata, record, ...).

    Raises:
        NotFittedError: it was not fitted. ExportError and its kin: see `export_graph`.
    """
    check_is_fitted(estimator, "model_")
    check_known(options, _OPTIONS)
    model = estimator.model_
    graph = with_estimator(inference_graph(model, borrowed=True), estimator)
    return export_graph(
        graph,
        path,
        layers=len(model.layers),
        parameters=model.count_params(),
        model_name=model.name,
        about=_about(estimator),
        **options,
    )


def export_pipeline(
    pipeline: Any,
    path: str | os.PathLike[str],
    X: Any,
    *,
    verify: bool = True,
    record: bool = False,
    opset: int = _OPSET,
    zipmap: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Receipt:
    """Writes a fitted pipeline of scikit-learn with wrapped models in it as one verified ONNX file.

    Of an array X the file has one input `X`, (batch, features); of a frame one input for each column that the pipeline
    looks at, (batch, 1), under its name: float32; int64, where whole numbers stand for categories; or strings, of which
    a missing one is the empty string. The outputs are those of a wrapper alone, see `export_estimator`.

    Args:
        pipeline: a fitted Pipeline, or any other estimator that skl2onnx converts. path: the file; it is replaced only
        when everything went well.
        X: rows as the pipeline takes them, best such that it was not fitted on: they say the names and types of
        columns, and on the first 1,024 of them the file is compared with the pipeline.
        verify: whether it is. record: whether to write what was compared beside the file, for `seqc verify`.
        opset: version of the ONNX operators. zipmap: whether probabilities come as a dictionary by label for each
        sample, as skl2onnx has them by default, and not as a matrix in the order of `classes_`.
        metadata: further texts to keep in the file.

    Raises:
        MissingDependencyError: skl2onnx or onnxruntime is needed, or does not go with the installed onnx.
        DataError: X has what no file can take. ExportError: a step has no ONNX form.
        VerificationError: the file computes something else.
    """
    start = time.perf_counter()
    check_flags(verify=verify, record=record, zipmap=zipmap)
    beside = check_record(path, verify) if record else None
    given, opset = check_metadata(metadata), check_opset(opset)
    check_target(path)
    if beside:
        check_beside(path)
    if not hasattr(pipeline, "get_params"):
        raise ArgumentTypeError(
            f"export_pipeline takes a fitted estimator of scikit-learn; got {type(pipeline).__name__}. A model by "
            "itself is written with model.export(path)."
        )
    check_is_fitted(pipeline)
    X = some_rows(X)
    inputs = as_inputs(X, pipeline)
    names = _free(tuple(answers(pipeline, X[:1])), tuple(inputs))
    about = {key: text for wrapper in (pipeline,) if (text := _classes(wrapper, names)) for key in (CLASSES,)}
    model = cleaned(convert(pipeline, inputs, opset, zipmap), tuple(inputs), names, {**about, **given})
    check_size(model.ByteSize())
    content = model.SerializeToString(deterministic=True)
    check_room(path, len(content))
    report = None
    with new_files(path) as files:
        files.write_bytes(content)
        if verify:
            report, cases = verify_estimator(pipeline, X, inputs, files.model, names)
            if beside:
                files.add(beside, pack_record(cases, [port.name for port in model.graph.input], report, files.hash))
    models = [wrapper.model_ for wrapper in wrappers_in(pipeline)]
    return Receipt(
        path=os.fspath(path),
        layers=sum(len(held.layers) for held in models),
        parameters=sum(held.count_params() for held in models),
        nodes=dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
        opset=opset,
        ir_version=model.ir_version,
        inputs=_ports(model.graph.input),
        outputs=_ports(model.graph.output),
        file_bytes=len(content),
        seconds=time.perf_counter() - start,
        report=report,
        record=beside,
    )


def _about(estimator: SKLBase) -> dict[str, str]:
    names = ("label", PROBABILITIES)
    text = _classes(estimator, names)
    if not isinstance(estimator, SKLearnClassifier) or estimator._reading.scale == "scores" or not text:
        return {}
    return {CLASSES: text}


def _classes(estimator: Any, names: tuple[str, ...]) -> str:
    """Returns what a file says of the classes whose probabilities it gives, "" where it gives none."""
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(names) != 2 or names[1] != PROBABILITIES:
        return ""
    return json.dumps({names[1]: [str(c) for c in classes.tolist()]}, ensure_ascii=False)


def _free(names: tuple[str, ...], taken: tuple[str, ...]) -> tuple[str, ...]:
    """Returns names of outputs that no input has."""
    return tuple(f"{name}_output" if name in taken else name for name in names)


def _ports(found: Any) -> tuple[Port, ...]:
    ports = []
    for one in found:
        if not one.type.HasField("tensor_type"):
            ports.append(Port(one.name, "sequence of dictionaries", ()))
            continue
        held = one.type.tensor_type
        sizes = tuple(d.dim_param or d.dim_value for d in held.shape.dim)
        dtype = "string" if held.elem_type == onnx.TensorProto.STRING else None
        ports.append(Port(one.name, dtype or onnx.helper.tensor_dtype_to_np_dtype(held.elem_type).name, sizes))
    return tuple(ports)
