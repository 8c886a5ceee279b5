"""gRPC's server reflection: the services and messages of this server, for clients that have no .proto file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, text_format

from seqc_runtime.server.grpc.schema import FILES, POOL, message, service

_Response = message("grpc.reflection.v1.ServerReflectionResponse")
# Both have the same messages; older clients only know the second.
NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def _older(file: Any) -> Any:
    """The description of reflection under its older name."""
    text = text_format.MessageToString(file).replace("grpc.reflection.v1", "grpc.reflection.v1alpha")
    return text_format.Parse(text.replace('"reflection.', '"reflection_v1alpha.'), descriptor_pb2.FileDescriptorProto())


_FILES = {file.name: file.SerializeToString() for file in FILES}
_ALPHA = _older(next(file for file in FILES if file.name == "reflection.proto"))
_FILES[_ALPHA.name] = _ALPHA.SerializeToString()
POOL.AddSerializedFile(_FILES[_ALPHA.name])


class Reflection:
    """The service grpc.reflection.v1.ServerReflection, under either of its names.

    services: those there are.
    """

    DESCRIPTION = service("grpc.reflection.v1.ServerReflection")

    def __init__(self, services: list[str]) -> None:
        self._services = services

    async def ServerReflectionInfo(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """One answer for each question."""
        async for request in requests:
            answer = _Response(valid_host=request.host, original_request=request)
            self._answer(request, answer)
            yield answer

    def _answer(self, request: Any, answer: Any) -> None:
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in self._services:
                answer.list_services_response.service.add(name=name)
            return
        try:
            if kind == "file_by_filename":
                found = POOL.FindFileByName(request.file_by_filename)
            elif kind == "file_containing_symbol":
                found = _file_of(request.file_containing_symbol)
            else:
                raise KeyError("there are no extensions")
        except KeyError as error:
            answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
            answer.error_response.error_message = str(error.args[0])
            return
        answer.file_descriptor_response.file_descriptor_proto.append(_FILES[found.name])


def _file_of(symbol: str) -> Any:
    """The file that a symbol is in. Raises KeyError."""
    try:
        return POOL.FindFileContainingSymbol(symbol)
    except KeyError:  # protobuf looks among all but methods
        return POOL.FindMethodByName(symbol).containing_service.file
