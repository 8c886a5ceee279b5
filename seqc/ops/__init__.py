"""Tensor functions under Keras's names (`keras.ops`).

They work on graph values, layer variables, NumPy arrays and Python numbers alike, so a layer's `call`, a loss or a
metric written with them trains on every backend and exports to ONNX. The op classes behind them live in the modules of
this package, one family per file.
"""

from typing import TYPE_CHECKING

from seqc.graph.operators import OPERATORS
from seqc.ops import _bit_operators as _bit_operators
from seqc.ops import image as image
from seqc.ops import linalg as linalg
from seqc.ops import nn as nn
from seqc.ops import numpy as numpy
from seqc.ops._calls import remembered
from seqc.ops.activation import (
    celu,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    log_sigmoid,
    relu6,
    selu,
    silu,
    soft_shrink,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh_shrink,
    threshold,
)
from seqc.ops.arithmetic import (
    absolute,
    add,
    ceil,
    clip,
    divide,
    divide_no_nan,
    floor,
    floor_divide,
    isfinite,
    isinf,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    reciprocal,
    round,
    sign,
    square,
    subtract,
)
from seqc.ops.complex_parts import angle, conj, conjugate, imag, isreal, real, view_as_real
from seqc.ops.contraction import dot, einsum, outer, tensordot
from seqc.ops.creation import (
    arange,
    array,
    convert_to_numpy,
    convert_to_tensor,
    copy,
    dtype,
    empty,
    eye,
    full,
    identity,
    is_tensor,
    ndim,
    ones,
    tri,
    zeros,
)
from seqc.ops.elementwise import (
    cast,
    equal,
    greater,
    greater_equal,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    stop_gradient,
    where,
)
from seqc.ops.gather import multi_hot, one_hot, take, take_along_axis
from seqc.ops.images import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    conv,
    conv_transpose,
    depthwise_conv,
    max_pool,
    separable_conv,
)
from seqc.ops.indexing import get_item
from seqc.ops.linalg import matmul
from seqc.ops.nonlinear import elu, leaky_relu, relu, sigmoid, softplus, softsign
from seqc.ops.rearranging import (
    broadcast_to,
    diff,
    hstack,
    moveaxis,
    ravel,
    repeat,
    roll,
    slice,
    swapaxes,
    tile,
    tril,
    triu,
    vstack,
)
from seqc.ops.reduce import amax, amin, argmax, argmin, cumsum, log_softmax, max, mean, min, prod, softmax, sum
from seqc.ops.shape import (
    broadcast_like,
    empty_like,
    expand_dims,
    full_like,
    ones_like,
    reshape,
    shape,
    size,
    squeeze,
    transpose,
    zeros_like,
)
from seqc.ops.slicing import concatenate, flip, split, stack, unstack
from seqc.ops.statistics import (
    all,
    any,
    average,
    corrcoef,
    count_nonzero,
    logsumexp,
    moments,
    norm,
    normalize,
    ptp,
    std,
    trapezoid,
    var,
)
from seqc.ops.transcendental import (
    arctan,
    arctanh,
    cos,
    cosh,
    erf,
    exp,
    expm1,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    power,
    rsqrt,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
)
from seqc.utils.absent import absent, late, places_in

if TYPE_CHECKING:
    from seqc.ops.attention import dot_product_attention
    from seqc.ops.bitwise import (
        bitwise_and,
        bitwise_invert,
        bitwise_left_shift,
        bitwise_not,
        bitwise_or,
        bitwise_right_shift,
        bitwise_xor,
        left_shift,
        right_shift,
        view,
    )
    from seqc.ops.branches import cond, switch
    from seqc.ops.counting import bincount, digitize, histogram, isin
    from seqc.ops.crossentropy import binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy
    from seqc.ops.ctc import ctc_decode, ctc_loss
    from seqc.ops.derivatives import custom_gradient, jvp
    from seqc.ops.diagonals import diag, diagflat, diagonal, trace
    from seqc.ops.distinct import nonzero, unique
    from seqc.ops.divisors import gcd, lcm
    from seqc.ops.einops import rearrange
    from seqc.ops.factors import cdist, eigh, lu_factor, matrix_rank, qr, svd
    from seqc.ops.fourier import fft, fft2, ifft2, irfft, rfft
    from seqc.ops.frames import extract_sequences, istft, stft
    from seqc.ops.inverses import (
        cholesky,
        cholesky_inverse,
        det,
        inv,
        logdet,
        lstsq,
        pinv,
        slogdet,
        solve,
        solve_triangular,
    )
    from seqc.ops.joining import append, array_split, dsplit, dstack, fliplr, flipud, hsplit, rot90, vsplit
    from seqc.ops.layouts import depth_to_space, fold, psnr, space_to_depth, unfold
    from seqc.ops.loops import associative_scan, fori_loop, map, scan, vectorized_map, while_loop
    from seqc.ops.nans import (
        nanargmax,
        nanargmin,
        nancumprod,
        nancumsum,
        nanmax,
        nanmean,
        nanmin,
        nanprod,
        nanstd,
        nansum,
        nanvar,
    )
    from seqc.ops.normalizing import batch_normalization, layer_normalization, rms_normalization
    from seqc.ops.padding import pad
    from seqc.ops.powers import cbrt, erfc, erfinv, exp2, ldexp, logaddexp2
    from seqc.ops.products import correlate, cross, inner, kron, vdot
    from seqc.ops.quantiles import median, nanmedian, nanpercentile, nanquantile, percentile, quantile
    from seqc.ops.rnn import gru, lstm, simple_rnn
    from seqc.ops.rounding import (
        allclose,
        fabs,
        fmax,
        fmin,
        fmod,
        heaviside,
        isclose,
        isneginf,
        isposinf,
        nan_to_num,
        nextafter,
        saturate_cast,
        select,
        signbit,
        trunc,
    )
    from seqc.ops.running import cumprod
    from seqc.ops.scattering import scatter, scatter_update, slice_update
    from seqc.ops.segments import segment_max, segment_min, segment_prod, segment_sum
    from seqc.ops.sorting import argpartition, argsort, in_top_k, searchsorted, sort, top_k, unravel_index
    from seqc.ops.spacing import geomspace, linspace, logspace, meshgrid, vander
    from seqc.ops.trigonometry import arccos, arccosh, arcsin, arcsinh, arctan2, deg2rad, hypot, rad2deg
    from seqc.ops.vectorizing import vectorize
    from seqc.ops.windows import bartlett, blackman, hamming, hanning, i0, kaiser, sinc

abs = absolute
hard_swish = hard_silu
swish = silu
true_divide = divide

__all__ = [
    "abs", "absolute", "adaptive_average_pool", "adaptive_max_pool", "add", "all", "allclose", "amax", "amin", "angle",
    "any", "append", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax",
    "argmin", "argpartition", "argsort", "array", "array_split", "associative_scan", "average", "average_pool",
    "bartlett", "batch_normalization", "binary_crossentropy", "bincount", "bitwise_and", "bitwise_invert",
    "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "blackman",
    "broadcast_like", "broadcast_to",
    "cast", "categorical_crossentropy", "cbrt", "cdist", "ceil", "celu", "cholesky", "cholesky_inverse", "clip",
    "concatenate", "cond", "conj", "conjugate", "conv", "conv_transpose", "convert_to_numpy", "convert_to_tensor",
    "copy", "corrcoef", "correlate", "cos", "cosh", "count_nonzero", "cross", "ctc_decode", "ctc_loss", "cumprod",
    "cumsum", "custom_gradient",
    "deg2rad", "depth_to_space", "depthwise_conv", "det", "diag", "diagflat", "diagonal", "diff", "digitize", "divide",
    "divide_no_nan", "dot", "dot_product_attention", "dsplit", "dstack", "dtype",
    "eigh", "einsum", "elu", "empty", "empty_like", "equal", "erf", "erfc", "erfinv", "exp", "exp2", "expand_dims",
    "expm1", "extract_sequences", "eye",
    "fabs", "fft", "fft2", "flip", "fliplr", "flipud", "floor", "floor_divide", "fmax", "fmin", "fmod", "fold",
    "fori_loop", "full", "full_like",
    "gcd", "gelu", "geomspace", "get_item", "glu", "greater", "greater_equal", "gru",
    "hamming", "hanning", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "heaviside",
    "histogram", "hsplit", "hstack", "hypot",
    "i0", "identity", "ifft2", "imag", "in_top_k", "inner", "inv", "irfft", "is_tensor", "isclose", "isfinite", "isin",
    "isinf", "isnan", "isneginf", "isposinf", "isreal", "istft",
    "jvp",
    "kaiser", "kron",
    "layer_normalization", "lcm", "ldexp", "leaky_relu", "left_shift", "less", "less_equal", "linspace", "log", "log1p",
    "log2", "log10", "log_sigmoid", "log_softmax", "logaddexp", "logaddexp2", "logdet", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logspace", "logsumexp", "lstm", "lstsq", "lu_factor",
    "map", "matmul", "matrix_rank", "max", "max_pool", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod",
    "moments", "moveaxis", "multi_hot", "multiply",
    "nan_to_num", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin",
    "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "ndim", "negative", "nextafter", "nonzero",
    "norm", "normalize", "not_equal",
    "one_hot", "ones", "ones_like", "outer",
    "pad", "percentile", "pinv", "power", "prod", "psnr", "ptp",
    "qr", "quantile",
    "rad2deg", "ravel", "real", "rearrange", "reciprocal", "relu", "relu6", "repeat", "reshape", "rfft", "right_shift",
    "rms_normalization", "roll", "rot90", "round", "rsqrt",
    "saturate_cast", "scan", "scatter", "scatter_update", "searchsorted", "segment_max", "segment_min", "segment_prod",
    "segment_sum", "select", "selu", "separable_conv", "shape", "sigmoid", "sign", "signbit", "silu", "simple_rnn",
    "sin", "sinc", "sinh", "size", "slice", "slice_update", "slogdet", "soft_shrink", "softmax", "softplus", "softsign",
    "solve", "solve_triangular", "sort", "space_to_depth", "sparse_categorical_crossentropy", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "split", "sqrt", "square", "squareplus", "squeeze", "stack", "std", "stft",
    "stop_gradient", "subtract", "sum", "svd", "swapaxes", "swish", "switch",
    "take", "take_along_axis", "tan", "tanh", "tanh_shrink", "tensordot", "threshold", "tile", "top_k", "trace",
    "transpose", "trapezoid", "tri", "tril", "triu", "true_divide", "trunc",
    "unfold", "unique", "unravel_index", "unstack",
    "vander", "var", "vdot", "vectorize", "vectorized_map", "view", "view_as_real", "vsplit", "vstack",
    "where", "while_loop",
    "zeros", "zeros_like",
]  # fmt: skip

# What few programs call is loaded when it is asked for, by the module that has it.
_LATE = {
    "attention": "dot_product_attention",
    "bitwise": "bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift "
    "bitwise_xor left_shift right_shift view",
    "branches": "cond switch",
    "counting": "bincount digitize histogram isin",
    "crossentropy": "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy",
    "ctc": "ctc_decode ctc_loss",
    "derivatives": "custom_gradient jvp",
    "einops": "rearrange",
    "diagonals": "diag diagflat diagonal trace",
    "distinct": "nonzero unique",
    "divisors": "gcd lcm",
    "factors": "cdist eigh lu_factor matrix_rank qr svd",
    "fourier": "fft fft2 ifft2 irfft rfft",
    "frames": "extract_sequences istft stft",
    "inverses": "cholesky cholesky_inverse det inv logdet lstsq pinv slogdet solve solve_triangular",
    "joining": "append array_split dsplit dstack fliplr flipud hsplit rot90 vsplit",
    "layouts": "depth_to_space fold psnr space_to_depth unfold",
    "loops": "associative_scan fori_loop map scan vectorized_map while_loop",
    "nans": "nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd nansum nanvar",
    "normalizing": "batch_normalization layer_normalization rms_normalization",
    "padding": "pad",
    "powers": "cbrt erfc erfinv exp2 ldexp logaddexp2",
    "products": "correlate cross inner kron vdot",
    "quantiles": "median nanmedian nanpercentile nanquantile percentile quantile",
    "rnn": "gru lstm simple_rnn",
    "rounding": "allclose fabs fmax fmin fmod heaviside isclose isneginf "
    "isposinf nan_to_num nextafter saturate_cast select signbit trunc",
    "running": "cumprod",
    "scattering": "scatter scatter_update slice_update",
    "segments": "segment_max segment_min segment_prod segment_sum",
    "sorting": "argpartition argsort in_top_k searchsorted sort top_k unravel_index",
    "spacing": "geomspace linspace logspace meshgrid vander",
    "trigonometry": "arccos arccosh arcsin arcsinh arctan2 deg2rad hypot rad2deg",
    "vectorizing": "vectorize",
    "windows": "bartlett blackman hamming hanning i0 kaiser sinc",
}
# What takes functions: symbols remember what these call, as if it stood there itself.
_OF_FUNCTIONS = {f"{__name__}.{module}" for module in ("branches", "derivatives", "loops", "vectorizing")}

# On symbols, what they give remembers the call, whether it was written as a function or as an operator.
for _table in (globals(), OPERATORS):
    _table.update({_name: remembered(_table[_name]) for _name in __all__ if _name in _table})

__getattr__ = late(
    __name__,
    places_in(__name__, _LATE),
    absent(__name__, __all__, "Others can be made of those there are."),
    lambda found, module: found if module in _OF_FUNCTIONS else remembered(found),
)


def __dir__() -> list[str]:
    return sorted([*__all__, "image", "linalg", "nn", "numpy"])
