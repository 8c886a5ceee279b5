"""BentoML: a service whose tensors it validates itself. `bentoml serve bentoml_server:Served` starts it."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from session import BATCH, open_session

SHAPE = tuple(-1 if isinstance(size, str) else size for size in open_session().get_inputs()[0].shape)
Input = Annotated[np.ndarray, DType("float32"), Shape(SHAPE)]


@bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Served:
    def __init__(self) -> None:
        self.session = open_session()
        self.input = self.session.get_inputs()[0].name

    # `async`, since otherwise each request hops to a thread and back. Batching is theirs and chooses its own sizes.
    @bentoml.api(**({"batchable": True, "max_batch_size": BATCH, "max_latency_ms": 60_000} if BATCH else {}))
    async def predict(self, inputs: Input) -> np.ndarray:
        result: np.ndarray = self.session.run(None, {self.input: inputs})[0]
        return result
