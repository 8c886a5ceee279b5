"""seqc-runtime, which is another distribution and may not be there."""

from __future__ import annotations

from types import ModuleType

from seqc.errors import MissingDependencyError


def load_runtime(who: str) -> ModuleType:
    """Returns the module seqc_runtime, once it is sure that a model can be loaded with it.

    Args:
        who: the command that needs it, for the message.

    Raises:
        MissingDependencyError: it, or onnxruntime, is not installed.
    """
    try:
        import seqc_runtime
        from seqc_runtime.providers import import_onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f'{who} needs seqc-runtime, which is not installed: pip install "seqc-runtime[cpu]" (or '
            '"seqc-runtime[gpu]" for CUDA).'
        ) from error
    import_onnxruntime()
    return seqc_runtime
