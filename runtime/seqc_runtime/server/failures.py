"""From what went wrong to what a client is told; REST and gRPC say the same."""

from __future__ import annotations

import logging
import re

from seqc_runtime.errors import RuntimeExecutionError, RuntimeInputError
from seqc_runtime.server.messages import Refusal

LOG = logging.getLogger("seqc_runtime.server")

# An operator that does not take what it got. The model has run before, so it is the request that is wrong: an index
# beyond a table, free axes that must fit each other inside the model.
_BY_DATA = re.compile(r"(?:1 : FAIL|2 : INVALID_ARGUMENT) : Non-zero status code returned while running (\w+) node")
_MEMORY = re.compile(r"alloc|out of memory", re.IGNORECASE)
_DEVICE = re.compile(r"cuda|cudnn|cublas", re.IGNORECASE)
# Places in onnxruntime's source, which say nothing to a client.
_PLACE = re.compile(r"^\S+\.(?:h|cc):\d+ \w+ ")


def refusal_of(error: Exception) -> Refusal:
    """The refusal that answers a request which failed: 400 for a client's mistake, else 500 without anything internal.

    What is not the client's fault is logged with all that is known.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RuntimeInputError):
        return Refusal(400, str(error))
    if not isinstance(error, RuntimeExecutionError):
        LOG.error("a request failed", exc_info=error)
        return Refusal(500, "the server failed to answer; its log says why")
    said = str(error.__cause__ or "")
    if _MEMORY.search(said):
        LOG.error("memory ran out: %s", error)
        return Refusal(503, "there is not enough memory to run the model with these inputs")
    operator = _BY_DATA.search(said)
    if operator and not _DEVICE.search(said):
        return Refusal(400, f"the model cannot run with these inputs: {operator[1]}: {_reason(said)}")
    LOG.error("a model failed: %s", error)
    return Refusal(500, "the model failed to run; the server's log says why")


def _reason(said: str) -> str:
    """What onnxruntime says, without the places in its source."""
    text = said.rpartition("Status Message: ")[2].rpartition(" was false. ")[2]
    return _PLACE.sub("", " ".join(text.split()))[:500]
