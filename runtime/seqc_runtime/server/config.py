"""What a folder says about the model in it: `seqc.json`, or what has a meaning here of Triton's `config.pbtxt`."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqc_runtime.errors import RuntimeModelError

# What Triton calls its backend for ONNX, and its models.
BACKEND, PLATFORM = "onnxruntime", "onnxruntime_onnx"
LOG = logging.getLogger("seqc_runtime.server")
# Much longer than any that people write.
_LONGEST = 1 << 20
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[\w.+-]+)|(?P<mark>[{}\[\]:,;<>])"""
)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How a model is served; None for what the server's own settings say.

    file: of the model, in the folder of a version. latest: so many of the highest versions are served; versions: just
    these instead; both None for all. max_batch: rows that may run together. max_delay: seconds a request may wait.
    """

    file: str = "model.onnx"
    latest: int | None = 1
    versions: frozenset[int] | None = None
    max_batch: int | None = None
    max_delay: float | None = None

    def chosen(self, there: set[int]) -> set[int]:
        """Which of the versions that are there to serve."""
        if self.versions is not None:
            return there & self.versions
        return there if self.latest is None else set(sorted(there)[-self.latest :])


def read_config(folder: Path) -> ModelConfig:
    """The configuration of the model in a folder; the default when there is none.

    Raises RuntimeModelError for a file that cannot be read or says what is impossible.
    """
    for name, parse in (("seqc.json", _from_json), ("config.pbtxt", _from_pbtxt)):
        path = folder / name
        if not path.is_file():
            continue
        try:
            if path.stat().st_size > _LONGEST:
                raise ValueError(f"it has more than {_LONGEST} bytes")
            return parse(path.read_text("utf-8"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RuntimeModelError(f"{str(path)!r} cannot be used: {error}") from error
    return ModelConfig()


def _from_json(text: str) -> ModelConfig:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("an object was expected")
    known = {"file", "versions", "max_batch", "max_delay_ms"}
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"there is no setting {unknown[0]!r}; there is {', '.join(sorted(known))}")
    versions = content.get("versions", {"latest": 1})
    latest: int | None = 1
    only = None
    if versions == "all":
        latest = None
    elif isinstance(versions, list):
        only = frozenset(_positive(v, "versions") for v in versions)
    elif isinstance(versions, dict) and set(versions) == {"latest"}:
        latest = _positive(versions["latest"], "versions.latest")
    else:
        raise ValueError('versions needs "all", {"latest": 1} or a list of numbers')
    delay = content.get("max_delay_ms")
    if delay is not None and not (type(delay) in (int, float) and 0 <= delay <= 60_000):
        raise ValueError("max_delay_ms needs 0 to 60000 milliseconds")
    most = content.get("max_batch")
    return ModelConfig(
        _file_name(content.get("file", "model.onnx")),
        latest,
        only,
        None if most is None else _positive(most, "max_batch"),
        None if delay is None else delay / 1000,
    )


def _from_pbtxt(text: str) -> ModelConfig:
    content = _parse_message(_tokens(text), 0)
    ignored = sorted(set(content) - _USED - _HARMLESS)
    if ignored:
        LOG.warning("config.pbtxt: nothing here follows %s", ", ".join(ignored))
    backend = _last(content, "backend", _last(content, "platform", BACKEND))
    if backend not in (BACKEND, PLATFORM, ""):
        raise ValueError(f"it is for the backend {backend!r}; models for onnxruntime are served")
    latest: int | None = 1
    only = None
    policy = _last(content, "version_policy", {})
    if "all" in policy:
        latest = None
    elif "specific" in policy:
        only = frozenset(int(v) for v in policy["specific"][-1].get("versions", []))
    elif "latest" in policy:
        latest = _positive(int(_last(policy["latest"][-1], "num_versions", "1")), "version_policy.latest")
    most = int(_last(content, "max_batch_size", "0"))
    if most < 0:
        raise ValueError(f"max_batch_size needs 0 or more; got {most}")
    batching = content.get("dynamic_batching")
    delay = int(_last(batching[-1], "max_queue_delay_microseconds", "0")) / 1e6 if batching else None
    # Without dynamic_batching, Triton runs each request alone.
    return ModelConfig(
        _file_name(_last(content, "default_model_filename", "model.onnx")),
        latest,
        only,
        max(1, most) if batching else 1,
        delay,
    )


_USED = {"backend", "platform", "version_policy", "max_batch_size", "dynamic_batching", "default_model_filename"}
# Said by the files themselves, by the command, or not of any model here.
_HARMLESS = {"name", "input", "output", "instance_group", "parameters"}


def _positive(value: object, what: str) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{what} needs a positive whole number; got {value!r}")
    return value


def _file_name(name: object) -> str:
    if not isinstance(name, str) or not name or name in (".", "..") or re.search(r"[/\\\0]", name):
        raise ValueError(f"the model's file needs a plain name; got {name!r}")
    return name


def _last(message: dict[str, list[Any]], name: str, default: Any) -> Any:
    return message[name][-1] if message.get(name) else default


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"unexpected {text[position : position + 10]!r}")
        position = found.end()
        if found["text"] is not None:
            yield '"' + found["text"][1:-1]
        elif found["word"] or found["mark"]:
            yield found[0]


def _parse_message(tokens: Iterator[str], depth: int) -> dict[str, list[Any]]:
    """Fields of a message in protobuf's text format, each with all its values, up to "}" or the end."""
    if depth > 20:
        raise ValueError("its messages are nested too deep")
    fields: dict[str, list[Any]] = {}
    for name in tokens:
        if name in ("}", ">"):
            return fields
        if name in (",", ";"):
            continue
        mark = next(tokens, "")
        value = next(tokens, "") if mark == ":" else mark
        values = fields.setdefault(name, [])
        if value in ("{", "<"):
            values.append(_parse_message(tokens, depth + 1))
        elif value == "[":
            values += _parse_list(tokens, depth)
        else:
            values.append(_scalar(value))
    if depth:
        raise ValueError("it ends early")
    return fields


def _parse_list(tokens: Iterator[str], depth: int) -> list[Any]:
    values: list[Any] = []
    for token in tokens:
        if token == "]":
            return values
        if token != ",":
            values.append(_parse_message(tokens, depth + 1) if token in ("{", "<") else _scalar(token))
    raise ValueError("it ends early")


def _scalar(token: str) -> str:
    if token in ("", "{", "}", "[", "]", ":", ",", ";"):
        raise ValueError(f"a value was expected; got {token!r}")
    return token[1:] if token.startswith('"') else token
