"""seqc-runtime, which is another distribution and may not be there."""

from __future__ import annotations

from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seqc.errors import MissingDependencyError

if TYPE_CHECKING:
    from seqc.training.arrange import Port


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


def ports_of(loaded: Any) -> list[Port]:
    """Returns the inputs of a model of seqc-runtime."""
    from seqc.training.arrange import Port

    return [
        Port(one.name, tuple(d if isinstance(d, int) else None for d in one.shape), _dtype(one.dtype))
        for one in loaded.inputs
    ]


def _dtype(name: str) -> str:
    return "string" if name == "str" else name


class Provider(StrEnum):
    """What runs a file."""

    cpu = "cpu"
    cuda = "cuda"


def providers(name: Provider) -> list[Any]:
    """Returns onnxruntime's providers; on CUDA without TF32, which rounds products to ten bits.

    Raises:
        MissingDependencyError: the installed onnxruntime has no such provider.
    """
    if name == Provider.cpu:
        return ["CPUExecutionProvider"]
    from seqc.backends.onnxruntime import available_providers, version

    if "CUDAExecutionProvider" not in available_providers():
        raise MissingDependencyError(
            f"--provider cuda: onnxruntime {version()} as installed here has {', '.join(available_providers())} only. "
            'On a machine with such a GPU, install "seqc[gpu]" in the place of "seqc[cpu]".'
        )
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
