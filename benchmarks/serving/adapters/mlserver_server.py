"""MLServer: a model of its own kind, in the server's process, which its documentation calls parallel_workers=0."""

import asyncio

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceResponse
from session import BATCH, NAME, PATH, PORT, open_session


class Served(MLModel):
    async def load(self):
        self.session = open_session()
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name
        return True

    async def predict(self, payload):
        x = self.decode(payload.inputs[0], default_codec=NumpyCodec).astype(np.float32, copy=False)
        (y,) = self.session.run(None, {self.input: x})
        outputs = [NumpyCodec.encode_output(self.output, y)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)


async def main():
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=PORT,
        grpc_port=PORT + 1,
        metrics_endpoint=None,
        parallel_workers=0,
        load_models_at_startup=False,
        gzip_enabled=False,
        logging_settings={"version": 1, "root": {"level": "ERROR"}},
    )
    together = {"max_batch_size": BATCH, "max_batch_time": 0.001} if BATCH else {}
    model = ModelSettings(name=NAME, implementation=Served, parameters=ModelParameters(uri=PATH), **together)
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
