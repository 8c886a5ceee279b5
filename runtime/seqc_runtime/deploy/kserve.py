"""Resources for KServe: an InferenceService, and a ServingRuntime of our image."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from seqc_runtime.errors import RuntimeArgumentError

# Where KServe puts what lies at a storage URI, and where our image has its models.
_MOUNTED, _IN_IMAGE = "/mnt/models", "/models"
_PORT = 8080
# Pods have 30 seconds from SIGTERM to SIGKILL, and Knative, which runs them in most clusters, refuses to give more.
_DRAIN = 25
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_URI = re.compile(r"[a-z][a-z0-9+.-]*://\S+")
_IMAGE = re.compile(r"[!-~]+")
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

Resource = dict[str, Any]


def resources(
    name: str, storage_uri: str | None = None, image: str | None = None, namespace: str | None = None
) -> list[Resource]:
    """What to give to `kubectl apply`.

    name: of the InferenceService. storage_uri: where the model lies (s3://, gs://, pvc://, https://).
    image: our server's, such as the Dockerfile makes.

    With a storage URI alone, the cluster's own runtime for ONNX serves it (Triton's, as KServe comes). With an image,
    too, a ServingRuntime of that image does. With an image alone, the models are in it, at /models.
    Raises RuntimeArgumentError for names that Kubernetes would refuse, and when neither is given.
    """
    for role, value in (("--name", name), ("--namespace", namespace)):
        if value is not None and not _NAME.fullmatch(value):
            raise RuntimeArgumentError(
                f"{role} needs a name as Kubernetes has them (lower-case letters, digits, -; at most 63); got {value!r}"
            )
    if storage_uri is None and image is None:
        raise RuntimeArgumentError("--kserve needs --storage-uri, where the model lies, or --image, or both")
    if image is not None and not _IMAGE.fullmatch(image):
        raise RuntimeArgumentError(f"--image needs the name of an image, such as registry/models:1; got {image!r}")
    if storage_uri is not None:
        _check_storage(storage_uri)
    if storage_uri is None:
        return [_service(name, namespace, {"containers": [_container(str(image), [_IN_IMAGE])]})]
    model: Resource = {"modelFormat": {"name": "onnx"}, "protocolVersion": "v2", "storageUri": storage_uri}
    if image is None:
        return [_service(name, namespace, {"model": model})]
    runtime = f"{name[:50].rstrip('-')}-seqc-runtime"
    service = _service(name, namespace, {"model": {**model, "runtime": runtime}})
    return [_runtime(runtime, namespace, image, _served(storage_uri)), service]


def _check_storage(uri: str) -> None:
    if not _URI.fullmatch(uri):
        raise RuntimeArgumentError(
            f"--storage-uri needs where the model lies as KServe says it, such as s3://bucket/model.onnx; got {uri!r}"
        )
    if uri.startswith("pvc://") and _file(uri).endswith(".onnx"):
        raise RuntimeArgumentError(
            f"--storage-uri {uri}: KServe mounts a folder of a volume, not a file: give the folder that it lies in"
        )


def _file(storage_uri: str) -> str:
    return PurePosixPath(urlsplit(storage_uri).path).name


def _served(storage_uri: str) -> list[str]:
    file = _file(storage_uri)
    # KServe's clients call a model as its InferenceService is called, wherever it lies; several have their own names.
    return [f"{_MOUNTED}/{file}" if file.endswith(".onnx") else _MOUNTED, "--name", "{{.Name}}"]


def _service(name: str, namespace: str | None, predictor: Resource) -> Resource:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": _metadata(name, namespace),
        "spec": {"predictor": predictor},
    }


def _runtime(name: str, namespace: str | None, image: str, arguments: Sequence[str]) -> Resource:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": _metadata(name, namespace),
        "spec": {
            "annotations": {"prometheus.kserve.io/port": str(_PORT), "prometheus.kserve.io/path": "/metrics"},
            "supportedModelFormats": [{"name": "onnx", "version": "1"}],
            "protocolVersions": ["v2"],
            "containers": [_container(image, arguments)],
        },
    }


def _metadata(name: str, namespace: str | None) -> Resource:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def _container(image: str, arguments: Sequence[str]) -> Resource:
    return {
        "name": "kserve-container",
        "image": image,
        # KServe's gateway decides who may ask.
        "args": [
            *arguments,
            "--host",
            "0.0.0.0",
            "--port",
            str(_PORT),
            "--insecure",
            "--drain-timeout",
            str(_DRAIN),
        ],
        "ports": [{"name": "http1", "containerPort": _PORT, "protocol": "TCP"}],
        "startupProbe": _probe("ready", failureThreshold=60, periodSeconds=2),
        "readinessProbe": _probe("ready", periodSeconds=5),
        "livenessProbe": _probe("live", failureThreshold=6, periodSeconds=10),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _probe(what: str, **more: int) -> Resource:
    return {"httpGet": {"path": f"/v2/health/{what}", "port": _PORT}, "timeoutSeconds": 3, **more}


def to_yaml(documents: Sequence[Resource]) -> str:
    """The documents as YAML."""
    return "---\n".join("\n".join(_lines(document)) + "\n" for document in documents)


def _lines(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            nested = isinstance(item, Mapping | list)
            yield f"{_scalar(key)}:" + ("" if nested else f" {_scalar(item)}")
            if nested:
                yield from ("  " + line for line in _lines(item))
        return
    for item in value:
        first, *rest = _lines(item) if isinstance(item, Mapping | list) else [_scalar(item)]
        yield f"- {first}"
        yield from ("  " + line for line in rest)


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
