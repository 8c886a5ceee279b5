"""How the columns of a table become the inputs of a model, and its outputs become columns."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeArgumentError, RuntimeInputError
from seqc_runtime.inputs import Array, cast
from seqc_runtime.tensors import UNNAMED, TensorInfo, format_shape

# By input: the names of its columns, in order. A sequence alone is for a model with one input.
Choice = Mapping[str, Sequence[str]] | Sequence[str]

_NUMBERS = re.compile(r"(?:[._]\d+)+|(?:\[\d+\])+")
_MOST_NAMES = 8


@dataclass(frozen=True)
class Part:
    """One input and the columns that hold it.

    row: the shape of one sample; one axis may be -1, and None is a row of as many numbers as there are columns.
    """

    info: TensorInfo
    columns: tuple[str, ...]
    row: tuple[int, ...] | None

    def assemble(self, values: Array) -> Array:
        """The input, of an array that holds a row of values, one a column, for each sample."""
        return values if self.row is None else values.reshape(len(values), *_open_axis(self.row, values.shape[1]))

    def stack(self, columns: Sequence[Array]) -> Array:
        """The input, of its columns, each a value for each sample.

        Each becomes what the input takes before they stand beside each other: numpy has no integer for a mixture of
        int64 and uint64. Text stays what it is: labels are read as text, and may be numbers.
        """
        cells = columns if self.info.dtype == "str" else [cast(column, self.info) for column in columns]
        return self.assemble(np.stack(cells, axis=1))


def lay_out(
    infos: Sequence[TensorInfo], names: Sequence[str], choice: Choice | None = None, wide: Collection[str] = ()
) -> tuple[Part, ...]:
    """Say which columns hold which input.

    infos: the inputs. names: the columns there are. choice: what the user said. wide: columns that hold arrays.

    Without a choice, an input's columns are the one of its name, or those of its name with numbers (x_0, x_1, ...;
    x.0; x[0]); the only input of a model takes all columns when none has its name, or all are as many as it needs.
    Raises RuntimeArgumentError for a choice that cannot be, RuntimeInputError for columns that do not fit.
    """
    chosen = _by_input(infos, choice)
    parts = []
    for info in infos:
        columns = chosen.get(info.name)
        own = names if len(infos) == 1 else [name for name in names if _owner(name, infos) in (info, None)]
        found = _find(info, own, len(infos) == 1, wide) if columns is None else _known(info, columns, names)
        _check_once(info, found, names)
        parts.append(_part(info, found, wide, names))
    return tuple(parts)


def _owner(column: str, infos: Sequence[TensorInfo]) -> TensorInfo | None:
    """The input that a column is called after, with numbers or without: of x and x_1, x_1_0 is the second's."""
    called = [info for info in infos if column == info.name or numbers_of(column, info.name) is not None]
    return max(called, key=lambda info: len(info.name), default=None)


def _by_input(infos: Sequence[TensorInfo], choice: Choice | None) -> Mapping[str, Sequence[str]]:
    if choice is None:
        return {}
    if not isinstance(choice, Mapping):
        if len(infos) != 1:
            raise RuntimeArgumentError(
                f"columns needs to say for which input: the model has {_listed([info.name for info in infos])}"
            )
        return {infos[0].name: choice}
    unknown = [name for name in choice if name not in {info.name for info in infos}]
    if unknown:
        raise RuntimeArgumentError(
            f"columns names {_listed(unknown)}; the model's inputs are {_listed([info.name for info in infos])}"
        )
    return choice


def _known(info: TensorInfo, columns: Sequence[str], names: Sequence[str]) -> list[str]:
    missing = [name for name in columns if name not in names]
    if missing:
        raise RuntimeArgumentError(
            f"columns of input {info.name!r}: there is no {_listed(missing)}; there is {_listed(names)}"
        )
    return list(columns)


def only_columns(info: TensorInfo, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a model's only input, as `lay_out` finds them, however many there are."""
    found = _find(info, names, alone=True)
    _check_once(info, found, names)
    return tuple(found)


def _find(info: TensorInfo, names: Sequence[str], alone: bool, wide: Collection[str] = ()) -> list[str]:
    if info.name in names:
        sizes = [size for size in info.shape[1:] if isinstance(size, int)]
        fixed = len(sizes) == len(info.shape) - 1
        # As x, y, z, w are for an input x of four numbers: the column has its name by chance.
        all_fill = alone and fixed and info.name not in wide and 1 < len(names) == math.prod(sizes)
        return list(names) if all_fill else [info.name]
    numbered = [(numbers, name) for name in names if (numbers := numbers_of(name, info.name)) is not None]
    if numbered:
        _check_grid(info, numbered)
        return [name for _, name in sorted(numbered)]
    if alone:
        return list(names)
    raise RuntimeInputError(
        f"input {info.name!r} needs {info}, but no column is named {info.name!r} or {info.name + '_0'!r}, "
        f"{info.name + '_1'!r}, ...; there is {_listed(names)}: say which with columns"
    )


def numbers_of(column: str, name: str) -> tuple[int, ...] | None:
    """The numbers in the name of a column that is called as an input is, with numbers: x_0_1, x.0, x[0]; else None."""
    rest = column.removeprefix(name)
    if not column.startswith(name) or not _NUMBERS.fullmatch(rest):
        return None
    return tuple(int(number) for number in re.findall(r"\d+", rest))


def _check_grid(info: TensorInfo, numbered: Sequence[tuple[tuple[int, ...], str]]) -> None:
    """Refuse numbers that leave one out, or say one twice: the columns after it would be taken for others."""
    found = [numbers for numbers, _ in numbered]
    names = [name for _, name in sorted(numbered)]
    axes = list(zip(*found, strict=False))
    expected = math.prod(max(axis) - min(axis) + 1 for axis in axes)
    if len({len(numbers) for numbers in found}) > 1 or len(found) != expected or len(set(found)) != len(found):
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}, and the numbers of its columns leave some out or say some twice: "
            f"{_listed(names)}: say which with columns"
        )


def _check_once(info: TensorInfo, columns: list[str], names: Sequence[str]) -> None:
    twice = sorted({name for name in columns if names.count(name) > 1})
    if twice:
        raise RuntimeInputError(
            f"input {info.name!r} needs columns with names of their own; there are several {_listed(twice)}"
        )


def _part(info: TensorInfo, columns: list[str], wide: Collection[str], names: Sequence[str]) -> Part:
    array = [name for name in columns if name in wide]
    if array and len(columns) > 1:
        raise RuntimeInputError(
            f"input {info.name!r} needs one column of arrays or many of numbers; got {_listed(columns)}, of which "
            f"{_listed(array)} holds arrays: say which with columns"
        )
    row = None if not info.shape else tuple(size if isinstance(size, int) else -1 for size in info.shape[1:])
    if array:
        return Part(info, tuple(columns), row)
    if row is not None and row.count(-1) > 1:
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}, and columns of numbers do not say how long each axis is: "
            "use a .npy or .npz file, or a column of arrays"
        )
    fixed = math.prod(size for size in row or () if size != -1)
    if row is not None and (len(columns) % max(fixed, 1) if -1 in row else len(columns) != fixed):
        needed = f"a multiple of {fixed} columns" if -1 in row else f"{fixed} column{'s' * (fixed != 1)}"
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}, so {needed}; got {len(columns)}: {_listed(columns)}"
            f"{_unnamed_hint(names)}"
        )
    return Part(info, tuple(columns), row)


def _unnamed_hint(names: Sequence[str]) -> str:
    hint = ". The first has no name, as an index that pandas wrote" if names and not names[0] else ""
    return f"{hint}: say which with columns"


def _open_axis(row: tuple[int, ...], count: int) -> tuple[int, ...]:
    # NumPy cannot tell -1 in an array without elements.
    fixed = math.prod(size for size in row if size != -1)
    return tuple(count // max(fixed, 1) if size == -1 else size for size in row)


def output_columns(info: TensorInfo, shape: tuple[int, ...]) -> list[str]:
    """Names of the columns for an output of a row's shape: y, or y_0, y_1, ..., or y_0_0, ... for more axes."""
    if math.prod(shape) == 1:
        return [info.name]
    return ["_".join([info.name, *map(str, index)]) for index in np.ndindex(*shape)]


def flat(result: Array) -> Array:
    """An output with one row per sample and one column per number."""
    return result.reshape(len(result), math.prod(result.shape[1:]))


def check_rows(results: Sequence[Any], infos: Sequence[TensorInfo], rows: int) -> Iterator[tuple[TensorInfo, Array]]:
    """The outputs with what they are declared as, once each is known to have one row per sample.

    A dict for each sample (a classifier's, with a probability by class) is an output for each of its keys.
    """
    for declared, given in zip(infos, results, strict=True):
        if declared.kind == "sequence of maps":
            yield from _by_key(declared, given, rows)
            continue
        if declared.kind != "tensor":
            raise RuntimeInputError(
                f"output {declared.name!r} is a {declared}: a file of results needs an array with a row for each sample"
            )
        info, result = declared, given
        if result.shape[:1] != (rows,):
            raise RuntimeInputError(
                f"output {info.name!r} has shape {format_shape(result.shape)} for {rows} samples: a file of results "
                "needs one row for each sample"
            )
        yield info, result


def _by_key(info: TensorInfo, dicts: Sequence[Mapping[Any, Any]], rows: int) -> Iterator[tuple[TensorInfo, Array]]:
    keys = list(dicts[0]) if dicts else []
    if len(dicts) != rows or any(list(one) != keys for one in dicts):
        raise RuntimeInputError(
            f"output {info.name!r} has {len(dicts)} dicts for {rows} samples: a file of results needs one for each "
            "sample, all with the same keys"
        )
    for key in keys:
        column = TensorInfo(f"{info.name}_{key}", info.dtype, (UNNAMED,))
        yield column, np.array([one[key] for one in dicts], column.numpy_dtype)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_NAMES]))
    return shown + (f", ... ({len(names)} in all)" if len(names) > _MOST_NAMES else "") or "none"
