"""Mutual TLS between Envoy and the server: its certificates are read again when they change."""

import logging
from dataclasses import dataclass
from pathlib import Path

import grpc

from lakegate.settings import Settings

_log = logging.getLogger("lakegate")


@dataclass(frozen=True, slots=True)
class _Files:
    """The certificate chain and key of the server, and the authority of its callers, PEM."""

    certificate: Path
    key: Path
    authority: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        return (self.certificate.read_bytes(), self.key.read_bytes(), self.authority.read_bytes())


def mutual_tls(settings: Settings) -> grpc.ServerCredentials | None:
    """Return credentials that accept callers with a certificate of the authority, if one is set.

    The files are read again for each new connection. Raises `OSError` where they cannot be read.
    """
    if not (settings.grpc_tls_ca and settings.grpc_tls_cert and settings.grpc_tls_key):
        return None
    files = _Files(settings.grpc_tls_cert, settings.grpc_tls_key, settings.grpc_tls_ca)
    known = files.read()

    def current() -> grpc.ServerCertificateConfiguration:
        nonlocal known
        try:
            known = files.read()
        except OSError as error:
            _log.warning("the certificates cannot be read, the former ones stay: %s", error)
        return _configuration(known)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(known), current, require_client_authentication=True
    )


def _configuration(contents: tuple[bytes, bytes, bytes]) -> grpc.ServerCertificateConfiguration:
    certificate, key, authority = contents
    return grpc.ssl_server_certificate_configuration(
        [(key, certificate)], root_certificates=authority
    )
