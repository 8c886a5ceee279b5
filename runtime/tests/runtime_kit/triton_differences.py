"""What our server answers otherwise than Triton 2.51 does, and why.

By the name of a probe: what Triton answers and what we answer ("form": only names or types inside the JSON differ), and
the reason.
"""

from __future__ import annotations

MISTAKE = "a mistake of the client is 4xx, never 500: clients and proxies try a 5xx again"
HEALTH = "KServe's client decodes JSON; Triton's looks at the status alone"
CONFIG = "fields that say how Triton's own backends run a model have no meaning here"
REASON = "the reason of a state is always there, empty when there is none"
CONTROL = "without --model-control explicit there is no such endpoint"
LIST = "a list of the models, as TensorFlow Serving's users look for one; Triton has none at this path"

_500 = (
    "index with bad JSON",
    "bad JSON",
    "a list",
    "a number",
    "no inputs",
    "inputs of another kind",
    "no name",
    "a name of another kind",
    "no datatype",
    "no shape",
    "a shape of another kind",
    "a negative size",
    "a size that is no whole number",
    "data too short",
    "data too long",
    "data of another kind",
    "texts for numbers",
    "null among numbers",
    "objects among numbers",
    "1e400",
    "a fraction for whole numbers",
    "a number beyond INT64",
    "outputs of another kind",
    "an output without a name",
    "an id of another kind",
    "parameters of another kind",
    "a length too short",
    "a negative binary size",
    "a binary size of another kind",
    "not UTF-8",
)
_HEALTH = (
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/m/ready",
    "GET /v2/models/m/versions/1/ready",
)
_CONFIG = ("GET /v2/models/m/config", "GET /v2/models/m/versions/1/config", "GET /v2/models/whole/config")

DIFFERENCES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_500, ("500 json -> 400 json", MISTAKE)),
    **dict.fromkeys(_HEALTH, ("200 empty -> 200 json", HEALTH)),
    **dict.fromkeys(_CONFIG, ("form", CONFIG)),
    **dict.fromkeys(("index", "index without a body", "index of what is ready"), ("form", REASON)),
    **dict.fromkeys(("load without control", "unload without control"), ("503 json -> 404 json", CONTROL)),
    **dict.fromkeys(("GET /v2/models", "GET /v2/models/"), ("404 json -> 200 json", LIST)),
    "GET /v2/": ("404 json -> 200 json", "the protocol's OpenAPI has the slash, its text has not"),
    "GET /v2/models/%6d": ("404 json -> 200 json", "%6d is m in every URL"),
    "GET /v2/models/m/versions/01": ("200 json -> 404 json", "a version has one name"),
    "more rows than max_batch_size": (
        "400 json -> 200 json",
        "only what runs together is bounded by it, not a request",
    ),
    "no rows": ("400 json -> 200 json", "no samples have no results; a model runs on what it can run on"),
    "an empty raw request": ("400 json -> 200 binary", "no samples, as above"),
    "NaN": ("200 json -> 400 json", "NaN is not JSON; binary tensors carry it"),
    "an output twice": ("200 json -> 400 json", "it is a mistake; later Tritons refuse it, too"),
    "an unknown encoding": ("501 json -> 415 json", "415 is what HTTP has for it"),
    "a huge shape": (
        "0 gone -> 400 json",
        "Triton ends: it reserves the memory before it compares the shape with the data",
    ),
}
