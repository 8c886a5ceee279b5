"""How long a run takes, of the float model and a quantized one in turn."""

from __future__ import annotations

import time
from collections.abc import Callable

from seqc.backends.onnxruntime import Session
from seqc.export.quantization.samples import Feeds

# Gets both models and what to run them on, and returns the seconds of one run of each.
Measure = Callable[[Session, Session, Feeds], tuple[float, float]]

ROUNDS = 60
# A round takes at least so long, that the clock is no matter; all of them together at most so long.
_ROUND_SECONDS, _MOST_SECONDS = 0.004, 8.0
_FEWEST_ROUNDS = 5
_PAUSE_SECONDS = 0.002


def measure_latency(first: Session, second: Session, feeds: Feeds) -> tuple[float, float]:
    """Returns the seconds that a run of each of two models takes, the least of many rounds.

    Rounds of both alternate, so that what else the machine does meets them alike; it can only make a run longer.
    """
    sessions = (first, second)
    for session in sessions:  # the first run allocates
        session.run(feeds)
    once = [_seconds(session, feeds, 1) for session in sessions]
    runs = [max(1, min(1000, int(_ROUND_SECONDS / max(t, 1e-7)))) for t in once]
    spent = sum(t * n for t, n in zip(once, runs, strict=True))
    rounds = max(_FEWEST_ROUNDS, min(ROUNDS, int(_MOST_SECONDS / max(spent, 1e-9))))
    found = [
        [_seconds(session, feeds, n) / n for session, n in zip(sessions, runs, strict=True)] for _ in range(rounds)
    ]
    return min(a for a, _ in found), min(b for _, b in found)


def _seconds(session: Session, feeds: Feeds, runs: int) -> float:
    # The other model's threads wait busily for a while after its last run, and this one's have gone to sleep.
    time.sleep(_PAUSE_SECONDS)
    session.run(feeds)
    start = time.perf_counter()
    for _ in range(runs):
        session.run(feeds)
    return time.perf_counter() - start
