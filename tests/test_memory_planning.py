"""Where buffers lie in one block of memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seqc.backends.numpy.lifetimes import ALIGNMENT, Lifetime, aligned, plan_memory

CALLS = st.integers(0, 30)
LIVES = st.builds(lambda size, a, b: Lifetime(size, min(a, b), max(a, b)), st.integers(0, 1000), CALLS, CALLS)


@given(st.dictionaries(st.integers(), LIVES, max_size=40))
def test_each_buffer_takes_the_lowest_place_that_nobody_needs_at_the_same_time(lives: dict[int, Lifetime]) -> None:
    places, total = plan_memory(lives)
    begun: list[int] = []
    for key in sorted(lives, key=lambda key: (lives[key].first, -lives[key].size)):
        beside = sorted((places[k], places[k] + aligned(lives[k].size)) for k in begun if alike(lives[k], lives[key]))
        # Where a buffer without bytes lies does not matter.
        assert places[key] == lowest(beside, aligned(lives[key].size)) or not lives[key].size
        begun.append(key)
    assert total == max((places[key] + aligned(lives[key].size) for key in lives), default=0)
    assert not any(place % ALIGNMENT for place in places.values())


def alike(a: Lifetime, b: Lifetime) -> bool:
    """Tells whether two buffers are needed at the same time."""
    return a.size > 0 and a.last >= b.first and b.last >= a.first


def lowest(taken: list[tuple[int, int]], count: int) -> int:
    """Returns the lowest place for so many bytes beside others, by trying them all."""
    return next(at for at in (0, *(end for _, end in taken)) if all(end <= at or at + count <= a for a, end in taken))
