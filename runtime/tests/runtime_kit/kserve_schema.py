"""What KServe's custom resource definitions say of the fields that we write, as JSON Schemas.

The facts are those of config/crd/full/serving.kserve.io_inferenceservices.yaml and .._servingruntimes.yaml of
github.com/kserve/kserve (commits 67bcf1a and c33b380; Copyright The KServe Authors, Apache License 2.0): the names of
all fields of the objects on the way to ours, their types, and which must be there. Kubernetes drops fields that a
definition does not name, so a field that is not named here is an error.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
INT32: Schema = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
TEXTS: Schema = {"type": "array", "items": TEXT}
MAP: Schema = {"type": "object", "additionalProperties": TEXT}
# Values that we never write: any of them would be a surprise.
OTHER = False


def fields(others: str = "", required: str = "", **known: Schema) -> Schema:
    """An object of these fields and no more. others: names of those that we do not write."""
    return {
        "type": "object",
        "properties": {**dict.fromkeys(others.split(), OTHER), **known},
        "required": required.split(),
        "additionalProperties": False,
    }


def items(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def probe(*required: str) -> Schema:
    # In an InferenceService's readiness and liveness the port may be left out.
    get = fields("host httpHeaders scheme", " ".join(required), path=TEXT, port={"type": ["integer", "string"]})
    return fields(
        "exec grpc tcpSocket",
        httpGet=get,
        failureThreshold=INT32,
        initialDelaySeconds=INT32,
        periodSeconds=INT32,
        successThreshold=INT32,
        timeoutSeconds=INT32,
        terminationGracePeriodSeconds=NUMBER,
    )


SECURITY = fields(
    "appArmorProfile procMount seLinuxOptions windowsOptions",
    allowPrivilegeEscalation=FLAG,
    privileged=FLAG,
    readOnlyRootFilesystem=FLAG,
    runAsNonRoot=FLAG,
    capabilities=fields(add=TEXTS, drop=TEXTS),
    runAsGroup=NUMBER,
    runAsUser=NUMBER,
    seccompProfile=fields(required="type", localhostProfile=TEXT, type=TEXT),
)
CONTAINER = fields(
    "env envFrom lifecycle resizePolicy resources restartPolicy stdin stdinOnce terminationMessagePath "
    "terminationMessagePolicy tty volumeDevices volumeMounts",
    "name",
    args=TEXTS,
    command=TEXTS,
    image=TEXT,
    imagePullPolicy=TEXT,
    livenessProbe=probe("port"),
    name=TEXT,
    ports=items(fields("hostIP hostPort", "containerPort", containerPort=INT32, name=TEXT, protocol=TEXT)),
    readinessProbe=probe("port"),
    securityContext=SECURITY,
    startupProbe=probe("port"),
    workingDir=TEXT,
)
# A container's fields, too, of which we write none.
MODEL = fields(
    " ".join(CONTAINER["properties"]) + " runtimeVersion storage",
    modelFormat=fields(required="name", name=TEXT, version=TEXT),
    protocolVersion=TEXT,
    runtime=TEXT,
    storageUri=TEXT,
)


def resource(kind: str, version: str, spec: Schema) -> Schema:
    return fields(
        "status",
        "apiVersion kind metadata spec",
        apiVersion={"const": f"serving.kserve.io/{version}"},
        kind={"const": kind},
        metadata=fields("annotations labels", "name", name=TEXT, namespace=TEXT),
        spec=spec,
    )


SCHEMAS: dict[str, Schema] = {
    "InferenceService": resource(
        "InferenceService",
        "v1beta1",
        fields(
            "explainer transformer",
            "predictor",
            predictor=fields("minReplicas maxReplicas timeout", model=MODEL, containers=items(CONTAINER)),
        ),
    ),
    "ServingRuntime": resource(
        "ServingRuntime",
        "v1alpha1",
        fields(
            "affinity builtInAdapter disabled grpcDataEndpoint grpcEndpoint hostIPC httpDataEndpoint imagePullSecrets "
            "multiModel nodeSelector replicas storageHelper tolerations volumes workerSpec",
            "containers",
            annotations=MAP,
            containers=items(CONTAINER),
            labels=MAP,
            protocolVersions=TEXTS,
            supportedModelFormats=items(
                fields(required="name", autoSelect=FLAG, name=TEXT, priority={**INT32, "minimum": 1}, version=TEXT)
            ),
        ),
    ),
}
# Knative runs the pods unless the cluster is told otherwise, and refuses a service that sets one of these:
# "validation failed: must not set the field(s)".
NOT_ON_KNATIVE = ("terminationGracePeriodSeconds", "activeDeadlineSeconds", "restartPolicy", "nodeName", "hostPort")
