# %% [markdown]
# # Serving: a file, a server, and a page to try it
#
# `seqc-runtime serve` answers requests over HTTP by the Open Inference Protocol, which other servers speak too, and
# has a page on which anyone can draw a digit and see what the network makes of it. Here a program does what the
# page's form does.
#
# Needs `pip install "./runtime[cpu,server]" ".[cpu,plot]"`, which is what `make demo` installs.

# %%
import argparse
import json
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

import seqc as keras
from seqc import layers

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit('This example draws a picture with matplotlib: pip install "seqc[plot]"') from None

options = argparse.ArgumentParser()
options.add_argument("--out", type=Path, default=Path("build/examples"), help="folder for the picture and the file")
out = options.parse_known_args()[0].out
out.mkdir(parents=True, exist_ok=True)

# %%
keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., np.newaxis].astype("float32") / 16 for x in (x_train, x_test))
model = keras.Sequential(
    [
        keras.Input((8, 8, 1), name="image"),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax", name="digit"),
    ],
    name="digits",
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=6, batch_size=32, verbose=0)
print(f"{model.evaluate(x_test, y_test, verbose=0)[1]:.1%} of {len(x_test)} digits right")
model.export(out / "digits.onnx", classes=[str(digit) for digit in range(10)])

# %% [markdown]
# The server is a process of its own. Port 0 lets the system choose a free one, and the line that the server prints
# once it is ready says which. It listens to this machine alone unless it is told otherwise.

# %%
command = [sys.executable, "-m", "seqc_runtime", "serve", str(out / "digits.onnx"), "--port", "0"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def ask(path: str, request: dict | None = None) -> bytes:
    """Returns what the server answers: to a GET, or to a POST of JSON."""
    body = None if request is None else json.dumps(request).encode()
    with urlopen(Request(address + path, body, {"Content-Type": "application/json"}), timeout=30) as answer:
        return answer.read()


# %% [markdown]
# A browser first gets the page; the page's form asks for the model's inputs and outputs, reads the paper one draws
# on, and sends numbers with a name, a type and a shape. The answer has the same form. In the end the server is
# stopped, whatever went wrong in between.

# %%
try:
    assert server.stdout is not None
    said = server.stdout.readline()
    address = said.split(" on ")[1].split(",")[0] if " on " in said else ""
    if not address:
        raise SystemExit('The server did not start: pip install "seqc-runtime[cpu,server]"')
    print(said.split(" on ")[0], "on a free port")
    page = ask("/").decode()
    print(f"the page: {page[page.index('<title>') + 7 : page.index('</title>')]!r}, {len(page) // 1000} kB")
    about = json.loads(ask("/v2/models/digits"))
    print("asks for", about["inputs"], "and gives", about["outputs"])
    answers = []
    for image in x_test:
        tensor = {"name": "image", "datatype": "FP32", "shape": [1, 8, 8, 1], "data": image.ravel().tolist()}
        answers.append(json.loads(ask("/v2/models/digits/infer", {"inputs": [tensor]}))["outputs"][0]["data"])
    wrong = {"name": "image", "datatype": "FP32", "shape": [1, 9, 9, 1], "data": [0.0] * 81}
    try:
        ask("/v2/models/digits/infer", {"inputs": [wrong]})
    except HTTPError as error:
        print(f"a picture of 9 by 9: {error.code}, {json.loads(error.read())['error']}")
finally:
    server.terminate()
    server.wait(timeout=30)
scores = np.array(answers)
expected = model.predict(x_test, verbose=0)
print(f"{len(scores)} answers, largest difference to the model {np.abs(scores - expected).max():.0e}")
assert np.allclose(scores, expected, atol=1e-5)

# %% [markdown]
# The five answers that the server was least sure of: what was sent, and what came back.

# %%
doubtful = np.argsort(scores.max(axis=1))[:5]
figure, axes = plt.subplots(2, 5, figsize=(9, 3), layout="constrained")
for (above, below), i in zip(axes.T, doubtful, strict=True):
    above.imshow(x_test[i, :, :, 0], cmap="gray_r")
    above.set_axis_off()
    below.bar(range(10), scores[i], color=["#2f6db3" if digit == y_test[i] else "#bbbbbb" for digit in range(10)])
    below.set(xticks=range(10), yticks=[0, 0.5, 1], ylim=(0, 1))
    below.tick_params(labelsize=8)
    below.spines[["top", "right"]].set_visible(False)
axes[1, 0].set_ylabel("probability")
figure.supxlabel("the digit that was meant is blue", fontsize=10)
figure.savefig(out / "serving.png", dpi=100)
