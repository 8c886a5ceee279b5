"""What runs a graph: NumPy, the reference, and onnxruntime."""
