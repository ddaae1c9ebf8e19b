"""Envoy's transcoder: JSON to gRPC and back, by the google.api.http annotations."""

from typing import Any

from lakegate.contract import SERVICES

TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
_EXTENSION = "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"


def transcoder(descriptor_set_file: str, *, ignores_unknown_parameters: bool) -> dict[str, Any]:
    """Return the configuration of the filter, or of one of its routes."""
    parameters: dict[str, Any] = (
        {"ignore_unknown_query_parameters": True}
        if ignores_unknown_parameters
        else {"request_validation_options": {"reject_unknown_query_parameters": True}}
    )
    return {
        "@type": f"type.googleapis.com/{_EXTENSION}",
        "proto_descriptor": descriptor_set_file,
        "services": list(SERVICES),
        "print_options": {
            "preserve_proto_field_names": True,
            "always_print_primitive_fields": True,
        },
        **parameters,
    }
