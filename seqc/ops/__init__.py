"""Tensor functions under Keras's names (`keras.ops`).

They work on graph values, layer variables, NumPy arrays and Python numbers alike, so a layer's `call`, a loss or a
metric written with them trains on every backend and exports to ONNX. The op classes behind them live in the modules of
this package, one family per file.
"""

from seqc.ops.conv import conv
from seqc.ops.elementwise import (
    absolute,
    add,
    cast,
    ceil,
    clip,
    cos,
    divide,
    elu,
    equal,
    erf,
    exp,
    expm1,
    floor,
    greater,
    greater_equal,
    isnan,
    leaky_relu,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    not_equal,
    power,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    softplus,
    softsign,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tanh,
    where,
)
from seqc.ops.gather import one_hot, take
from seqc.ops.linalg import dot, matmul
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
from seqc.ops.shape import (
    broadcast_like,
    concatenate,
    expand_dims,
    flip,
    ones_like,
    pad,
    reshape,
    shape,
    split,
    squeeze,
    stack,
    transpose,
    zeros_like,
)

abs = absolute
true_divide = divide
