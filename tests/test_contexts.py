"""What holds inside a `with` block holds nowhere else: however it is left, and in whatever order blocks are closed."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from kit.interruptions import Injector, in_a_thread
from seqc import contexts
from seqc.contexts import Scoped, open_blocks
from seqc.graph.scopes import current_scope, scope

number: Scoped[int] = Scoped("number", default=0)


def test_the_innermost_block_counts() -> None:
    assert (number.get(), open_blocks()) == (0, [])
    with number.holding(1) as one:
        with number.holding(2):
            assert number.get() == 2
        assert (one, number.get(), open_blocks()) == (1, 1, ["number"])
    assert (number.get(), open_blocks()) == (0, [])


def test_interrupted_at_any_instruction_a_block_is_over() -> None:
    """Also inside Python's own `contextlib`, before it knows the block, and while the block is left."""

    def nested() -> None:
        with scope("a"):
            with scope("b"), number.holding(1):
                assert current_scope() == "a/b"
            assert (current_scope(), number.get()) == ("a", 0)

    gc.freeze()  # what other tests left behind would be looked at after every interruption
    try:
        assert in_a_thread(_interruptions, nested) > 200
    finally:
        gc.unfreeze()


def _interruptions(nested: Callable[[], None]) -> int:
    count = 0
    while True:
        injector = Injector([contexts.__file__, contextlib.__file__], count)
        error = injector.run(nested)
        if not injector.raised:
            return count
        assert isinstance(error, KeyboardInterrupt)
        place = str(error)
        del error  # and with it the frames that it keeps alive
        gc.collect()
        assert (current_scope(), number.get(), open_blocks()) == ("", 0, []), place
        count += 1


def test_blocks_closed_in_another_order_leave_nothing() -> None:
    outer, inner = number.holding(1), number.holding(2)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert number.get() == 2
    inner.__exit__(None, None, None)
    assert number.get() == 0


def test_a_block_that_nobody_closes_is_over_when_nothing_is_left_of_it() -> None:
    left = number.holding(1)
    left.__enter__()
    assert number.get() == 1
    del left
    assert number.get() == 0


def test_a_block_closed_in_another_thread_says_nothing_and_is_over() -> None:
    block = number.holding(1)
    block.__enter__()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(number.get).result() == 0
        pool.submit(block.__exit__, None, None, None).result()
    assert number.get() == 0


def test_blocks_that_are_over_are_forgotten() -> None:
    with number.holding(1):
        for _ in range(3):
            with number.holding(2):
                pass
        with number.holding(3):
            begun = next(at for at in copy_context().values() if isinstance(at, contexts.Begun) and at.around)
            assert begun.around is not None
            assert begun.around.around is None
