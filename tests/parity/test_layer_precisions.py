"""Every recorded layer case in half precision: what Keras computed in float32, within the precision, in its dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kit.effort import turn
from kit.oracle import Case, cases, layer_classes
from kit.own_cells import CELLS
from seqc import Sequential, saving
from seqc.dtype_policies import DTypePolicy
from seqc.known_classes import classes

CARRIED = {*classes("layers"), "DTypePolicy"}
TOLERANCE = {"mixed_float16": 2**-8, "bfloat16": 2**-5}
# What float16 cannot hold, on purpose of the case, and precisions that the case has itself.
BEYOND = (
    "Dense-act_exponential",
    "Normalization-zero_variance",
    # A number that falls among others of a histogram moves a whole step.
    "ContrastLimitedAdaptiveHistogramEqualization-kt01-layer",
)


def fits(case: Case) -> bool:
    described = str(case.facts["layers"])
    own = any(f"'name': '{name}'" in described for name in ("float64", "float16", "mixed_bfloat16"))
    refused = any(one in described for one in ("'renorm': True", "RNNCellWithDropout"))
    carried = set(layer_classes(case.facts["layers"])) <= CARRIED and not refused
    numbers = np.prod(case.facts["x_shape"]) > 0 and np.issubdtype(case.arrays["y"].dtype, np.floating)
    return carried and numbers and not own and "string" not in case.facts["input_dtype"]


CASES = [case for case in cases("layers") if fits(case)]
# Each case in one of the precisions; none where the folder `shared` is not beside the repository.
MET = [
    pytest.param(case, policy, id=f"{case.id}-{policy}")
    for i, policy in enumerate(TOLERANCE)
    for case in turn(CASES, i, 2)
]


def in_precision(described: Any, policy: str) -> Any:
    """Returns a configuration with another policy in the place of float32."""
    if isinstance(described, dict):
        if described.get("class_name") == "DTypePolicy":
            return described | {"config": {"name": policy}}
        return {key: in_precision(value, policy) for key, value in described.items()}
    return [in_precision(one, policy) for one in described] if isinstance(described, list) else described


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize(("case", "policy"), MET)
def test_layer_in_half_precision(case: Case, policy: str) -> None:
    single = saving.load_model(case.file(".keras"), custom_objects=CELLS)
    model = Sequential.from_config(in_precision(single.get_config(), policy), custom_objects=CELLS)
    model.set_weights(single.get_weights())
    x, recorded = case.arrays["x"], case.arrays["y"]
    found = model.predict(x, batch_size=len(x), verbose=0)
    # Some of Keras's layers say "float32" of themselves in files, whatever their policy is.
    assert found.dtype.name in (DTypePolicy(policy).compute_dtype, model.layers[-1].compute_dtype)
    if case.id in BEYOND and "bfloat" not in policy:
        return
    scale = np.nanmax(np.abs(recorded), initial=1.0)
    np.testing.assert_allclose(found.astype("float64"), recorded, rtol=0, atol=TOLERANCE[policy] * scale)
