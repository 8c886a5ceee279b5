"""LitServe: JSON, which it parses itself, and `fast_queue`."""

import litserve
import numpy as np
from session import BATCH, PORT, open_session


class Served(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session()
        self.input = self.session.get_inputs()[0].name

    def decode_request(self, request):
        return np.asarray(request["inputs"], np.float32)

    def predict(self, x):
        return self.session.run(None, {self.input: x})[0]

    def encode_response(self, output):
        return {"outputs": output.tolist()}

    # Requests of one row each, together.
    def batch(self, inputs):
        return np.concatenate(inputs)

    def unbatch(self, output):
        return [output[i : i + 1] for i in range(len(output))]


if __name__ == "__main__":
    api = Served(max_batch_size=BATCH, batch_timeout=0.001) if BATCH else Served()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=1,
        log_level="error",
        access_log=False,
        generate_client_file=False,
    )
