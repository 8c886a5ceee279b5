"""The NumPy backend: plans that run a graph, in the dtype of the arrays they are given."""

from seqc.backends.numpy.plan import Plan

__all__ = ["Plan"]
