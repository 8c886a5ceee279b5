"""What a model from a stranger may be, and the error that says what it is instead."""

from __future__ import annotations

from dataclasses import dataclass

from seqc_runtime.bounds import Bounds

# Without these a model is probed only where the caller says that less will do.
PROTECTION = frozenset({"rlimits", "no_new_privs", "landlock", "seccomp"})


class RefusedError(ValueError):
    """The file is well-formed, and is or asks for something that no stranger's model may."""


@dataclass(frozen=True)
class Limits:
    """What a model from a stranger may be and use. Sizes are bytes, times are seconds.

    file: of the .onnx file. links: whether that file may be a link or have several names, as when its path is the
    caller's own; files with weights never may. weights: of the file and those with its weights, together: a private
    copy is made of them.
    files: with weights. fields: that are read of the file, which bounds the time of the scan (some 2 µs each).
    nodes: also when functions are written out. functions: that the model defines. depth: of graphs inside each other.
    tensors: inputs, and outputs, of the model. opset: the newest version of a standard domain. made: the largest array
    that follows from constants, besides 16 times the file. expanded: bytes of functions written out.
    kinds: of inputs and outputs; beside "tensor" there are "string" (tensors of strings), "sequence", "map", "optional"
    and "sparse".
    memory: address space of the probe, besides four times `weights` of this model. cpu, time: of the probe, in all.
    require: what the probe must be protected by. Linux from 5.13 on x86-64 and arm64 gives all that is asked by
    default, in containers too unless they forbid it; an empty set probes on other systems too, with whatever they have.
    """

    file: int = 2 << 30
    links: bool = True
    weights: int = 4 << 30
    files: int = 256
    fields: int = 2_000_000
    nodes: int = 50_000
    functions: int = 1_000
    depth: int = 10
    tensors: int = 256
    opset: int = 40
    made: int = 256 << 20
    expanded: int = 256 << 20
    kinds: frozenset[str] = frozenset({"tensor", "string"})
    memory: int = 4 << 30
    cpu: float = 60.0
    time: float = 120.0
    require: frozenset[str] = PROTECTION

    @property
    def bounds(self) -> Bounds:
        """The same, for what functions and constants ask for."""
        return Bounds(self.nodes, 1, self.made, 16)

    def session_config(self) -> dict[str, str]:
        """Options that have onnxruntime keep these bounds too; releases that do not know one pass over it."""
        return {
            "session.function_expansion_node_limit": str(self.nodes),
            "session.function_expansion_byte_limit": str(self.expanded),
            "optimization.constant_folding_max_output_size_in_bytes": str(self.made),
            "session.strict_shape_type_inference": "1",
        }


DEFAULT = Limits()
