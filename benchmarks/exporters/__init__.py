"""ONNX files of the same models by several exporters, compared in nodes and latency: `make bench-onnx`."""
