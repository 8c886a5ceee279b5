# %% [markdown]
# # Text: sentences in, answers out, and the words inside the file
#
# Which part of Python's library does a sentence of its documentation come from? The sentences are the docstrings of
# the Python that runs this. The network splits a text into words and looks them up by itself, so that the exported file
# takes plain text: nobody has to carry a list of words along, or to split in just the same way somewhere else.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot]"`, which is what `make demo` installs.

# %%
import argparse
import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np

import seqc as keras
import seqc_runtime
from seqc import layers

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit('This example draws a picture with matplotlib: pip install "seqc[plot]"') from None

options = argparse.ArgumentParser()
options.add_argument("--out", type=Path, default=Path("build/examples"), help="folder for the picture and the file")
out = options.parse_known_args()[0].out
out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# Sentences that stand in two places are kept once, and those that stand in two subjects not at all: a sentence of the
# test must not have been seen in training.

# %%
SUBJECTS = {
    "files": "os os.path shutil pathlib tempfile zipfile tarfile glob mmap",
    "network": "socket ssl http.client http.cookiejar urllib.request urllib.parse smtplib ftplib imaplib ipaddress",
    "numbers": "math cmath statistics fractions decimal random numbers operator",
    "threads": "threading asyncio concurrent.futures multiprocessing queue sched signal selectors",
}


def sentences(module: str) -> set[str]:
    """Returns the sentences of the docstrings of a module, its functions, classes and methods."""
    found = [import_module(module)]
    found += [thing for name, thing in inspect.getmembers(found[0]) if name[0] != "_" and callable(thing)]
    found += [x for c in filter(inspect.isclass, found) for name, x in vars(c).items() if name[0] != "_"]
    text = "\n\n".join(str(getattr(thing, "__doc__", None) or "") for thing in found)
    return {" ".join(s.split()) for s in re.split(r"(?<=[.:])\s+|\n\s*\n", text) if len(s.split()) >= 5}


of = [set().union(*map(sentences, modules.split())) for modules in SUBJECTS.values()]
pairs = [(s, k) for k, own in enumerate(of) for s in sorted(own) if sum(s in other for other in of) == 1]
np.random.default_rng(0).shuffle(pairs)
texts = np.array([[s] for s, _ in pairs], dtype=object)
subjects = np.array([int(k) for _, k in pairs])
cut = len(texts) * 3 // 4
print(f"{len(texts)} sentences, such as {pairs[0][0]!r}")

# %% [markdown]
# TextVectorization makes small letters of all, drops punctuation and splits at spaces; `adapt` reads the training
# sentences and keeps the 2,000 words that are there most often. A word becomes 24 numbers, a sentence the mean of its
# words': their order is lost, which costs little here and makes the network easy to read. `mask_zero` keeps the padding
# out of the mean.

# %%
keras.utils.set_random_seed(0)
words = layers.TextVectorization(max_tokens=2000, output_sequence_length=40, name="words")
words.adapt(texts[:cut, 0])
model = keras.Sequential(
    [
        keras.Input((1,), dtype="string", name="sentence"),
        words,
        layers.Embedding(words.vocabulary_size(), 24, mask_zero=True),
        layers.GlobalAveragePooling1D(),
        layers.Dropout(0.3),
        layers.Dense(len(SUBJECTS), activation="softmax", name="subject"),
    ],
    name="docstrings",
)
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(texts[:cut], subjects[:cut], epochs=8, batch_size=64, verbose=0)
_, accuracy = model.evaluate(texts[cut:], subjects[cut:], verbose=0)
most = np.bincount(subjects[cut:]).max() / len(subjects[cut:])
print(f"{accuracy:.0%} of the sentences kept aside are right; the most frequent subject alone would be {most:.0%}")

# %% [markdown]
# Since a sentence is the mean of its words, each word has a score of its own for each subject: its numbers times the
# weights of the last layer. The words with the largest say what the network goes by, and whether one should trust it.

# %%
table, weights = model.layers[1].get_weights()[0], model.layers[-1].get_weights()[0]
scores = table @ (weights - weights.mean(axis=1, keepdims=True))
figure, axes = plt.subplots(1, len(SUBJECTS), figsize=(9, 3), layout="constrained", sharex=True)
for k, (axis, subject) in enumerate(zip(axes, SUBJECTS, strict=True)):
    top = np.argsort(scores[2:, k])[-8:] + 2  # 0 is padding, 1 stands for words that are not known
    axis.barh([words.get_vocabulary()[i] for i in top], scores[top, k])
    axis.set_title(subject)
    axis.spines[["top", "right"]].set_visible(False)
figure.supxlabel("how much a word speaks for the subject")
figure.savefig(out / "text.png", dpi=110)

# %% [markdown]
# The file's input is a string; its output has the names of the subjects with it, so that a program that serves it can
# show them. It is asked sentences that are in no documentation.

# %%
receipt = model.export(out / "docstrings.onnx", classes=list(SUBJECTS))
print("\n".join(line for line in str(receipt).splitlines() if line.startswith(("input", "output", "verified"))))
served = seqc_runtime.load(out / "docstrings.onnx")
questions = [
    ["How do I copy a directory with all its subdirectories?"],
    ["What is the standard deviation of a sample?"],
    ["Wait until the other coroutine has released the lock."],
    ["Which certificate did the server send?"],
]
for (question,), row in zip(questions, served.predict(np.array(questions, dtype=object)), strict=True):
    print(f"{list(SUBJECTS)[row.argmax()]:8} {row.max():4.0%}  {question}")
expected = model.predict(texts[cut:], verbose=0)
assert np.allclose(served.predict(texts[cut:]), expected, atol=1e-5)
