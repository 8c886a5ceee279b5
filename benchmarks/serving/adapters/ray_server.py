"""Ray Serve: one replica, which parses the body itself. Its fast mode is a matter of the environment's variables."""

import signal
from typing import Any

import numpy as np
import orjson
import ray
from ray import serve
from session import BATCH, PORT, open_session
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
class Served:
    def __init__(self):
        self.session = open_session()
        (given,) = self.session.get_inputs()
        self.input, self.shape = given.name, (-1, *given.shape[1:])

    def run(self, x):
        return self.session.run(None, {self.input: x})[0]

    @serve.batch(max_batch_size=BATCH or 1, batch_wait_timeout_s=0.001)
    async def run_together(self, inputs):
        output = self.run(np.concatenate(inputs))
        return [output[i : i + 1] for i in range(len(output))]

    async def __call__(self, request):
        body = await request.body()
        as_json = request.headers["content-type"] == "application/json"
        if as_json:
            x = np.asarray(orjson.loads(body)["inputs"], np.float32)
        else:
            x = np.frombuffer(body, np.float32).reshape(self.shape)
        y = await self.run_together(x) if BATCH else self.run(x)
        if as_json:
            return Response(orjson.dumps({"outputs": y.tolist()}), media_type="application/json")
        return Response(y.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT}, logging_config={"enable_access_log": False})
    deployment: Any = Served
    serve.run(deployment.bind(), name="served", logging_config={"enable_access_log": False})
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
