"""Whether the samples of a batch stand for themselves: shown by what neighbours, their order and number change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from seqc_runtime.errors import RuntimeStoppedError, SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.server.made_up import Feeds, MadeUp, pick
from seqc_runtime.tensors import TensorInfo

# How far an answer may be from the one given alone, relative to the largest number of the output. Matrix products
# add up in another order for other batch sizes; every other difference is far larger, or is NaN.
TOLERANCE = {"float16": 3e-2, "float32": 2e-4, "float64": 1e-10}
_SAMPLES = 12
# Rows of the batches in which samples with special numbers are looked at.
_FEW = 2
SPECIAL = "NaN, 0, -1 or another special number"
# What treats all numbers alike: a model of these only does not find out which of them stand for one that is missing.
PLAIN = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Concat", "Constant", "Conv", "ConvTranspose"),
        *("DepthToSpace", "Div", "Dropout", "Einsum", "Elu", "Erf", "Exp", "Flatten", "GRU", "Gather", "Gelu"),
        *("Gemm", "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization", "HardSigmoid", "HardSwish"),
        *("Identity", "InstanceNormalization", "LSTM", "LayerNormalization", "LeakyRelu", "LogSoftmax", "MatMul"),
        *("MaxPool", "Mish", "Mul", "Neg", "PRelu", "Pow", "RNN", "ReduceMean", "ReduceSum", "Relu", "Reshape"),
        *("Selu", "Shape", "Sigmoid", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split"),
        *("Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze"),
    }
)

Run = Callable[[Feeds], list[Array]]


class Dependent(Exception):
    """Samples do not stand for themselves, and why."""


class Independence:
    """Compares what samples get together with what each of them gets alone.

    run: runs the model. outputs: what it declares to give. most: rows that may run together.
    """

    def __init__(
        self, run: Run, outputs: Sequence[TensorInfo], made: MadeUp, random: np.random.Generator, most: int
    ) -> None:
        self._run = run
        self._outputs = outputs
        self._made = made
        self._random = random
        self._count = min(_SAMPLES, max(2, most))
        # Samples, and the answers that each of them got alone.
        self._checked: list[tuple[Feeds, list[list[Array]]]] = []

    @property
    def tolerance(self) -> float:
        """How far an answer that counts as the same may be from the one given alone, as in TOLERANCE."""
        return max(TOLERANCE.get(info.dtype, 0.0) for info in self._outputs)

    def check(self) -> None:
        """Raise Dependent when a sample's answer changes with its neighbours, their order or their number."""
        self._check_telling(self._check(self._made.samples(self._count)))
        if self._made.has_wide:
            self._check(self._made.widened(self._made.samples(self._count)))

    def _check(self, pool: Feeds) -> list[list[Array]]:
        count = self._count
        alone = self.alone(pool, count)
        again = self.alone(pool, min(2, count))
        for number, results in enumerate(again):
            self._compare([alone[number]], results, 1, "the same sample gives other answers when it runs again")
        for order, what in self._orders(count):
            self._compare(
                [alone[i] for i in order], self._run(pick(pool, order)), len(order), f"an answer changes with {what}"
            )
        for stranger, what in self._strangers(pool):
            keep = list(range(0, count, 2))
            mixed = {name: _interleaved(array, stranger[name], keep) for name, array in pool.items()}
            results = self._run(mixed)
            check_rows(results, 2 * len(keep))
            kept = [result[::2] for result in results]
            self._compare([alone[i] for i in keep], kept, len(keep), f"an answer changes when a neighbour holds {what}")
        self._checked.append((pool, alone))
        return alone

    def check_special(self) -> bool:
        """The same of samples with NaN and other numbers that a model may treat as none, such as by filling them in.

        What is computed of NaN may depend on the place that it has among the numbers of a batch. So they are compared
        with what they get at the same place, among samples that are the same.

        False where the model takes none of them, which shows nothing.
        """
        count = self._made.special_count
        taken = [self._check_few(self._made.special(_FEW, first), first % 4 > 0) for first in range(0, count, _FEW)]
        return any(taken) or not count

    def _check_few(self, pool: Feeds, spread: bool) -> bool:
        """Whether the model takes any of these samples. spread: look at them beside numbers of other sizes."""
        rows = _FEW
        expected = [self._of_likes(pool, row, rows) for row in range(rows)]
        taken = [row for row in range(rows) if expected[row] is not None]
        # What the model does not take alone is refused in a batch, too, and then everybody gets an answer alone.
        if len(taken) == rows:
            self._compare_rows(expected, self._run(pool), taken, "other special numbers")
        for row in taken:
            batch = self._made.samples(rows)
            batch = self._made.spread(batch) if spread else batch
            for name, array in batch.items():
                array[row] = pool[name][row]
            self._compare_rows(expected, self._run(batch), [row], f"{'other' if spread else 'ordinary'} numbers")
        return bool(taken)

    def _of_likes(self, pool: Feeds, row: int, rows: int) -> list[Array] | None:
        """The answer that a sample gets at its place, in a batch of that sample only; None where it is not taken."""
        try:
            results = self._run(pick(pool, [row] * rows))
        except RuntimeStoppedError:
            raise
        except SeqcRuntimeError:
            return None
        check_rows(results, rows)
        return [result[row : row + 1] for result in results]

    def _compare_rows(
        self, expected: list[list[Array] | None], results: list[Array], rows: list[int], what: str
    ) -> None:
        """Each of these rows by itself: one of large numbers would let the others be far from theirs."""
        for row in rows:
            answers = [result[row : row + 1] for result in results]
            problem = f"an answer to {SPECIAL} changes with {what} beside it"
            self._compare([expected[row] or []], answers, 1, problem)

    def check_crowd(self, rows: int) -> None:
        """The same in the largest batch: some models look at what stands beyond the first samples only."""
        count = min(self._count, rows)
        for pool, alone in self._checked * 3:
            crowd = self._made.spread(self._made.samples(rows))
            places = self._random.permutation(rows)[:count]
            for name, array in crowd.items():
                array[places] = pool[name][:count]
            results = self._run(crowd)
            check_rows(results, rows)
            kept = [result[places] for result in results]
            self._compare(alone[:count], kept, count, f"an answer changes among {rows} samples")

    def alone(self, pool: Feeds, count: int) -> list[list[Array]]:
        """The answers that the first samples get alone."""
        return [self._run(pick(pool, [number])) for number in range(count)]

    def same(self, pool: Feeds, alone: list[list[Array]], rows: int) -> bool:
        """Whether so many samples, anywhere in a batch, get the answers they got alone, bit for bit."""
        order = [int(i) for i in self._random.permutation(len(alone))[:rows]]
        results = self._run(pick(pool, order))
        check_rows(results, rows)
        return all(
            np.concatenate([alone[i][number] for i in order]).tobytes() == np.ascontiguousarray(result).tobytes()
            if result.dtype != object
            else np.array_equal(np.concatenate([alone[i][number] for i in order]), result)
            for number, result in enumerate(results)
        )

    def _check_telling(self, alone: list[list[Array]]) -> None:
        """Raise Dependent when the answers would not show it if samples depended on each other."""
        columns = [np.concatenate(answers) for answers in zip(*alone, strict=True) if answers[0].shape[:1] == (1,)]
        for info, column in zip(self._outputs, columns, strict=False):
            if column.dtype.kind == "f" and column.size and not np.isfinite(column).any():
                raise Dependent(f"output {info.name!r} of made-up inputs is never a finite number, which tells nothing")
        if all(np.array_equal(column[:1].repeat(len(column), 0), column) for column in columns):
            raise Dependent("made-up inputs all have the same answer, which tells nothing")

    def _orders(self, count: int) -> Iterator[tuple[list[int], str]]:
        everybody = list(range(count))
        yield everybody, "its neighbours"
        yield everybody[::-1], "the order of its neighbours"
        yield [int(i) for i in self._random.permutation(count)], "the order of its neighbours"
        for rows in sorted({2, 3, 5, count // 2} - {0, 1}):
            if rows <= count:
                yield everybody[:rows], "the number of its neighbours"
                yield everybody[-rows:], "the number of its neighbours"
        yield [0] * count, "neighbours equal to it"

    def _strangers(self, pool: Feeds) -> Iterator[tuple[Feeds, str]]:
        yield self._made.samples(self._count), "other numbers"
        for _ in range(8):
            yield self._made.spread(self._made.samples(self._count)), "numbers of other sizes"
        if any(array.dtype.kind == "f" for array in pool.values()):
            for value, what in ((np.nan, "NaN"), (np.inf, "infinity"), (1e4, "large numbers"), (0.0, "zeros")):
                yield (
                    {
                        name: np.full_like(array, value) if array.dtype.kind == "f" else array
                        for name, array in pool.items()
                    },
                    what,
                )

    def _compare(self, expected: list[list[Array]], results: list[Array], rows: int, what: str) -> None:
        check_rows(results, rows)
        for number, (info, result) in enumerate(zip(self._outputs, results, strict=True)):
            wanted = [answer[number] for answer in expected]
            if any(one.shape != (1, *result.shape[1:]) for one in wanted):
                raise Dependent(f"the shape of output {info.name!r} changes with the batch")
            if not _close(np.concatenate(wanted), result, info.dtype):
                raise Dependent(f"{what} (output {info.name!r})")


def check_rows(results: list[Array], rows: int) -> None:
    """Raise Dependent for outputs that do not have a row for every row of the inputs."""
    for result in results:
        if not result.ndim or result.shape[0] != rows:
            raise Dependent(f"{rows} samples give an output of shape {list(result.shape)}")


def _interleaved(array: Array, stranger: Array, keep: list[int]) -> Array:
    mixed = np.empty((2 * len(keep), *array.shape[1:]), array.dtype)
    mixed[::2] = array[keep]
    mixed[1::2] = stranger[: len(keep)]
    return mixed


def _close(expected: Array, result: Array, dtype: str) -> bool:
    if dtype not in TOLERANCE:
        return bool(np.array_equal(expected, result))
    finite = np.abs(expected[np.isfinite(expected)], dtype=np.float64)
    scale = float(finite.max()) if finite.size else 0.0
    atol = TOLERANCE[dtype] * scale
    return bool(np.allclose(result.astype(np.float64), expected.astype(np.float64), 0, atol, equal_nan=True))
