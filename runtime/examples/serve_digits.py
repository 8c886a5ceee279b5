"""Train the digits model, export it, and serve it: what `make serve-demo` runs.

Prints three lines to paste: one for a shell, one for Python, one for a browser.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import seqc

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "serve"
PORT = os.environ.get("PORT", "8000")


def main() -> None:
    model = OUT / "digits_cnn.onnx"
    if not model.exists():
        train = [sys.executable, "-m", "seqc", "train", str(ROOT / "models" / "digits_cnn.py"), "--no-plots"]
        subprocess.run([*train, "-o", str(OUT)], check=True)
    request, label = first_digit()
    (OUT / "digit.json").write_text(json.dumps(request), encoding="utf-8")
    print(three_lines(f"http://127.0.0.1:{PORT}", label), flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "seqc_runtime", "serve", str(model), "--port", PORT])


def first_digit() -> tuple[dict[str, object], int]:
    """A request for the first test image, and the digit that it shows."""
    _, (images, labels) = seqc.datasets.digits.load_data()
    pixels = (images[0] / 16).ravel().tolist()
    return {"inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "FP32", "data": pixels}]}, int(labels[0])


def three_lines(address: str, label: int) -> str:
    file = os.path.relpath(OUT / "digit.json")
    infer = f"{address}/v2/models/digits_cnn/infer"
    python = (
        f"import json, urllib.request as u; answer = json.load(u.urlopen('{infer}', open('{file}', 'rb').read())); "
        "p = answer['outputs'][0]['data']; print(p.index(max(p)))"
    )
    return f"""
A picture of a {label} is in {file}. While the server runs, in another terminal:

  curl {infer} -d @{file}
  python3 -c "{python}"

Or draw one in a browser: {address}/
"""


if __name__ == "__main__":
    main()
