"""Normalization as onnxruntime is fastest with it, and what becomes of it."""
