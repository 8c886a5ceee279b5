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
# What onnxruntime says when an allocation or the device fails, as its source writes it: mere words may be in a name.
_MEMORY = re.compile(
    "Failed to allocate memory for requested buffer|std::bad_alloc|bad allocation"
    r"|CU[A-Z_]+ failure \d+: (?:out of memory|\w+_ALLOC_FAILED)"
)
_DEVICE = re.compile(r"CU[A-Z_]+ (?:failure|error) |Failed to initialize CUDNN")
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
    # The names of the operators that failed, one inside the other, are before this.
    message = said.rpartition("Status Message: ")[2]
    if isinstance(error.__cause__, MemoryError) or _MEMORY.search(message):
        LOG.error("memory ran out: %s", error)
        return Refusal(503, "there is not enough memory to run the model with these inputs")
    operator = _BY_DATA.search(said)
    if operator and not _DEVICE.search(message):
        return Refusal(400, f"the model cannot run with these inputs: {operator[1]}: {_reason(message)}")
    LOG.error("a model failed: %s", error)
    return Refusal(500, "the model failed to run; the server's log says why")


def _reason(message: str) -> str:
    """What onnxruntime says, without the places in its source."""
    text = message.rpartition(" was false. ")[2]
    return _PLACE.sub("", " ".join(text.split()))[:500]
