"""Serve ONNX models over the Open Inference Protocol: `App` is the server without its sockets."""
