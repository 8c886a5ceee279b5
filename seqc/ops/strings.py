"""Operations on tensors of strings: what layers make numbers of texts with, and texts of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np

from seqc.errors import DataError, DTypeError, NoLoweringError, ShapeError
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, Emitter, Op, Type, Value
from seqc.graph.strings import STRING, as_strings
from seqc.graph.target import Target
from seqc.ops._text_onnx import in_rows, split_at_whitespace, without
from seqc.ops.arithmetic import minimum
from seqc.ops.gather import one_hot
from seqc.ops.reduce import max as largest
from seqc.ops.reduce import sum as total

_CHARACTERS = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
_PUNCTUATION = str.maketrans("", "", _CHARACTERS)
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
# What C's isspace takes for one: Python's own idea of it is wider.
_WORD = re.compile(r"[^ \t\n\v\f\r]+")
_NO_VOCABULARY = "It has no vocabulary yet: call adapt(data) or set_vocabulary(list) first."


@dataclass(frozen=True, repr=False, eq=False)
class OnStrings(Op):
    """An operation for which there is no gradient, and which runs apart from what works on numbers."""

    kind = "lookup"
    strings: ClassVar[bool] = True

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (None,) * len(xs)

    def each(self, function: Callable[[Any], Any], x: Array, dtype: Any) -> Array:
        """Returns what a function makes of each element."""
        made = np.empty(x.size, dtype)
        made[:] = [function(one) for one in x.ravel().tolist()]
        return made.reshape(x.shape)


@dataclass(frozen=True, repr=False, eq=False)
class LookUp(OnStrings):
    """What stands for each element in a table.

    Attributes:
        keys, values: the table: strings or integers; without any, and without a default, it is not known yet.
        default: what stands for an element that is not in it; None where there must be none. key_type, dtype: of keys
        and values, "string" or "int64".
    """

    keys: tuple[Any, ...] = field(repr=False)
    values: tuple[Any, ...] = field(repr=False)
    default: Any
    key_type: str
    dtype: str = "int64"

    @cached_property
    def _table(self) -> dict[Any, Any]:
        return dict(zip(self.keys, self.values, strict=True))

    def infer(self, x: Type) -> Type:
        if x.dtype != self.key_type:
            raise DTypeError(f"This table has keys of type {self.key_type}; got {x}.")
        return x.with_dtype(self.dtype)

    def eval(self, x: Array) -> Any:
        dtype = object if self.dtype == STRING else self.dtype
        if self.default is not None:
            table, default = self._table, self.default
            return self.each(lambda one: table.get(one, default), x, dtype)
        if not self.keys:
            raise DataError(_NO_VOCABULARY)
        try:
            return self.each(self._table.__getitem__, x, dtype)
        except KeyError:
            unknown = [one for one in dict.fromkeys(x.ravel().tolist()) if one not in self._table]
            raise DataError(
                f"When `num_oov_indices=0` all inputs should be in vocabulary; found {unknown[:5]!r} outside it. "
                "Consider setting `num_oov_indices=1`."
            ) from None

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        count = len(self.keys)
        if not count and self.default is None:
            raise NoLoweringError(_NO_VOCABULARY)
        if not count:
            everywhere = e.constant(np.array([self.default], object if self.dtype == STRING else self.dtype))
            return e.node("Expand", everywhere, e.node("Shape", x))
        # Where there may be no other elements they get the row behind the last one of a table, which a run refuses.
        values = tuple(range(count)) if self.default is None else self.values
        default = count if self.default is None else self.default
        names = {STRING: "strings", "int64": "int64s"}
        found = e.node(
            "ai.onnx.ml.LabelEncoder",
            x,
            **{f"keys_{names[self.key_type]}": list(self.keys), f"values_{names[self.dtype]}": list(values)},
            **{"default_string" if self.dtype == STRING else "default_int64": default},
        )
        if self.default is not None:
            return found
        return e.node("Gather", e.constant(np.array(self.values, self.dtype)), found, axis=0)


@dataclass(frozen=True, repr=False, eq=False)
class Standardize(OnStrings):
    """Strings with ASCII letters in lower case, or without ASCII punctuation, or both.

    Attributes:
        lower_case: whether letters are lowered. strip: whether punctuation is left out.
    """

    lower_case: bool
    strip: bool

    def infer(self, x: Type) -> Type:
        return _strings(self, x)

    def eval(self, x: Array) -> Any:
        table = (_LOWER if self.lower_case else {}) | (_PUNCTUATION if self.strip else {})
        return self.each(lambda text: text.translate(table), x, object)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        # The operators take one axis.
        rank = y.type.rank
        flat = x if rank == 1 else e.node("Reshape", x, e.constant(np.array([-1], np.int64)))
        if self.lower_case:
            # The default locale is missing in small containers; "C" knows ASCII letters only.
            flat = e.node("StringNormalizer", flat, case_change_action="LOWER", locale="C")
        if self.strip:
            flat = without(e, flat, _CHARACTERS)
        return flat if rank == 1 else e.node("Reshape", flat, e.node("Shape", x))


@dataclass(frozen=True, repr=False, eq=False)
class CallOnStrings(OnStrings):
    """What a Python function makes of an array of strings: strings of the same shape."""

    function: Callable[[Any], Any]

    def infer(self, x: Type) -> Type:
        return _strings(self, x)

    def eval(self, x: Array) -> Any:
        made = as_strings(self.function(x.astype(str)))
        if made.shape != x.shape:
            raise ShapeError(f"`standardize` must return one string for each; it made {made.shape} of {x.shape}.")
        return made

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        raise NoLoweringError(
            "A Python function cannot be put into an ONNX file. Apply it to the texts beforehand, and use "
            "standardize='lower' or None."
        )


@dataclass(frozen=True, repr=False, eq=False)
class SplitText(OnStrings):
    """Strings as their words in a new last axis, with "" behind the last one of shorter texts.

    That axis is never empty: where no text has a word, each has one "".

    Attributes:
        by: "whitespace", "character", or None for rows of words that are there already. words: the name of the last
        axis's size. ngrams: how many words in a row count as one, in turn; None for each by itself.
    """

    by: str | None
    words: Dim
    ngrams: tuple[int, ...] | None = None

    def infer(self, x: Type) -> Type:
        _strings(self, x)
        if self.by is None and not x.rank:
            raise ShapeError(f"Words in a row take an axis; got {x}.")
        return Type(STRING, (*(x.shape[:-1] if self.by is None else x.shape), self.words))

    def eval(self, x: Array) -> Any:
        shape = x.shape[:-1] if self.by is None else x.shape
        texts = x.reshape(prod(shape), x.shape[-1]) if self.by is None else x.ravel()
        rows = [self._parts(one) for one in texts]
        if self.ngrams is not None:
            rows = [[" ".join(r[i : i + n]) for n in self.ngrams for i in range(len(r) - n + 1)] for r in rows]
        made = np.full((len(rows), max([1, *map(len, rows)])), "", object)
        for i, row in enumerate(rows):
            made[i, : len(row)] = row
        return made.reshape(*shape, made.shape[1])

    def _parts(self, text: Any) -> list[str]:
        return _WORD.findall(text) if self.by == "whitespace" else list(text)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        if self.by == "character":
            raise NoLoweringError("ONNX has no operator that splits texts into characters. Use split='whitespace'.")
        if self.by is None:  # an empty word among them would be taken for none
            raise NoLoweringError("n-grams of words that come one by one are not written. Use split='whitespace'.")
        rank = y.type.rank - 1
        words = split_at_whitespace(e, x if rank == 1 else e.node("Reshape", x, e.constant(np.array([-1], np.int64))))
        if self.ngrams is not None:
            words = in_rows(e, words, self.ngrams)
        if rank == 1:
            return words
        count = e.node("Shape", words, start=1)
        return e.node("Reshape", words, e.node("Concat", e.node("Shape", x), count, axis=0) if rank else count)


@dataclass(frozen=True, repr=False, eq=False)
class FitLength(OnStrings):
    """Rows of integers with so many of them: cut off, or with zeros behind."""

    length: int

    def infer(self, x: Type) -> Type:
        return x.with_shape((*x.shape[:-1], self.length))

    def eval(self, x: Array) -> Any:
        made = np.zeros((*x.shape[:-1], self.length), x.dtype)
        kept = x[..., : self.length]
        made[..., : kept.shape[-1]] = kept
        return made

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        rank = y.type.rank
        long = e.node("Pad", x, e.constant(np.array([0] * (2 * rank - 1) + [self.length], np.int64)))
        ends = (np.array([n], np.int64) for n in (0, self.length, rank - 1))
        return e.node("Slice", long, *map(e.constant, ends))


@dataclass(frozen=True, repr=False, eq=False)
class CountTokens(OnStrings):
    """For rows of integers, how many there are of each in [0, depth), or whether there are some.

    Attributes:
        depth: how many numbers count. binary: whether 1 stands for any number of them. dtype: of the result.
    """

    depth: int
    binary: bool
    dtype: str = "float32"

    def infer(self, x: Type) -> Type:
        return Type(self.dtype, (*x.shape[:-1], self.depth))

    def eval(self, x: Array) -> Any:
        rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
        made = np.zeros((len(rows), self.depth), self.dtype)
        at, places = np.nonzero((rows >= 0) & (rows < self.depth))
        np.add.at(made, (at, rows[at, places]), 1)
        return (np.minimum(made, 1) if self.binary else made).reshape(*x.shape[:-1], self.depth)

    def decompose(self, target: Target, y: Value, *xs: Any) -> Value | tuple[Value, ...] | None:
        vectors = one_hot(xs[0], self.depth, dtype=self.dtype)
        if self.binary and isinstance(xs[0].type.shape[-1], int):
            return largest(vectors, -2)
        counts = total(vectors, -2)  # of no words there is no largest
        return minimum(counts, 1.0) if self.binary else counts


@dataclass(frozen=True, repr=False, eq=False)
class Missing(OnStrings):
    """Numbers that are not known yet, so that nothing can run.

    Attributes:
        dtype, size: of the vector that they are. why: what to do.
    """

    dtype: str
    size: int
    why: str

    def infer(self) -> Type:
        return Type(self.dtype, (self.size,))

    def eval(self) -> Any:
        raise DataError(self.why)

    def lower(self, e: Emitter, y: Value) -> str | tuple[str, ...]:
        raise NoLoweringError(self.why)


def _strings(op: Op, x: Type) -> Type:
    if x.dtype != STRING:
        raise DTypeError(f"{op.name} takes strings; got {x}.")
    return x
