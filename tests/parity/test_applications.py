"""Models of keras.applications that real Keras wrote: read, run, exported. `tests/kit/applications.py` does it for all.

Set SEQC_KERAS_PYTHON to an interpreter that has Keras 3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit import applications, keras_applications
from kit.keras_python import keras_python

# One of each kind that takes seconds: depthwise, squeezed and excited, with hard activations, joined; the others go
# through the same code.
NAMES = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "DenseNet121")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_keras_applications(name: str, tmp_path: Path) -> None:
    python = keras_python()
    applications.write(python, tmp_path, [name])
    found = applications.find(name, tmp_path)
    assert found.error < 1e-4
    assert found.inside == 0
    assert found.nodes["Transpose"] <= 2
    assert sum(found.nodes.values()) <= applications.TARGETS[name]


def test_the_images_differ_in_what_a_network_looks_at() -> None:
    images = keras_applications.structured_images(32)
    assert images.min() == 0
    assert images.max() == 255
    distances = [np.abs(a - b).mean() for i, a in enumerate(images) for b in images[:i]]
    assert min(distances) > 20
    borders = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], 1)
    assert np.abs(borders).mean() > 20  # wrong pads show
