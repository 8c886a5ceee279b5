"""Requests that differ from an earlier one in nothing but their numbers: read with what was found out about that one.

A client sends the same again and again around other numbers. Around JSON's they are all bytes before and behind the one
list of numbers, in binary all of the JSON in front: its form. What a form says was read and checked once, as all
requests are; when it comes again, only the numbers are. Whatever is unusual about them is left to those who read all
requests, and say what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import orjson

from seqc_runtime.inputs import Array
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.json_data import pack
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer
from seqc_runtime.server.oip_binary import aligned, parse_length
from seqc_runtime.server.oip_binary import read as read_binary
from seqc_runtime.server.oip_json import Asked
from seqc_runtime.server.oip_json import read as read_json
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.signature import Declared

# Forms of a version that are remembered, and bytes of the longest one; of the largest request that is looked at, since
# of larger ones it is the numbers that take time and memory.
_REMEMBERED, LONGEST, LARGEST = 64, 1024, 1 << 20


class Form:
    """What a request of one tensor says beside its numbers.

    limits: that were kept. The rest is that of Job and Asked.
    """

    __slots__ = ("binary", "count", "declared", "identity", "limits", "nbytes", "rows", "shape", "wanted")

    def __init__(self, asked: Asked, declared: Declared, array: Array, limits: Limits) -> None:
        self.declared = declared
        self.shape = array.shape
        self.count = array.size
        self.nbytes = array.nbytes
        self.rows = asked.job.rows
        self.wanted = asked.job.wanted
        self.identity = asked.identity
        self.binary = asked.binary
        self.limits = limits

    def asked(self, servable: Servable, flat: Array) -> Asked:
        """The request with these numbers, as many as there are."""
        feeds = {self.declared.name: flat.reshape(self.shape)}
        return Asked(Job(servable, feeds, self.wanted, self.rows, self.nbytes), self.identity, self.binary)


def read(servable: Servable, body: Buffer, header_length: str | None, limits: Limits) -> Asked:
    """Read a request.

    header_length: of the JSON in front of binary tensors, as the client's header says it; None when all is JSON.

    Raises Refusal (400) naming the field, or the header, that is wrong.
    """
    if type(body) is not bytes or len(body) > LARGEST:
        return _read(servable, body, header_length, limits)
    if header_length is None:
        start = body.rfind(b"[")
        end = body.find(b"]", start) + 1
        form: Hashable = (body[:start], body[end:])
        size = start + len(body) - end
    else:
        start = size = parse_length(header_length)
        end = len(body)
        form = body[:start]
    if not 0 < size <= LONGEST:
        return _read(servable, body, header_length, limits)
    known = servable.forms.get(form)
    if known is not None and known.limits is limits:
        flat = _list(body[start:end], known) if header_length is None else _bytes(body, start, known)
        if flat is not None:
            return known.asked(servable, flat)
    asked = _read(servable, body, header_length, limits)
    learn(servable, form, asked, limits, lambda: header_length is not None or _is_data(body, start, end))
    return asked


def _read(servable: Servable, body: Buffer, header_length: str | None, limits: Limits) -> Asked:
    if header_length is None:
        return read_json(servable, body, limits)
    return read_binary(servable, body, header_length, limits)


def _list(text: bytes, form: Form) -> Array | None:
    """The numbers of a list in JSON; None where they are for others to read."""
    if b"u" in text or b"l" in text:  # as in true, false and null: booleans would be taken for numbers
        return None
    try:
        values = orjson.loads(text)
        return pack(values, form.declared) if len(values) == form.count else None
    except (orjson.JSONDecodeError, struct.error, OverflowError):
        return None


def _bytes(body: bytes, start: int, form: Form) -> Array | None:
    """The numbers behind the JSON; None where they are for others to read."""
    if len(body) - start != form.nbytes:
        return None
    return aligned(np.frombuffer(body, form.declared.dtype, form.count, start))


def learn(servable: Servable, form: Hashable, asked: Asked, limits: Limits, proof: Callable[[], bool]) -> None:
    """Remember the form of a request that was read if it came before: where each has another id, nothing comes again.

    proof: whether the form is around the numbers of the only tensor, and around nothing else.
    """
    if form in servable.forms:
        return
    if form not in servable.met:
        if len(servable.met) >= _REMEMBERED:
            servable.met.clear()
        servable.met.add(form)
        return
    if len(servable.forms) >= _REMEMBERED:
        servable.forms.clear()
    servable.forms[form] = _form(servable, asked, limits, proof)


def _form(servable: Servable, asked: Asked, limits: Limits, proof: Callable[[], bool]) -> Form | None:
    """The form of a request; None where it is not one around the numbers of a single tensor."""
    if len(asked.job.feeds) != 1 or asked.job.deadline is not None:
        return None
    ((name, array),) = asked.job.feeds.items()
    declared = servable.signature.inputs[name]
    if not array.size or declared.dtype.kind not in "fiu" or declared.wire is None or not declared.wire.isnative:
        return None
    return Form(asked, declared, array, limits) if proof() else None


def _is_data(body: bytes, start: int, end: int) -> bool:
    """Whether what lies there is the data of the only tensor: other numbers there are other data.

    So it is not in a text, and not another list.
    """
    return all(_data(b"%b[%d]%b" % (body[:start], number, body[end:])) == [number] for number in (0, 1))


def _data(text: bytes) -> Any:
    """The data of the first tensor of a request, without lists around all of it; None where there is none."""
    try:
        data = orjson.loads(text)["inputs"][0]["data"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None
    while type(data) is list and len(data) == 1 and type(data[0]) is list:
        data = data[0]
    return data
