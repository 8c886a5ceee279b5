"""mosec: its users parse the body themselves, so that both kinds of body are served at once.

Its port is a variable of the environment.
"""

import mosec
import numpy as np
import orjson
from session import BATCH, open_session


class Served(mosec.Worker):
    def __init__(self):
        super().__init__()
        self.session = open_session()
        (given,) = self.session.get_inputs()
        self.input, self.shape = given.name, (-1, *given.shape[1:])

    def forward(self, data):
        if not isinstance(data, list):
            return self.session.run(None, {self.input: data})[0]
        output = self.session.run(None, {self.input: np.concatenate(data)})[0]
        return [output[i : i + 1] for i in range(len(output))]


class OfJson(Served):
    def deserialize(self, data):
        return np.asarray(orjson.loads(data)["inputs"], np.float32)

    def serialize(self, data):
        return orjson.dumps({"outputs": data.tolist()})


class OfBytes(Served):
    resp_mime_type = "application/octet-stream"

    def deserialize(self, data):
        return np.frombuffer(data, np.float32).reshape(self.shape)

    def serialize(self, data):
        return data.tobytes()


if __name__ == "__main__":
    server = mosec.Server()
    together = {"max_batch_size": BATCH, "max_wait_time": 1} if BATCH else {}
    server.register_runtime(
        {
            "/json": [mosec.Runtime(OfJson, num=1, **together)],
            "/bytes": [mosec.Runtime(OfBytes, num=1, **together)],
        }
    )
    server.run()
