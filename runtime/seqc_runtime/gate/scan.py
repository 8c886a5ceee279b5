"""Look at all of an ONNX file without onnx and without recursion, before anything else reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc_runtime.errors import printable
from seqc_runtime.gate.limits import Limits, RefusedError
from seqc_runtime.gate.records import Reader, Span
from seqc_runtime.gate.schema import SCHEMA
from seqc_runtime.gate.tensors import NEWEST_TYPE, STRING, External, Record, check_sparse, check_tensor, sizes
from seqc_runtime.wire import Buffer, MalformedError, fields, text

_STANDARD = ("", "ai.onnx", "ai.onnx.ml")
DOMAINS = (*_STANDARD, "com.microsoft")
# They hold code for a device, or call into what is no part of onnxruntime, whatever domain says it has them.
_DANGEROUS = frozenset({"EPContext", "Snpe", "PyOp", "PythonOp", "PythonOpGrad", "ATen", "ExternalOp"})
# onnxruntime may be told by its user's environment to take its options from the model.
_CONFIG_KEYS = ("ort_config", "session.", "ep.", "ep_compatibility_info")
# As deep as parsers in C++ read messages.
_MOST_DEPTH = 100
_TYPE_KINDS = {
    "tensor_type": "tensor",
    "sequence_type": "sequence",
    "map_type": "map",
    "optional_type": "optional",
    "sparse_tensor_type": "sparse",
    "opaque_type": "opaque",
}
_CHILDREN = {
    kind: {name: what.rstrip("*") for name, what in rules.values() if what.rstrip("*") in SCHEMA}
    for kind, rules in SCHEMA.items()
}


def scan_model(buffer: Buffer, limits: Limits) -> list[External]:
    """Check a serialized ModelProto. Returns where its tensors keep data in other files.

    Raises RefusedError when the model is one that is not let in, MalformedError when it is none.
    """
    return _Scan(buffer, limits).run()


class _Scan:
    def __init__(self, buffer: Buffer, limits: Limits) -> None:
        self._buffer = buffer
        self._limits = limits
        self._reader = Reader(buffer, limits.fields)
        self._functions: set[tuple[str, str]] = set()
        self._nodes = 0
        self._external: list[External] = []
        self._checks: dict[str, Callable[[Record, int], None]] = {
            "ModelProto": self._model,
            "GraphProto": self._graph,
            "NodeProto": self._node,
            "OperatorSetIdProto": self._opset,
            "TensorProto": self._tensor,
            "SparseTensorProto": self._sparse,
            "TypeProto": self._type,
            "TypeProto.Tensor": self._element,
            "TypeProto.SparseTensor": self._element,
        }

    def run(self) -> list[External]:
        pending = [("ModelProto", (0, len(self._buffer)), 0, 0)]
        while pending:
            kind, span, depth, graphs = pending.pop()
            if depth > _MOST_DEPTH:
                raise RefusedError(f"it has messages {depth} deep inside each other")
            record = self._reader.read(kind, span)
            graphs += kind == "GraphProto"
            if kind in self._checks:
                self._checks[kind](record, graphs)
            for name, child in _CHILDREN[kind].items():
                pending += [(child, inner, depth + 1, graphs) for inner in record.get(name, ())]
        return self._external

    def _model(self, record: Record, _: int) -> None:
        if "graph" not in record:
            raise MalformedError("it has no graph")
        if "training_info" in record:
            raise RefusedError("it has instructions for training")
        for span in record.get("metadata_props", []):
            key = _one(self._reader.read("StringStringEntryProto", span), "key", "")
            if key.startswith(_CONFIG_KEYS):
                raise RefusedError(f"its metadata has {_shown(key)}, which configures the program that runs it")
        domains = [
            _one(self._reader.read("OperatorSetIdProto", s), "domain", "") for s in record.get("opset_import", [])
        ]
        if len(set(domains)) < len(domains):
            raise RefusedError("it names the version of a domain twice")
        functions = record.get("functions", [])
        if len(functions) > self._limits.functions:
            raise RefusedError(f"it defines {len(functions)} functions; {self._limits.functions} are let in")
        named = [self._function_name(span) for span in functions]
        if len(set(named)) < len(named):
            raise RefusedError("it defines a function twice")
        self._functions = {(domain, name) for domain, name, _ in named}

    def _function_name(self, span: Span) -> tuple[str, str, str]:
        # Nodes are counted and read later: here only their lengths are.
        found = {f.number: text(self._buffer, f) for f in fields(self._buffer, *span) if f.number in (1, 10, 13)}
        name, domain, overload = (found.get(number, "") for number in (1, 10, 13))
        if not name or domain in DOMAINS:
            raise RefusedError(
                f"it defines function {_shown(name)} in domain {_shown(domain)}, which has operators itself"
            )
        return domain, name, overload

    def _graph(self, record: Record, graphs: int) -> None:
        if graphs > self._limits.depth:
            raise RefusedError(f"it has graphs {graphs} deep inside each other; {self._limits.depth} are let in")
        if graphs > 1:
            return
        for role in ("input", "output"):
            spans = record.get(role, [])
            if len(spans) > self._limits.tensors:
                raise RefusedError(f"it has {len(spans)} {role}s; {self._limits.tensors} are let in")
            for span in spans:
                self._port(role, self._reader.read("ValueInfoProto", span))

    def _port(self, role: str, record: Record) -> None:
        called = f"{role} {_shown(_one(record, 'name', ''))}"
        if "type" not in record:
            raise RefusedError(f"{called} has no type")
        declared = self._reader.read("TypeProto", record["type"][0])
        kind = next((_TYPE_KINDS[name] for name in declared if name in _TYPE_KINDS), "unknown")
        if kind in ("tensor", "sparse"):
            inner = self._reader.read(
                "TypeProto.Tensor", declared["tensor_type" if kind == "tensor" else "sparse_tensor_type"][0]
            )
            element = _one(inner, "elem_type", 0)
            if not 0 < element <= NEWEST_TYPE:
                raise RefusedError(f"{called} has element type {element}, which is none")
            kind = "string" if element == STRING else kind
        if kind not in self._limits.kinds:
            allowed = ", ".join(sorted(self._limits.kinds))
            raise RefusedError(f"{called} is of kind {kind!r}; let in are: {allowed}")

    def _node(self, record: Record, _: int) -> None:
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            raise RefusedError(f"it has more than {self._limits.nodes} nodes")
        op, domain = _one(record, "op_type", ""), _one(record, "domain", "")
        if op in _DANGEROUS:
            raise RefusedError(f"it has operator {_shown(op)}, which runs code that onnxruntime does not have")
        if (domain, op) in self._functions:
            return
        if domain not in DOMAINS:
            known = ", ".join(repr(name) for name in DOMAINS)
            raise RefusedError(
                f"it has operator {_shown(op)} of domain {_shown(domain)}; let in are those of {known} "
                "and functions of the model itself"
            )

    def _opset(self, record: Record, _: int) -> None:
        domain, version = _one(record, "domain", ""), _one(record, "version", 0)
        if domain in _STANDARD and not 0 < version <= self._limits.opset:
            raise RefusedError(
                f"it is for version {version} of domain {_shown(domain)}; {self._limits.opset} is let in"
            )

    def _tensor(self, record: Record, _: int) -> None:
        entries = [self._reader.read("StringStringEntryProto", span) for span in record.get("external_data", [])]
        found = check_tensor(self._buffer, record, entries)
        if found is not None:
            self._external.append(found)

    def _sparse(self, record: Record, _: int) -> None:
        if "values" not in record or "indices" not in record:
            raise RefusedError("a sparse tensor has no values or no indices")
        values, indices = (self._reader.read("TensorProto", record[name][0]) for name in ("values", "indices"))
        check_sparse(self._buffer, values, indices, sizes(self._buffer, record))

    def _type(self, record: Record, _: int) -> None:
        if sum(name in record for name in _TYPE_KINDS) > 1:
            raise RefusedError("a type is two types at once")

    def _element(self, record: Record, _: int) -> None:
        element = _one(record, "elem_type", 0)
        if not 0 <= element <= NEWEST_TYPE:
            raise RefusedError(f"a type has element type {element}, which is none")


def _one(record: Record, name: str, default: Any) -> Any:
    return record[name][0] if name in record else default


def _shown(name: str) -> str:
    return repr(printable(name[:200]))
