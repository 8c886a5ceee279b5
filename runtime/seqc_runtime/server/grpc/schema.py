"""The messages and services of this folder's .proto files.

They are made from a compiled description instead of generated modules: those of one protobuf release do not load in
another, and two packages with the protocol's names cannot be imported together. Here any release from 5 on will do, and
the messages live in a pool of their own.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

COMPILED = files(__package__).joinpath("protocol.binpb")
FILES = descriptor_pb2.FileDescriptorSet.FromString(COMPILED.read_bytes()).file

POOL = descriptor_pool.DescriptorPool()
for _file in FILES:
    POOL.AddSerializedFile(_file.SerializeToString())


def message(name: str) -> Any:
    """The class of a message, by its full name."""
    return GetMessageClass(POOL.FindMessageTypeByName(name))


def service(name: str) -> Any:
    """The description of a service, by its full name."""
    return POOL.FindServiceByName(name)


ModelInferResponse = message("inference.ModelInferResponse")
ModelStreamInferResponse = message("inference.ModelStreamInferResponse")
