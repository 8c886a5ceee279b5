"""1,797 handwritten digits of 8 by 8 pixels, part of the package, so that a first run needs no download."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]

TEST_IMAGES_PER_DIGIT = 36


def load_data() -> tuple[Arrays, Arrays]:
    """The handwritten digits, split into 1,437 training and 360 test images.

    The split is fixed: of each digit, 36 images spread evenly over the original file are the test set, the others the
    training set; both keep the file's order. Images by one writer stand together in that file, so most writers occur
    in both parts: the test says how well a model reads hands it knows.

    Returns:
        `(x_train, y_train), (x_test, y_test)`. `x` is uint8 (n, 8, 8) with values 0 (paper) to 16 (ink); `y` is
        uint8 (n,) with the digit, 0 to 9.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0 (see digits.NOTICE.md).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = seqc.datasets.digits.load_data()
        >>> x_train.shape, int(x_train.max()), y_test.shape
        ((1437, 8, 8), 16, (360,))
    """
    from importlib import resources  # with what it loads for itself, only for those who ask

    file = resources.files(__package__).joinpath("digits.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        x, y = stored["x"], stored["y"]
    test = np.zeros(len(y), dtype=bool)
    for digit in range(10):
        images = np.flatnonzero(y == digit)
        test[images[2 + np.arange(TEST_IMAGES_PER_DIGIT) * (len(images) - 2) // TEST_IMAGES_PER_DIGIT]] = True
    return (x[~test], y[~test]), (x[test], y[test])
