"""Activation functions that ONNX has as operators, and what becomes one of them."""
