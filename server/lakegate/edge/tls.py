"""Envoy's TLS, towards callers and towards the server, as values of the bootstrap."""

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


_TLS_INSPECTOR: dict[str, Any] = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {
        "@type": f"{_CONFIG}.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    },
}

# It waits for the first bytes of a request, for as long as the listener lets it.
_HTTP_INSPECTOR: dict[str, Any] = {
    "name": "envoy.filters.listener.http_inspector",
    "typed_config": {
        "@type": f"{_CONFIG}.extensions.filters.listener.http_inspector.v3.HttpInspector"
    },
}


def tls_values(settings: Settings, directory: Path) -> dict[str, object]:
    """Return the values of the bootstrap that depend on TLS; may write to `directory`."""
    with_tls = settings.tls_cert is not None
    return {
        "listener_filters": [*([_TLS_INSPECTOR] if with_tls else []), _HTTP_INSPECTOR],
        "chain_match": {"transport_protocol": "tls"} if with_tls else {},
        "downstream_transport_socket": _downstream(settings, directory),
        "upstream_transport_socket": _upstream(settings, directory),
    }


def _downstream(settings: Settings, directory: Path) -> dict[str, Any]:
    if settings.tls_cert is None or settings.tls_key is None:
        return _PLAIN
    certificate = _certificate(settings.tls_cert, settings.tls_key)
    return _socket(
        "DownstreamTlsContext",
        {
            "tls_params": _PARAMETERS,
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [_secret(directory, "callers", certificate)],
        },
    )


def _upstream(settings: Settings, directory: Path) -> dict[str, Any]:
    if not (settings.grpc_tls_ca and settings.envoy_tls_cert and settings.envoy_tls_key):
        return _PLAIN
    certificate = _certificate(settings.envoy_tls_cert, settings.envoy_tls_key)
    authority = {
        "validation_context": {
            "trusted_ca": _file(settings.grpc_tls_ca),
            "watched_directory": _folder(settings.grpc_tls_ca),
            "match_typed_subject_alt_names": [
                {"san_type": "DNS", "matcher": {"exact": SERVER_NAME}}
            ],
        }
    }
    return _socket(
        "UpstreamTlsContext",
        {
            "tls_params": _PARAMETERS,
            "alpn_protocols": ["h2"],
            "tls_certificate_sds_secret_configs": [_secret(directory, "server", certificate)],
            "validation_context_sds_secret_config": _secret(directory, "authority", authority),
        },
        sni=SERVER_NAME,
    )


def _certificate(certificate: Path, key: Path) -> dict[str, Any]:
    return {
        "tls_certificate": {
            "certificate_chain": _file(certificate),
            "private_key": _file(key),
            "watched_directory": _folder(certificate),
        }
    }


def _file(path: Path) -> dict[str, str]:
    return {"filename": str(path.absolute())}


def _folder(path: Path) -> dict[str, str]:
    return {"path": str(path.absolute().parent)}


def _secret(directory: Path, name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return the source of a secret: a file, as a secret discovery service would answer.

    Envoy reads a secret again when a file is moved into its folder.
    """
    answer = directory / f"{name}.json"
    secret = {"@type": f"{_TLS}.Secret", "name": name, **content}
    answer.write_text(json.dumps({"resources": [secret]}))
    source = {"path_config_source": {"path": str(answer)}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def _socket(context: str, common: dict[str, Any], **more: str) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.{context}",
            "common_tls_context": common,
            **more,
        },
    }
