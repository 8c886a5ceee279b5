"""A training script that is killed at random moments and started again until it is through.

python -m kit.killed_training train FOLDER     # the script: trains with BackupAndRestore and writes its result
python -m kit.killed_training kill 50          # kills it so often, at random moments, and compares the bits
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULT = "result.txt"
# The longest that a started script is left alone before it is killed, in seconds after it has begun to train.
LONGEST = 1.5


def train(folder: Path) -> None:
    """Trains, the same way each time it is called, with a backup after every third batch."""
    import numpy as np

    import seqc as keras
    from seqc import callbacks, layers

    keras.utils.set_random_seed(11)
    rng = np.random.default_rng(0)
    x = rng.random((96, 8, 8, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0.5).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.RandomFlip(),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 400), use_ema=True)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
    (folder / "begun").touch()
    watching = [
        callbacks.BackupAndRestore(folder / "backup", save_freq=3),
        callbacks.EarlyStopping("val_loss", patience=30, restore_best_weights=True),
        callbacks.CSVLogger(folder / "log.csv"),
    ]
    model.fit(x, y, batch_size=16, epochs=24, verbose=0, validation_split=0.25, callbacks=watching)
    arrays = [v.numpy() for v in (*model.weights, *model.optimizer.variables)]
    bits = hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
    (folder / "new").write_text(f"{bits}\n{(folder / 'log.csv').read_text()}")
    os.replace(folder / "new", folder / RESULT)


def start(folder: Path, threads: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kit.killed_training", "train", str(folder)]
    own = {"PYTHONPATH": os.pathsep.join(sys.path), "SEQC_VERIFY": "0", "SEQC_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, env=os.environ | own)


def killed(folder: Path, times: int, chance: random.Random) -> tuple[str, int]:
    """Returns the result of a script that is killed up to so many times, and how often it was.

    One in three kills waits for a file of a backup that is just being written.
    """
    done = 0
    while not (folder / RESULT).exists():
        (folder / "begun").unlink(missing_ok=True)
        process = start(folder, chance.choice((1, 2, 3)))
        if done < times:
            while not (folder / "begun").exists() and process.poll() is None:
                time.sleep(0.01)
            end = time.monotonic() + chance.random() * LONGEST
            at_write = chance.random() < 1 / 3
            while process.poll() is None:
                writing = at_write and any((folder / "backup").glob(".*.tmp"))
                if writing or time.monotonic() > end + 2 * at_write:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.0005 if at_write else 0.005)
            done += process.wait() == -signal.SIGKILL
        elif process.wait():
            raise RuntimeError("the script failed")
    return (folder / RESULT).read_text(), done


def check(times: int, seed: int) -> int:
    """Kills scripts until there were so many kills; returns how many, each script's result having been compared."""
    chance, count = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as name:
        expected, _ = killed(_made(Path(name) / "whole"), 0, chance)
        run = 0
        while count < times:
            run += 1
            result, more = killed(_made(Path(name) / f"run{run}"), times - count, chance)
            count += more
            if result != expected:
                raise AssertionError(f"run {run}, killed {more} times, seed {seed}: another result")
    return count


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    what, argument = sys.argv[1:3]
    if what == "train":
        train(Path(argument))
    else:
        given = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**6)
        print(f"{check(int(argument), given)} kills, the same bits (seed {given})")
