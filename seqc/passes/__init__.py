"""Rewriting graphs: each pass takes a graph and the target it is prepared for, and returns one that computes the same.

Which passes a graph goes through, and in what order, each target says (seqc/export/pipelines.py,
seqc/backends/numpy/lowering.py). `promote_floats` makes the double-precision truth that all are measured against.
"""

from __future__ import annotations

from seqc.passes.batch_norm import fold_batch_norm
from seqc.passes.bias import fuse_bias
from seqc.passes.binding import bind_constants
from seqc.passes.bodies import prepare_bodies
from seqc.passes.borders import accept_channels_first, give_channels_first
from seqc.passes.constants import fold_constants
from seqc.passes.decomposition import decompose_ops
from seqc.passes.directions import join_directions
from seqc.passes.dropout import remove_dropout
from seqc.passes.duplicates import merge_duplicates
from seqc.passes.layout_plan import plan_layout
from seqc.passes.limits import join_limits
from seqc.passes.masking import join_masked_layers
from seqc.passes.padding import fold_padding
from seqc.passes.pipeline import Pass, run_passes
from seqc.passes.precision import promote_floats
from seqc.passes.scaling import fold_scale
from seqc.passes.shapes import simplify_shapes

__all__ = [
    "Pass",
    "accept_channels_first",
    "bind_constants",
    "decompose_ops",
    "fold_batch_norm",
    "fold_constants",
    "fold_padding",
    "fold_scale",
    "fuse_bias",
    "give_channels_first",
    "join_directions",
    "join_limits",
    "join_masked_layers",
    "merge_duplicates",
    "plan_layout",
    "prepare_bodies",
    "promote_floats",
    "remove_dropout",
    "run_passes",
    "simplify_shapes",
]
