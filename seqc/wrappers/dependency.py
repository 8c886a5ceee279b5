"""The packages that wrappers need, or an error that says how to have them."""

from __future__ import annotations

from typing import Any

from seqc.errors import MissingDependencyError

# The first release with the tags and checks of estimators that the later ones have.
OLDEST = (1, 6)


def check_sklearn() -> None:
    """Finds out whether scikit-learn can be used.

    Raises:
        MissingDependencyError: it is not installed, or too old.
    """
    try:
        import sklearn
    except ImportError as error:
        raise MissingDependencyError(
            'seqc.wrappers needs scikit-learn. Install it: pip install "seqc[sklearn]".'
        ) from error
    if numbers(sklearn.__version__) < OLDEST:
        raise MissingDependencyError(
            f"seqc.wrappers needs scikit-learn {OLDEST[0]}.{OLDEST[1]} or newer; {sklearn.__version__} is installed. "
            'Install a newer one: pip install -U "seqc[sklearn]".'
        )


def import_skl2onnx() -> Any:
    """Returns the module skl2onnx.

    Raises:
        MissingDependencyError: it is not installed, or does not go with the installed onnx or scikit-learn.
    """
    import onnx
    import sklearn

    try:
        import skl2onnx.helpers
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "skl2onnx":
            raise MissingDependencyError(
                'Exporting a pipeline of scikit-learn needs skl2onnx. Install it: pip install "seqc[skl2onnx]".'
            ) from error
        raise _unfit(onnx.__version__, sklearn.__version__, error) from error
    except Exception as error:  # what it finds missing in another release shows in many ways
        raise _unfit(onnx.__version__, sklearn.__version__, error) from error
    return skl2onnx


def _unfit(onnx: str, sklearn: str, error: Exception) -> MissingDependencyError:
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("skl2onnx")
    except PackageNotFoundError:
        own = "(of unknown version)"
    return MissingDependencyError(
        f"skl2onnx {own} does not go with onnx {onnx} and scikit-learn {sklearn}, which are installed: it cannot be "
        f'imported ({type(error).__name__}: {error}). Install releases that do: pip install -U "seqc[skl2onnx]".'
    )


def numbers(version: str) -> tuple[int, ...]:
    """Returns the first two numbers of a version: "1.6.1" and "1.6.dev0" are (1, 6)."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
