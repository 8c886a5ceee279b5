"""What tests share that are of models and graphs that nobody chose."""

from __future__ import annotations

import pytest

# What is drawn may drop a mask, or take the softmax of one number, and either is said.
may_be_odd = pytest.mark.filterwarnings(
    "ignore:Layer .* does not support masking", "ignore:You are using a softmax over axis"
)
