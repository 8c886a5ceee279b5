#!/usr/bin/env bash
# Makes the environments that benchmarks/run.py and `make bench-onnx` compare seqc with, in FOLDER/tensorflow and
# FOLDER/torch, and prints the variables that name them:
#
#     eval "$(benchmarks/install_peers.sh FOLDER)"
#
# PYTHON names the interpreter to make them with. PIP_EXTRA_INDEX_URL may name an index that has builds of PyTorch for the
# CPU alone, which are smaller.
set -euo pipefail

folder=${1:?usage: install_peers.sh FOLDER}
python=${PYTHON:-python3}

# Environment, then what to install; what is there already is kept. pip talks on standard error, away from the exports.
make_environment() {
    local target=$folder/$1
    shift
    if [ ! -e "$target/complete" ]; then
        "$python" -m venv "$target"
        "$target/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
        touch "$target/complete"
    fi
}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
make_environment tensorflow tensorflow-cpu keras tf2onnx
make_environment torch torch jax keras onnxscript

echo "export SEQC_PEER_TENSORFLOW=$folder/tensorflow/bin/python"
echo "export SEQC_PEER_JAX=$folder/torch/bin/python"
echo "export SEQC_PEER_TORCH=$folder/torch/bin/python"
