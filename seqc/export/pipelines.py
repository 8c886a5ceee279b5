"""The passes that a graph goes through on its way to ONNX.

`FOR_INFERENCE` is for a graph whose weights are constants, `FOR_TRAINING` for a step graph whose weights are inputs.
"""

from __future__ import annotations

from seqc.passes import (
    Pass,
    decompose_ops,
    fold_batch_norm,
    fold_constants,
    fold_padding,
    fold_scale,
    fuse_bias,
    join_directions,
    join_limits,
    join_masked_layers,
    merge_duplicates,
    plan_layout,
    prepare_bodies,
    remove_dropout,
    simplify_shapes,
)

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
