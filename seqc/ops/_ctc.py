"""The numbers of connectionist temporal classification, in logarithms, over a batch and all labels at once.

Graves et al. (2006), "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
Networks". A sequence of n labels is a chain of 2n + 1 states, blanks and labels in turn; each step stays in a state,
goes to the next one, or over a blank between two labels that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array


@dataclass(eq=False)
class Alignments:
    """All alignments of labels with steps.

    Args:
        target: labels (batch, labels). output: logits (batch, steps, classes). target_length, output_length: how many
        of them count, (batch,). blank: the class of no label.

    Raises:
        DataError: a label that counts is no class, or a length is more than there is.
    """

    target: Array
    output: Array
    target_length: Array
    output_length: Array
    blank: int

    def __post_init__(self) -> None:
        labels, classes = self.target.shape[1], self.output.shape[2]
        for name, length, most in (("label", self.target_length, labels), ("output", self.output_length, self.steps)):
            if length.size and not (length.min() >= 0 and length.max() <= most):
                found = length.min() if length.min() < 0 else length.max()
                raise DataError(f"CTC needs {name} lengths from 0 to {most}; got {found}.")
        counts = np.arange(labels) < self.target_length[:, None]
        wrong = self.target[counts & ((self.target < 0) | (self.target >= classes) | (self.target == self.blank))]
        if wrong.size:
            raise DataError(
                f"CTC needs labels from 0 to {classes - 1} other than {self.blank}, the class of no label; got "
                f"{wrong[0]}."
            )
        self._labels = np.where(counts, self.target, self.blank)

    @property
    def steps(self) -> int:
        return int(self.output.shape[1])

    @cached_property
    def log_probabilities(self) -> Array:
        return log_softmax(self.output)

    @cached_property
    def _emissions(self) -> Array:
        """The log-probability of each state at each step, (steps, batch, states)."""
        batch, labels = self._labels.shape
        found = np.empty((self.steps, batch, 2 * labels + 1), self.output.dtype)
        by_step = self.log_probabilities.transpose(1, 0, 2)
        found[:, :, ::2] = by_step[:, :, self.blank, None]
        found[:, :, 1::2] = np.take_along_axis(by_step, self._labels[None], 2)
        return found

    @cached_property
    def _jumps(self) -> Array:
        """Zero where a state is reached over a blank from two states before, minus infinity elsewhere."""
        batch, labels = self._labels.shape
        found = np.full((batch, 2 * labels + 1), -np.inf, self.output.dtype)
        found[:, 3::2] = np.where(self._labels[:, 1:] != self._labels[:, :-1], 0, -np.inf)
        return found

    @cached_property
    def _forward(self) -> Array:
        """The log-probability of all ways to each state up to each step, that step included."""
        emissions, jumps = self._emissions, self._jumps
        found = np.full_like(emissions, -np.inf)
        if self.steps:
            found[0, :, :2] = emissions[0, :, :2]
        for t in range(1, self.steps):
            before, here = found[t - 1], found[t]
            here[:] = before
            np.logaddexp(here[:, 1:], before[:, :-1], out=here[:, 1:])
            np.logaddexp(here[:, 2:], before[:, :-2] + jumps[:, 2:], out=here[:, 2:])
            here += emissions[t]
        return found

    @cached_property
    def _last(self) -> Array:
        """Zero for the states that an alignment may end in, minus infinity for others."""
        states, ends = np.arange(2 * self._labels.shape[1] + 1), 2 * self.target_length[:, None]
        return np.where((states == ends) | (states == ends - 1), 0, -np.inf).astype(self.output.dtype)

    @cached_property
    def _backward(self) -> Array:
        """The log-probability of all ways from each state at each step to the end, that step not included."""
        emissions, jumps = self._emissions, self._jumps
        found = np.full_like(emissions, -np.inf)
        for t in range(self.steps - 1, -1, -1):
            ends = (self.output_length == t + 1)[:, None]
            if t + 1 < self.steps:
                after, here = found[t + 1] + emissions[t + 1], found[t]
                here[:] = after
                np.logaddexp(here[:, :-1], after[:, 1:], out=here[:, :-1])
                np.logaddexp(here[:, :-2], after[:, 2:] + jumps[:, 2:], out=here[:, :-2])
            np.copyto(found[t], self._last, where=ends)
        return found

    def losses(self) -> Array:
        """Returns minus the log-probability of all alignments; infinity where there is none."""
        samples = np.arange(len(self.target))
        if not self.steps:
            return np.where(self.target_length == 0, 0, np.inf).astype(self.output.dtype)
        ways = self._forward[np.maximum(self.output_length - 1, 0), samples] + self._last
        found = -np.logaddexp.reduce(ways, axis=-1)
        return np.where(self.output_length > 0, found, np.where(self.target_length == 0, 0, np.inf)).astype(ways.dtype)

    def gradients(self) -> Array:
        """Returns the gradients of the losses by the logits; zeros where there is no alignment."""
        losses = self.losses()
        possible = np.isfinite(losses)
        counts = (np.arange(self.steps) < self.output_length[:, None]) & possible[:, None]
        total = np.where(possible, losses, 0)[None, :, None]
        # Of all alignments, the share that is in a state at a step: (batch, steps, states).
        shares = np.exp(self._forward + self._backward + total).transpose(1, 0, 2)
        found = np.exp(self.log_probabilities)
        found[:, :, self.blank] -= shares[:, :, ::2].sum(-1)
        samples, steps = np.arange(len(found))[:, None], np.arange(self.steps)
        for i in range(self._labels.shape[1]):
            found[samples, steps, self._labels[:, i, None]] -= shares[:, :, 2 * i + 1]
        return np.where(counts[:, :, None], found, 0).astype(self.output.dtype)


def log_softmax(x: Array) -> Array:
    """Returns the logarithms of probabilities along the last axis."""
    shifted: Array = x - x.max(-1, keepdims=True, initial=-np.inf)
    total: Array = np.exp(shifted).sum(-1, keepdims=True)
    return shifted - np.log(total)


def beam_search(log_probabilities: Array, length: int, width: int, blank: int) -> list[tuple[float, tuple[int, ...]]]:
    """Returns the most probable label sequences of one sample with their log-probabilities, the best first.

    Hannun et al. (2014), "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent
    DNNs", without a language model.

    Args:
        log_probabilities: (steps, classes). length: how many steps count. width: how many sequences are followed.
        blank: the class of no label.
    """
    # Sequences, and the log-probability of all alignments that end in their last label, or in a blank.
    kept: list[tuple[int, ...]] = [()]
    in_label, in_blank = np.array([-np.inf]), np.array([0.0])
    classes = log_probabilities.shape[1]
    for step in log_probabilities[:length].astype(np.float64):
        number = {sequence: i for i, sequence in enumerate(kept)}
        total = np.logaddexp(in_label, in_blank)
        last = np.array([sequence[-1] if sequence else -1 for sequence in kept])
        longer = total[:, None] + step
        # A label that follows itself is another one only over a blank.
        again = np.flatnonzero(last >= 0)
        longer[again, last[again]] = in_blank[again] + step[last[again]]
        longer[:, blank] = -np.inf
        stays_in_label = np.where(last >= 0, in_label + step[last], -np.inf)
        for i, sequence in enumerate(kept):
            before = number.get(sequence[:-1]) if sequence else None
            if before is not None:
                stays_in_label[i] = np.logaddexp(stays_in_label[i], longer[before, sequence[-1]])
                longer[before, sequence[-1]] = -np.inf
        stays_in_blank = total + step[blank]
        scores = np.concatenate([np.logaddexp(stays_in_label, stays_in_blank), longer.ravel()])
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:width] if scores[i] > -np.inf]
        split = len(kept)
        new = [kept[i] if i < split else (*kept[(i - split) // classes], (i - split) % classes) for i in best]
        in_label = np.array([stays_in_label[i] if i < split else scores[i] for i in best])
        in_blank = np.array([stays_in_blank[i] if i < split else -np.inf for i in best])
        kept = new
    found = np.logaddexp(in_label, in_blank)
    return [(float(found[i]), kept[i]) for i in np.argsort(-found, kind="stable")]
