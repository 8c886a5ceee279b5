"""KServe's Python server: a model of its own kind, in the server's process."""

import logging

from kserve import InferOutput, InferResponse, Model, ModelServer
from session import NAME, PORT, open_session


class Served(Model):
    def load(self):
        self.session = open_session()
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name
        self.ready = True
        return self.ready

    async def predict(self, payload, headers=None, response_headers=None):
        (y,) = self.session.run(None, {self.input: payload.inputs[0].as_numpy()})
        output = InferOutput(self.output, list(y.shape), "FP32")
        output.data = y
        return InferResponse(payload.id or "", self.name, [output], requested_outputs=payload.request_outputs)


if __name__ == "__main__":
    model = Served(NAME)
    model.load()
    server = ModelServer(
        http_port=PORT, grpc_port=PORT + 1, workers=1, enable_latency_logging=False, access_log_format=None
    )
    for name in ("kserve", "kserve.trace", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR)
    server.start([model])
