"""Rewriting graphs: each pass takes a graph and the target it is prepared for, and returns one that computes the same.

Which passes a graph goes through, and in what order, each target says (seqc/export/pipelines.py,
seqc/backends/numpy/lowering.py). `promote_floats` makes the double-precision truth that all are measured against.
"""
