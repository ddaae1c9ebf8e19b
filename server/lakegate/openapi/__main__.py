"""Writes the OpenAPI document: `python -m lakegate.openapi DESCRIPTOR_SET > envoy/openapi.json`."""

import json
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from lakegate.openapi.document import openapi

descriptor_set = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
sys.stdout.write(json.dumps(openapi(descriptor_set), indent=1, ensure_ascii=False) + "\n")
