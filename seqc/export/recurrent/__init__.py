"""Recurrent layers in ONNX."""
