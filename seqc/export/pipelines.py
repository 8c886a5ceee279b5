"""The passes that a graph goes through on its way to ONNX.

`FOR_INFERENCE` is for a graph whose weights are constants, `FOR_TRAINING` for a step graph whose weights are inputs.
"""

from __future__ import annotations

from seqc.export.activations.gelu import spread_gelu
from seqc.export.activations.recognition import recognize_activations
from seqc.export.activations.slopes import recognize_slopes
from seqc.export.bodies import prepare_bodies
from seqc.export.images.bias import fuse_channel_bias
from seqc.export.normalization.recognition import recognize_groups, recognize_mean_squares
from seqc.export.recurrent.directions import join_directions
from seqc.export.recurrent.gradients import scan_recurrent_gradients
from seqc.export.recurrent.lowering import lower_recurrent
from seqc.export.recurrent.masking import join_masked_layers, take_ids
from seqc.export.splitting import join_slices
from seqc.passes.affine import fold_affine
from seqc.passes.bias import fuse_bias
from seqc.passes.constants import fold_constants
from seqc.passes.decomposition import decompose_ops
from seqc.passes.dropout import remove_dropout
from seqc.passes.duplicates import merge_duplicates
from seqc.passes.flattening import flatten_pixels
from seqc.passes.integers import cast_to_truth, widen_integers
from seqc.passes.layout_plan import plan_layout
from seqc.passes.limits import join_limits
from seqc.passes.padding import fold_padding
from seqc.passes.pipeline import Pass
from seqc.passes.projections import pack_projections
from seqc.passes.scaling import fold_scale
from seqc.passes.shapes import simplify_shapes
from seqc.passes.strides import fold_strides

FOR_INFERENCE: tuple[Pass, ...] = (
    remove_dropout,
    lower_recurrent,
    decompose_ops,
    widen_integers,
    cast_to_truth,
    prepare_bodies,
    join_limits,
    merge_duplicates,
    fold_constants,
    recognize_activations,
    recognize_slopes,
    recognize_groups,
    fold_padding,
    fold_strides,
    fuse_bias,
    fold_affine,
    spread_gelu,
    fold_scale,
    fold_affine,
    flatten_pixels,
    simplify_shapes,
    take_ids,
    plan_layout,
    fold_constants,
    fuse_channel_bias,
    simplify_shapes,
    join_directions,
    simplify_shapes,
    join_masked_layers,
    simplify_shapes,
    merge_duplicates,
    recognize_mean_squares,
    pack_projections,
    join_slices,
)

FOR_TRAINING: tuple[Pass, ...] = (
    scan_recurrent_gradients,
    lower_recurrent,
    decompose_ops,
    widen_integers,
    prepare_bodies,
    merge_duplicates,
    fold_constants,
    fuse_bias,
    simplify_shapes,
    take_ids,
    plan_layout,
    fold_constants,
    simplify_shapes,
    merge_duplicates,
    join_slices,
)
