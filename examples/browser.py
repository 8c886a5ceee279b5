# %% [markdown]
# # In a browser and under Node: the file without Python
#
# onnxruntime-web runs the same file in a browser, or in Node on a server. `target="ort-web"` writes it for there, and
# refuses what could not run. This example writes a web page that reads a digit one draws, a program for Node, and the
# package they need; where Node and the package are installed, it runs the program and compares its numbers.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot]"`, which is what `make demo` installs, and for the last part Node.

# %%
import argparse
import json
import shutil
import subprocess
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

# %%
site = out / "browser"
site.mkdir(exist_ok=True)
receipt = model.export(site / "digits.onnx", target="ort-web")
print("\n".join(line for line in str(receipt).splitlines() if line.startswith(("ONNX", "nodes", "input", "output"))))

# %% [markdown]
# The program for Node reads pictures as JSON and prints scores. In the page, eight times eight boxes are the paper;
# `run` is the same call. Both name the file's input and output, as the receipt does.

# %%
PACKAGE = {"private": True, "type": "module", "dependencies": {"onnxruntime-web": "^1.20.0"}}
PROGRAM = """
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync("digits.onnx"));
const { dims, data } = JSON.parse(readFileSync("images.json", "utf8"));
const results = await session.run({ image: new ort.Tensor("float32", Float32Array.from(data), dims) });
console.log(JSON.stringify(Array.from(results.digit.data)));
"""
PAGE = """<!doctype html><meta charset="utf-8"><title>Digits</title>
<style>#paper { display: grid; grid-template-columns: repeat(8, 36px); touch-action: none; width: max-content }
#paper div { height: 36px; border: 1px solid #ccc }</style>
<h1>Draw a digit: <output id="answer">?</output></h1><div id="paper"></div><button id="clear">Clear</button>
<script src="node_modules/onnxruntime-web/dist/ort.wasm.min.js"></script>
<script type="module">
const ink = new Float32Array(64), paper = document.getElementById("paper");
const session = await ort.InferenceSession.create("digits.onnx");
const show = () => ink.forEach((x, i) => { paper.children[i].style.background = `rgb(0 0 0 / ${x})`; });
let busy = false, again = false;
async function read() {
  show();
  if (busy) { again = true; return; }
  busy = true;
  const { digit } = await session.run({ image: new ort.Tensor("float32", ink.slice(), [1, 8, 8, 1]) });
  document.getElementById("answer").value = ink.some(Boolean) ? digit.data.indexOf(Math.max(...digit.data)) : "?";
  busy = false;
  if (again) { again = false; read(); }
}
ink.forEach((_, i) => {
  const box = paper.appendChild(document.createElement("div"));
  box.onpointerdown = box.onpointerenter = (event) => {
    box.releasePointerCapture?.(event.pointerId);
    if (event.buttons) { ink[i] = 1; read(); }
  };
});
document.getElementById("clear").onclick = () => { ink.fill(0); read(); };
</script>
"""
(site / "package.json").write_text(json.dumps(PACKAGE, indent=2), encoding="utf-8")
(site / "predict.mjs").write_text(PROGRAM, encoding="utf-8")
(site / "index.html").write_text(PAGE, encoding="utf-8")
images = {"dims": x_test.shape, "data": x_test.ravel().tolist()}
(site / "images.json").write_text(json.dumps(images), encoding="utf-8")
print("npm install there, then `node predict.mjs`, or `npx http-server` and open the page")

# %% [markdown]
# Wherever it runs, a file should give the numbers that it was trained to give. What is compared is the scores
# themselves: answers alone would still agree long after something went wrong.

# %%
expected = model.predict(x_test, verbose=0)
places = {"onnxruntime": seqc_runtime.load(site / "digits.onnx").predict(x_test)}
node = shutil.which("node")
installed = any((folder / "node_modules" / "onnxruntime-web").is_dir() for folder in (site, *site.resolve().parents))
if node is None or not installed:
    print("Node or onnxruntime-web is not installed here, so onnxruntime alone is compared; the files are written.")
else:
    done = subprocess.run([node, "predict.mjs"], cwd=site, capture_output=True, text=True, check=True)
    places["onnxruntime-web in Node"] = np.array(json.loads(done.stdout)).reshape(expected.shape)
figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
for (place, scores), colour in zip(places.items(), ("#2f6db3", "#c0504d"), strict=False):
    error = np.abs(scores - expected).max(axis=1)
    print(f"{place}: largest difference {error.max():.0e}, {np.mean(scores.argmax(1) == y_test):.1%} right")
    assert error.max() < 1e-5
    axis.plot(np.sort(error), np.arange(1, len(error) + 1) / len(error), color=colour, label=place)
axis.axvline(float(np.finfo("float32").eps), color="black", linestyle=":", label="step of float32 at 1")
axis.set(xscale="log", xlabel="largest difference of a score from the model's", ylabel="share of digits", ylim=(0, 1))
axis.set_xlim(1e-10, 1e-5)
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False, loc="upper left")
figure.savefig(out / "browser.png", dpi=100)
