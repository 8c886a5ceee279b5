"""Models as scikit-learn's estimators, and fitted pipelines of its as one ONNX file.

Needs scikit-learn, which is loaded when one of these names is asked for: pip install "seqc[sklearn]". Of pipelines,
`export_pipeline` also needs skl2onnx: pip install "seqc[skl2onnx]".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqc.utils.absent import absent, late
from seqc.wrappers.dependency import check_sklearn

if TYPE_CHECKING:
    from seqc.wrappers.estimators import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
    from seqc.wrappers.exporting import export_pipeline

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer", "export_pipeline"]

_HOMES = {
    "SKLearnClassifier": f"{__name__}.estimators",
    "SKLearnRegressor": f"{__name__}.estimators",
    "SKLearnTransformer": f"{__name__}.estimators",
    "export_pipeline": f"{__name__}.exporting",
}
_look = late(__name__, _HOMES, absent(__name__, __all__))


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        check_sklearn()
    return _look(name)


def __dir__() -> list[str]:
    return sorted(__all__)
