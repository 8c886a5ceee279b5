"""Triton's Python backend: `model.py` of a repository, and what makes the repository and starts the server."""

import numpy as np


class TritonPythonModel:
    def initialize(self, args):
        import json

        import onnxruntime

        parameters = json.loads(args["model_config"])["parameters"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = parameters["path"]["string_value"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name

    def execute(self, requests):
        import triton_python_backend_utils as pb

        inputs = [pb.get_input_tensor_by_name(each, self.input).as_numpy() for each in requests]
        x = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        (y,) = self.session.run(None, {self.input: x})
        ends = np.cumsum([len(each) for each in inputs])[:-1]
        parts = np.split(y, ends) if len(inputs) > 1 else [y]
        return [pb.InferenceResponse([pb.Tensor(self.output, part)]) for part in parts]
