"""Folders of sounds, one for each class, as data to train with."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.utils.folders import Folder


def audio_dataset_from_directory(
    directory: str | PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Returns the sounds in a folder, batch by batch, as float32 (batch, samples, channels) from -1 to 1.

    Args:
        directory: the folder; sounds are in files `.wav` of 16 bits.
        sampling_rate: samples a second that all of them must have; Keras brings them to it.
        output_sequence_length: samples of each sound, cut off or with zeros behind; None for as many as the longest one
        of a batch has.
        ragged: refused: there are no tensors of rows of different lengths.
        labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links, verbose: see
        `image_dataset_from_directory`.

    Raises:
        ConfigError: an argument makes no sense. DataError: there are no sounds, or one cannot be read.
    """
    if ragged:
        raise ConfigError(
            "audio_dataset_from_directory makes no ragged tensors, of rows of different lengths: leave `ragged` out, "
            "and sounds get zeros behind them."
        )
    if sampling_rate is not None and (not isinstance(sampling_rate, int) or sampling_rate <= 0):
        raise ConfigError(
            f"`sampling_rate` should have an integer value higher than 0. Received: sampling_rate={sampling_rate}"
        )
    folder = Folder(
        str(directory), (".wav",), labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, "tf", verbose,
    )  # fmt: skip
    return folder.datasets(
        lambda paths: _together([_sound(path, sampling_rate) for path in paths], output_sequence_length)
    )


def _together(sounds: list[Array], length: int | None) -> Array:
    longest = max(len(sound) for sound in sounds) if length is None else length
    channels = {sound.shape[1] for sound in sounds}
    if len(channels) > 1:
        raise DataError(f"Sounds of a batch have the same number of channels; these have {sorted(channels)}.")
    batch = np.zeros((len(sounds), longest, channels.pop()), "float32")
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = sound[:longest]
    return batch


def _sound(path: str, rate: int | None) -> Array:
    """Returns the samples of a file (samples, channels), from -1 to 1."""
    try:
        with wave.open(path, "rb") as file:
            found, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataError(f"'{path}' is not a WAV file of samples as they are ({error}).") from error
    if width != 2:
        raise DataError(f"'{path}' has samples of {8 * width} bits; 16 are read. Convert it first.")
    if rate not in (None, found):
        raise DataError(
            f"'{path}' has {found} samples a second, not sampling_rate={rate}; sounds are not brought to another rate "
            "here. Convert the files first, with scipy.signal.resample_poly for instance."
        )
    return np.frombuffer(content, "<i2").reshape(-1, channels).astype("float32") / np.float32(32768)
