"""onnxruntime's own quantizer, as functions from bytes to bytes."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from seqc.backends.onnxruntime import import_runtime
from seqc.errors import ExportError, MissingDependencyError
from seqc.graph.ir import Array

CALIBRATIONS = {"range": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}


def prepare(model: bytes) -> bytes:
    """Returns a model with its shapes, and with what can be folded folded, as the quantizer wants it.

    Raises:
        ExportError: onnxruntime fails on it.
    """
    # Sizes with names are inferred by sympy, which few have; onnx's own inference finds the ranks, which is enough.
    return _through(model, lambda q, old, new: q.quant_pre_process(old, new, skip_symbolic_shape=True))


def quantize_dynamic(model: bytes, kinds: Sequence[str], excluded: Sequence[str], reduce_range: bool) -> bytes:
    """Returns a model with weights in eight bits, whose activations are quantized by their range in each run.

    Args:
        model: as `prepare` gives it. kinds: types of nodes to quantize. excluded: names of nodes to leave as they are.
        reduce_range: whether weights get seven bits, which processors need whose sums of products saturate.

    Raises:
        ExportError: onnxruntime fails on it.
    """
    return _through(
        model,
        lambda q, old, new: q.quantize_dynamic(
            old,
            new,
            op_types_to_quantize=list(kinds),
            nodes_to_exclude=list(excluded),
            per_channel=True,
            reduce_range=reduce_range,
        ),
    )


def quantize_static(
    model: bytes,
    kinds: Sequence[str],
    excluded: Sequence[str],
    reduce_range: bool,
    batches: Sequence[Mapping[str, Array]],
    calibration: str,
) -> bytes:
    """Returns a model with weights and activations in eight bits, the latter by their ranges on samples.

    Args:
        model, kinds, excluded, reduce_range: as for `quantize_dynamic`. batches: the samples, by names of inputs.
        calibration: how ranges are chosen, one of CALIBRATIONS.

    Raises:
        ExportError: onnxruntime fails on it.
    """
    return _through(
        model,
        lambda q, old, new: q.quantize_static(
            old,
            new,
            _reader(q, batches),
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=list(kinds),
            nodes_to_exclude=list(excluded),
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            calibrate_method=getattr(q.CalibrationMethod, CALIBRATIONS[calibration]),
        ),
    )


def _reader(quantization: ModuleType, batches: Sequence[Mapping[str, Array]]) -> Any:
    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self._left = iter(batches)

        def get_next(self) -> Any:
            return next(self._left, None)

    return Reader()


def _through(model: bytes, work: Callable[[Any, str, str], None]) -> bytes:
    """Returns what the quantizer, which works on files, makes of a model."""
    quantization = _import()
    with tempfile.TemporaryDirectory(prefix="seqc_quantize_") as folder, _quiet():
        old, new = Path(folder, "old.onnx"), Path(folder, "new.onnx")
        old.write_bytes(model)
        try:
            work(quantization, str(old), str(new))
            return new.read_bytes()
        except Exception as error:  # the quantizer has no errors of its own
            raise ExportError(f"onnxruntime's quantizer fails: {type(error).__name__}: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the quantizer from printing, and from warning by the root logger, which it would also set up for good."""
    root, nothing, level = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(nothing)
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
        root.removeHandler(nothing)


def _import() -> ModuleType:
    import_runtime()
    try:
        with _quiet():
            from onnxruntime import quantization
    except ImportError as error:
        # Older ones import sympy, which not every way to install them brings along.
        raise MissingDependencyError(
            f"onnxruntime's quantizer cannot be imported: {error}. Install what is missing: pip install {error.name}"
        ) from error
    return quantization  # type: ignore[no-any-return]
