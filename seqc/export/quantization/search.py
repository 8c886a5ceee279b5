"""Which recipe to take, and which nodes of it to leave in float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from seqc.export.quantization.recipes import Recipe
from seqc.export.quantization.settings import LEAST_GAIN
from seqc.export.quantization.trials import Bench, Trial
from seqc.sure import present

# Timings, or sizes, that differ by less are taken for the same: the other decides.
_SAME_TIME, _SAME_SIZE = 1.03, 1.1
# How often another choice of layers is timed at most, and how slow a file may be of which one is tried.
_MOST_TIMINGS, _HOPELESS = 8, 0.5


@dataclass(frozen=True)
class Candidate:
    """The best of one recipe: its last trial and, where that was good enough to be timed, the seconds of a run."""

    recipe: Recipe
    trial: Trial
    float_seconds: float | None = None
    seconds: float | None = None

    @property
    def speedup(self) -> float | None:
        """How many times as fast as the float model it is."""
        return None if self.seconds is None or self.float_seconds is None else self.float_seconds / self.seconds


def find_candidates(bench: Bench, recipes: Sequence[Recipe]) -> list[Candidate]:
    """Returns what each recipe came to, in the order of the recipes."""
    found: list[Candidate] = []
    for i, recipe in enumerate(recipes):
        bench.begin(i, len(recipes))
        earlier = next((c for c in found if c.recipe.name == recipe.instead_of), None)
        if earlier is not None and is_exact(bench, earlier.trial) and not earlier.trial.in_float:
            continue
        trial = _exact_enough(bench, recipe)
        if not is_exact(bench, trial):
            found.append(Candidate(recipe, trial))
            continue
        found.append(Candidate(recipe, trial, *bench.time(recipe, trial)))
    _leave_slow_layers(bench, found)
    # The float model was timed beside each of them: its best time counts for all, so that their ratios compare.
    least = min((c.float_seconds for c in found if c.float_seconds is not None), default=None)
    return [c if c.seconds is None else replace(c, float_seconds=least) for c in found]


def _leave_slow_layers(bench: Bench, found: list[Candidate]) -> None:
    """Lets layers of the fastest candidate stay in float that are slower otherwise, found by bisection."""
    timed = [i for i, c in enumerate(found) if c.speedup is not None]
    at = max(timed, key=lambda i: found[i].speedup or 0.0, default=None)
    if at is None or bench.settings.purpose != "speed" or (found[at].speedup or 0.0) < _HOPELESS:
        return
    best, timings = found[at], 0
    groups = [n for n in best.recipe.nodes if n not in best.trial.in_float]
    queue = _halves(groups)
    while queue and timings < _MOST_TIMINGS:
        group = queue.pop(0)
        trial = bench.attempt(best.recipe, [*best.trial.in_float, *group])
        if len(trial.in_float) == len(best.recipe.nodes):
            continue
        if is_exact(bench, trial):
            timings += 1
            timed_one = Candidate(best.recipe, trial, *bench.time(best.recipe, trial))
            if (timed_one.speedup or 0.0) > (best.speedup or 0.0) * _SAME_TIME:
                best = timed_one
                continue
        queue += _halves(group)
    found[at] = best


def _halves(group: Sequence[str]) -> list[Sequence[str]]:
    middle = len(group) // 2
    return [group[:middle], group[middle:]] if middle else []


def is_exact(bench: Bench, trial: Trial) -> bool:
    """Tells whether a trial lost no more than is allowed."""
    return not trial.wrong and trial.drop <= bench.settings.max_drop + 1e-12


def refusal(bench: Bench, candidate: Candidate) -> str:
    """Returns why a candidate is not what was asked for; nothing where it is."""
    trial, settings = candidate.trial, bench.settings
    if trial.wrong:
        return trial.wrong
    if not is_exact(bench, trial):
        return f"loses {trial.drop:.2%}, {settings.max_drop:.2%} allowed"
    if settings.purpose == "speed":
        speedup = present(candidate.speedup)
        return "" if speedup >= LEAST_GAIN else f"runs at {speedup:.2f} times the speed of float"
    ratio = len(bench.model.content) / trial.file_bytes
    return "" if ratio >= LEAST_GAIN else f"takes {1 / ratio:.0%} of the bytes"


def best_of(bench: Bench, candidates: Sequence[Candidate]) -> Candidate | None:
    """Returns the candidate that is best at what was asked, None where none is good enough."""
    fit = [c for c in candidates if not refusal(bench, c)]
    if not fit:
        return None
    if bench.settings.purpose == "size":
        smallest = min(c.trial.file_bytes for c in fit)
        return max((c for c in fit if c.trial.file_bytes <= smallest * _SAME_SIZE), key=lambda c: c.speedup or 0.0)
    fastest = max(c.speedup or 0.0 for c in fit)
    return min((c for c in fit if (c.speedup or 0.0) * _SAME_TIME >= fastest), key=lambda c: c.trial.file_bytes)


def _exact_enough(bench: Bench, recipe: Recipe) -> Trial:
    """Returns a trial that loses little enough, with as few nodes in float as bisection finds; else the first one."""
    first = bench.attempt(recipe)
    if is_exact(bench, first) or len(recipe.nodes) < 2:
        return first
    ends = (recipe.nodes[0], recipe.nodes[-1])
    if first.wrong and all(bench.attempt(recipe, [n for n in recipe.nodes if n != end]).wrong for end in ends):
        return first  # it is not some node that onnxruntime cannot do so, but any
    hurting = list(_hurting(bench, recipe, recipe.nodes, known_bad=True))
    left = [n for n in recipe.nodes if n not in hurting]
    if not left:
        return first
    trial = bench.attempt(recipe, hurting) if hurting else first
    if is_exact(bench, trial):
        return trial
    return _without_the_worst(bench, recipe, hurting, left) or first


def _hurting(bench: Bench, recipe: Recipe, nodes: Sequence[str], known_bad: bool = False) -> Iterator[str]:
    """Yields the nodes of a group that lose too much when they alone are quantized: bisection."""
    if not known_bad:
        trial = bench.attempt(recipe, [n for n in recipe.nodes if n not in set(nodes)])
        if is_exact(bench, trial):
            return
    if len(nodes) == 1:
        yield nodes[0]
        return
    middle = len(nodes) // 2
    yield from _hurting(bench, recipe, nodes[:middle])
    yield from _hurting(bench, recipe, nodes[middle:])


def _without_the_worst(bench: Bench, recipe: Recipe, hurting: Sequence[str], left: Sequence[str]) -> Trial | None:
    """Returns the trial with the fewest further nodes in float that loses little enough, None where none does.

    No node hurts alone, but together they do: those whose quantization moves the outputs most go first.
    """

    def moved(node: str) -> float:
        return bench.attempt(recipe, [n for n in recipe.nodes if n != node]).error

    order = sorted(left, key=moved, reverse=True)
    low, high, found = 1, len(order) - 1, None
    while low <= high:
        middle = (low + high) // 2
        trial = bench.attempt(recipe, [*hurting, *order[:middle]])
        if is_exact(bench, trial):
            found, high = trial, middle - 1
        else:
            low = middle + 1
    return found
