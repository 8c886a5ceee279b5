"""Rewriting graphs: each pass takes a graph and returns one that computes the same.

`FOR_INFERENCE` prepares a graph whose weights are constants for ONNX, `FOR_TRAINING` a step graph whose weights are
inputs; `promote_floats` makes the double-precision truth that both are measured against.
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

FOR_INFERENCE: tuple[Pass, ...] = (
    remove_dropout,
    decompose_ops,
    prepare_bodies,
    join_limits,
    merge_duplicates,
    fold_constants,
    fold_padding,
    fuse_bias,
    fold_batch_norm,
    fold_scale,
    simplify_shapes,
    plan_layout,
    fold_constants,
    simplify_shapes,
    join_directions,
    simplify_shapes,
    join_masked_layers,
    simplify_shapes,
    merge_duplicates,
)

FOR_TRAINING: tuple[Pass, ...] = (
    decompose_ops,
    merge_duplicates,
    fold_constants,
    fuse_bias,
    simplify_shapes,
    plan_layout,
    fold_constants,
    simplify_shapes,
    merge_duplicates,
)


__all__ = [
    "FOR_INFERENCE",
    "FOR_TRAINING",
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
