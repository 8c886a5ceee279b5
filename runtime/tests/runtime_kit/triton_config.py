"""Reads config.pbtxt files with Triton's own messages, and prints what they say as JSON, one line each.

An environment of its own runs it, so it imports nothing of ours: python triton_config.py FILE...
"""

from __future__ import annotations

import sys
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

for file in sys.argv[1:]:
    # Names and values that model_config.proto does not have are errors.
    config = text_format.Parse(Path(file).read_text("utf-8"), model_config_pb2.ModelConfig())
    print(json_format.MessageToJson(config, preserving_proto_field_name=True, indent=None))
