"""Small data for the programs beside this file: made by seeded functions, the same on every machine."""

import struct
import zlib
from pathlib import Path

import numpy as np

GOOD = ("wonderful", "brilliant", "moving", "funny", "superb")
BAD = ("boring", "dull", "terrible", "wooden", "tedious")
PLAIN = (
    "the",
    "film",
    "was",
    "a",
    "story",
    "about",
    "two",
    "actors",
    "and",
    "their",
    "director",
    "plot",
    "in",
    "music",
)


def shapes(count, size=16, seed=0, channels=1):
    """Images of three classes: lying stripes, standing stripes and a disc, each with noise.

    Returns:
        Floats (count, size, size, channels) from 0 to 1, and classes (count,).
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    kinds = rng.integers(0, 3, count)
    images = np.empty((count, size, size, channels), "float32")
    for image, kind in zip(images, kinds, strict=True):
        shift, width = rng.integers(0, 4), rng.integers(2, 4)
        middle = rng.uniform(0.35, 0.65, 2) * size
        drawn = (
            (rows + shift) // width % 2,
            (columns + shift) // width % 2,
            np.hypot(rows - middle[0], columns - middle[1]) < size * 0.3,
        )[kind]
        image[:] = drawn[..., None] * 0.8 + 0.1
    images += rng.normal(0, 0.05, images.shape)
    return np.clip(images, 0, 1).astype("float32"), kinds


def folder_of_images(folder, count, size=24, seed=0):
    """Writes images of `shapes` as PNG files, in one folder per class, and returns the folder."""
    images, kinds = shapes(count, size, seed, channels=3)
    for number, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        home = Path(folder) / ("lying", "standing", "disc")[kind]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:04d}.png").write_bytes(_png((image * 255).astype("uint8")))
    return folder


def _png(image):
    height, width, _ = image.shape
    lines = b"".join(b"\0" + row.tobytes() for row in image)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def reviews(count, seed=0):
    """Texts of reviews of films, and 1 where more good words than bad ones stand in them."""
    rng = np.random.default_rng(seed)
    texts, labels = [], np.empty(count, "int64")
    for place in range(count):
        label = labels[place] = rng.integers(0, 2)
        words = list(rng.choice(PLAIN, rng.integers(4, 12)))
        for _ in range(rng.integers(1, 4)):
            words.insert(rng.integers(0, len(words) + 1), str(rng.choice(GOOD if label else BAD)))
        texts.append(" ".join(words))
    return texts, labels


def numbered_reviews(count, seed=0):
    """`reviews` as lists of numbers of words, as the data set IMDB has them: 1 is a start, 2 is for rare words."""
    texts, labels = reviews(count, seed)
    numbers = {word: place + 3 for place, word in enumerate(sorted((*PLAIN, *GOOD, *BAD)))}
    return [[1, *(numbers[word] for word in text.split())] for text in texts], labels


def series(steps, seed=0):
    """Two quantities measured once an hour: (steps, 2) floats with a daily wave, a slow one and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    warm = np.sin(2 * np.pi * time / 24) + 0.5 * np.sin(2 * np.pi * time / 168)
    damp = np.cos(2 * np.pi * (time - 3) / 24)
    return (np.stack([warm, damp], 1) + rng.normal(0, 0.05, (steps, 2))).astype("float32")


def patients(count, seed=0):
    """A table of people: a dictionary of columns of numbers and of strings, and 1 where one is in danger."""
    rng = np.random.default_rng(seed)
    columns = {
        "age": rng.integers(20, 80, count).astype("float32"),
        "pressure": rng.normal(130, 15, count).astype("float32"),
        "rooms": rng.integers(0, 4, count).astype("int64"),
        "pain": rng.choice(["none", "usual", "strong"], count).astype(object),
    }
    danger = (columns["age"] - 50) / 15 + (columns["pressure"] - 130) / 15 + (columns["pain"] == "strong") * 2 - 0.5
    return columns, (danger + rng.normal(0, 0.3, count) > 0).astype("float32")


def rare_frauds(count, seed=0):
    """Payments of which a few in a hundred are frauds: (count, 6) floats and (count, 1) labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 1)) < 0.06).astype("uint8")
    return (rng.normal(size=(count, 6)) + 1.6 * labels * np.array([1, -1, 0.5, 0, 1, 0])).astype("float32"), labels


STORY = (
    "the lamp on the quay went out at nine and the boats came home without a light. "
    "nobody on the quay had a match, so the baker brought embers from his oven. "
    "by ten the lamp was burning again and the last of the boats was tied to the wall. "
    "the baker went home, and in the morning the bread was late. "
) * 3
