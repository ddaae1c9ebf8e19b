"""TLS towards callers, and mutual TLS behind Envoy, with certificates of the tests' own."""

import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from tests.testing.gate.echo_gate import free_ports
from tests.testing.gate.running_gate import RunningGate, running_gate

from lakegate.edge.process import running_envoy
from lakegate.v1.health_pb2 import GetHealthRequest
from lakegate.v1.health_pb2_grpc import HealthServiceStub

WAIT_SECONDS = 30


def put(certificate: trustme.LeafCert, folder: Path, name: str) -> tuple[Path, Path]:
    """Replace a certificate and its key, each by one rename."""
    folder.mkdir(exist_ok=True)
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    for path, pem in zip(paths, (chain, certificate.private_key_pem.bytes()), strict=True):
        new = folder / f"{path.name}.new"
        new.write_bytes(pem)
        new.replace(path)
    return paths


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def gate(
    authority: trustme.CA, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGate]:
    certificate, key = put(authority.issue_cert("127.0.0.1", "localhost"), folder, "gate")
    settings = {"LAKEGATE_TLS_CERT": str(certificate), "LAKEGATE_TLS_KEY": str(key)}
    with running_gate(tmp_path_factory.mktemp("tls") / "home", settings) as running:
        yield running


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("http2", [False, True])
def test_rest_goes_over_tls(gate: RunningGate, authority: trustme.CA, http2: bool) -> None:  # noqa: FBT001 - a parameter of the test
    with httpx.Client(verify=trusting(authority), http2=http2, http1=not http2) as http:
        answer = http.post(
            f"https://{gate.http_addr}/v1/ingest", content='{"a":1}', headers={"X-Table": "tls"}
        )
    assert answer.status_code == 200
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


def test_grpc_goes_over_tls(gate: RunningGate, authority: trustme.CA) -> None:
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with grpc.secure_channel(gate.http_addr, credentials) as channel:
        assert HealthServiceStub(channel).GetHealth(GetHealthRequest()).status == "ok"


def test_plain_http_is_redirected(gate: RunningGate) -> None:
    answer = httpx.post(f"http://{gate.http_addr}/v1/ingest?a=1", content=b"{}")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{gate.http_addr}/v1/ingest?a=1"


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_begins_at_1_2(
    gate: RunningGate, authority: trustme.CA, version: ssl.TLSVersion, *, taken: bool
) -> None:
    context = trusting(authority)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    host, _, port = gate.http_addr.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_SECONDS) as connection:
        if taken:
            context.wrap_socket(connection, server_hostname=host).close()
        else:
            with pytest.raises(OSError, match=r"alert|protocol|closed|reset|EOF"):
                context.wrap_socket(connection, server_hostname=host)


def test_a_new_certificate_is_taken_without_a_restart(
    gate: RunningGate, authority: trustme.CA, folder: Path
) -> None:
    def shown() -> str:
        return ssl.get_server_certificate((host, int(port)), timeout=WAIT_SECONDS)

    host, _, port = gate.http_addr.rpartition(":")
    before = shown()
    put(authority.issue_cert("127.0.0.1"), folder, "gate")
    deadline = time.monotonic() + WAIT_SECONDS
    while shown() == before:
        assert time.monotonic() < deadline


# Between Envoy and the server.


def put_mutual(authority: trustme.CA, folder: Path) -> Mapping[str, Path]:
    """Write an authority's certificate and those of both sides; return the settings."""
    server = put(authority.issue_cert("lakegate"), folder, "server")
    envoy = put(authority.issue_cert("envoy"), folder, "envoy")
    new, ca = folder / "ca.new", folder / "ca.crt"
    new.write_bytes(authority.cert_pem.bytes())
    new.replace(ca)
    names = ("grpc_tls_cert", "grpc_tls_key", "envoy_tls_cert", "envoy_tls_key")
    return dict(zip(names, (*server, *envoy), strict=True)) | {"grpc_tls_ca": ca}


def variables(settings: Mapping[str, Path]) -> Mapping[str, str]:
    return {f"LAKEGATE_{name.upper()}": str(path) for name, path in settings.items()}


@pytest.fixture(scope="module")
def mutual(authority: trustme.CA, folder: Path) -> Mapping[str, Path]:
    return put_mutual(authority, folder)


@pytest.fixture(scope="module")
def behind(
    mutual: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGate]:
    with running_gate(tmp_path_factory.mktemp("mutual") / "home", variables(mutual)) as running:
        yield running


def health(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    """Call the server itself, as anybody can who reaches its port."""
    options = (("grpc.ssl_target_name_override", "lakegate"),)
    channel = (
        grpc.secure_channel(address, credentials, options)
        if credentials
        else grpc.insecure_channel(address)
    )
    with channel:
        try:
            HealthServiceStub(channel).GetHealth(GetHealthRequest(), timeout=WAIT_SECONDS)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def test_envoy_and_the_server_know_each_other(behind: RunningGate) -> None:
    assert behind.ingest("mutual", '{"a":1}').status_code == 200


def test_the_server_talks_to_nobody_without_a_certificate(
    behind: RunningGate, authority: trustme.CA, mutual: Mapping[str, Path]
) -> None:
    ca = authority.cert_pem.bytes()
    own = [mutual[f"envoy_tls_{part}"].read_bytes() for part in ("key", "cert")]
    stranger = trustme.CA().issue_cert("envoy")
    another = [stranger.private_key_pem.bytes(), stranger.cert_chain_pems[0].bytes()]
    ssl_credentials = grpc.ssl_channel_credentials
    unavailable = grpc.StatusCode.UNAVAILABLE
    assert health(behind.grpc_addr, None) is unavailable
    assert health(behind.grpc_addr, ssl_credentials(ca)) is unavailable
    assert health(behind.grpc_addr, ssl_credentials(ca, *another)) is unavailable
    assert health(behind.grpc_addr, ssl_credentials(ca, *own)) is grpc.StatusCode.OK


def known_to(authority: trustme.CA) -> grpc.ChannelCredentials:
    """Return what Envoy would show a server of that authority."""
    envoy = authority.issue_cert("envoy")
    chain = envoy.cert_chain_pems[0].bytes()
    return grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(), envoy.private_key_pem.bytes(), chain
    )


def test_the_server_takes_the_certificates_of_a_new_authority_without_a_restart(
    tmp_path: Path,
) -> None:
    former, new = trustme.CA(), trustme.CA()
    settings = put_mutual(former, tmp_path / "certificates")
    with running_gate(tmp_path / "home", variables(settings)) as gate:
        assert health(gate.grpc_addr, known_to(former)) is grpc.StatusCode.OK
        assert health(gate.grpc_addr, known_to(new)) is grpc.StatusCode.UNAVAILABLE
        put_mutual(new, tmp_path / "certificates")
        assert health(gate.grpc_addr, known_to(new)) is grpc.StatusCode.OK
        assert health(gate.grpc_addr, known_to(former)) is grpc.StatusCode.UNAVAILABLE
        settings["grpc_tls_ca"].unlink()  # half way through a change of the files
        assert health(gate.grpc_addr, known_to(new)) is grpc.StatusCode.OK


async def test_envoy_takes_the_certificates_of_a_new_authority_without_a_restart(
    behind: RunningGate, authority: trustme.CA, tmp_path: Path
) -> None:
    settings = put_mutual(trustme.CA(), tmp_path / "certificates")
    async with (
        running_envoy(free_ports().model_copy(update=settings), behind.grpc_addr) as envoy,
        httpx.AsyncClient(base_url=f"http://{envoy.http_addr}") as http,
    ):
        assert (await http.get("/health")).status_code == 503
        put_mutual(authority, tmp_path / "certificates")
        deadline = time.monotonic() + WAIT_SECONDS
        while (await http.get("/health")).status_code != 200:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("impostor", ["another authority", "another name"])
async def test_envoy_talks_to_no_other_server(
    behind: RunningGate, mutual: Mapping[str, Path], folder: Path, impostor: str
) -> None:
    ca = mutual["grpc_tls_ca"]
    server = behind.grpc_addr
    if impostor == "another authority":
        ca = folder / "another.crt"
        trustme.CA().cert_pem.write_to_path(ca)
    else:
        server = behind.http_addr
    settings = free_ports().model_copy(update={**mutual, "grpc_tls_ca": ca})
    async with running_envoy(settings, server) as envoy, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{envoy.http_addr}/health")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    "given",
    [
        {"LAKEGATE_TLS_CERT": os.devnull},
        {"LAKEGATE_GRPC_TLS_CA": os.devnull, "LAKEGATE_GRPC_TLS_KEY": os.devnull},
    ],
)
def test_half_a_setting_of_tls_is_refused_at_the_start(
    tmp_path: Path, given: dict[str, str]
) -> None:
    with (
        pytest.raises(AssertionError, match="must be set together: LAKEGATE_"),
        running_gate(tmp_path / "home", given),
    ):
        pass
