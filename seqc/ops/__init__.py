"""Tensor functions under Keras's names (`keras.ops`).

They work on graph values, layer variables, NumPy arrays and Python numbers alike, so a layer's `call`, a loss or a
metric written with them trains on every backend and exports to ONNX. The op classes behind them live in the modules of
this package, one family per file.
"""

from seqc.ops.arithmetic import (
    absolute,
    add,
    ceil,
    clip,
    divide,
    floor,
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
from seqc.ops.conv import conv
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
    not_equal,
    stop_gradient,
    where,
)
from seqc.ops.gather import one_hot, take
from seqc.ops.indexing import get_item
from seqc.ops.indexing import take_block as slice
from seqc.ops.linalg import dot, matmul
from seqc.ops.nonlinear import elu, leaky_relu, relu, sigmoid, softplus, softsign
from seqc.ops.pool import average_pool, max_pool
from seqc.ops.reduce import (
    argmax,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    moments,
    normalize,
    prod,
    softmax,
    std,
    sum,
    var,
)
from seqc.ops.rnn import lstm
from seqc.ops.shape import broadcast_like, expand_dims, ones_like, reshape, shape, squeeze, transpose, zeros_like
from seqc.ops.slicing import concatenate, flip, pad, split, stack
from seqc.ops.transcendental import cos, erf, exp, expm1, log, log1p, power, rsqrt, sin, sqrt, tanh

abs = absolute
true_divide = divide
