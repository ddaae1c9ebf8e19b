"""Envoy's TLS: towards callers, and towards the server. What the bootstrap is filled in with."""

import json
from pathlib import Path
from typing import Any

from lakegate.settings import Settings

# The name in the server's certificate, whatever its address is.
SERVER_NAME = "lakegate"

_CONFIG = "type.googleapis.com/envoy"
_PLAIN: dict[str, Any] = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": {
        "@type": f"{_CONFIG}.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    },
}
_TLS = f"{_CONFIG}.extensions.transport_sockets.tls.v3"
_PARAMETERS = {"tls_minimum_protocol_version": "TLSv1_2"}


def tls_values(settings: Settings, directory: Path) -> dict[str, object]:
    """Give the values of the bootstrap that depend on TLS; may write to `directory`."""
    with_tls = settings.tls_cert is not None
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": f"{_CONFIG}.extensions.filters.listener.tls_inspector.v3.TlsInspector"
        },
    }
    return {
        "listener_filters": [inspector] if with_tls else [],
        "chain_match": {"transport_protocol": "tls"} if with_tls else {},
        "downstream_transport_socket": _downstream(settings, directory),
        "upstream_transport_socket": _upstream(settings),
    }


def _downstream(settings: Settings, directory: Path) -> dict[str, Any]:
    if settings.tls_cert is None or settings.tls_key is None:
        return _PLAIN
    secret = directory / "certificate.json"
    secret.write_text(json.dumps(_secret(settings.tls_cert, settings.tls_key)))
    source = {
        "name": "certificate",
        "sds_config": {"path_config_source": {"path": str(secret)}, "resource_api_version": "V3"},
    }
    return _socket(
        "DownstreamTlsContext",
        {
            "tls_params": _PARAMETERS,
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [source],
        },
    )


def _secret(certificate: Path, key: Path) -> dict[str, Any]:
    """Give the answer of a secret discovery service, which watches the certificate's folder."""
    return {
        "resources": [
            {
                "@type": f"{_TLS}.Secret",
                "name": "certificate",
                "tls_certificate": {
                    "certificate_chain": {"filename": str(certificate.absolute())},
                    "private_key": {"filename": str(key.absolute())},
                    "watched_directory": {"path": str(certificate.absolute().parent)},
                },
            }
        ]
    }


def _upstream(settings: Settings) -> dict[str, Any]:
    if settings.grpc_tls_ca is None:
        return _PLAIN
    certificate = {
        "certificate_chain": {"filename": str(settings.envoy_tls_cert)},
        "private_key": {"filename": str(settings.envoy_tls_key)},
    }
    validation = {
        "trusted_ca": {"filename": str(settings.grpc_tls_ca)},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": SERVER_NAME}}],
    }
    return _socket(
        "UpstreamTlsContext",
        {
            "tls_params": _PARAMETERS,
            "alpn_protocols": ["h2"],
            "tls_certificates": [certificate],
            "validation_context": validation,
        },
        sni=SERVER_NAME,
    )


def _socket(context: str, common: dict[str, Any], **more: str) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.{context}",
            "common_tls_context": common,
            **more,
        },
    }
