"""A network of keras.applications taken over, frozen and let go, as in Keras; recorded by kit/transferred.py."""

from __future__ import annotations

import json

import numpy as np
import pytest

import seqc as keras
from kit import transferred

TRANSFERRED = json.loads(transferred.RECORDED.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("way", TRANSFERRED)
def test_a_network_is_taken_over_as_in_keras(way: str) -> None:
    found, recorded = transferred.run(keras, way), TRANSFERRED[way]
    assert list(found) == list(recorded)
    for part, numbers in recorded.items():
        np.testing.assert_allclose(found[part], numbers, rtol=0, atol=5e-5 * np.abs(numbers).max(), err_msg=part)
    assert (recorded["let go: statistics"] == recorded["frozen: statistics"]) == (way != "all")


@pytest.mark.slow
def test_a_network_that_is_called_not_to_train_keeps_its_statistics() -> None:
    found, recorded = transferred.run(keras, "all, called with training=False"), TRANSFERRED["all"]
    np.testing.assert_allclose(found["frozen: answers"], recorded["frozen: answers"], atol=1e-4)
    assert found["let go: trained weights"] == recorded["let go: trained weights"]
    assert found["let go: statistics"] == found["frozen: statistics"]
    assert found["let go: answers"] != found["frozen: answers"]
