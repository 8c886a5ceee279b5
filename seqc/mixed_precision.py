"""Keras's older names for dtype policies."""

from seqc.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from seqc.optimizers import LossScaleOptimizer
from seqc.utils.absent import absent

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

__getattr__ = absent(__name__, __all__)
