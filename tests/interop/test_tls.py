"""TLS on the dubbo port, with Dubbo Java and dubbo-go on the other side.

What a Java consumer needs is more than one would think. It stays with plain text, without a word,
unless it is given a certificate and key of its own beside the authority's; and then Netty 4.2
verifies the provider's name, which Dubbo does not tell it, and every handshake fails unless
`io.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE` turns that off. Dubbo 3.2, with
Netty 4.1, does not need the latter.

dubbo-go speaks TLS where getty, which does its connections, is told to; the options that it has
for TLS do not reach the dubbo protocol. Its provider wants some certificate of every consumer, and
its consumer verifies none.
"""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.interop.go_peer import GoCaller, GoError, GoProvider, GoTls
from tests.interop.peer import JavaCaller, JavaException, JavaProvider
from tests.interop.services import GreetService, User
from tests.interop.test_java_calls_python import GREET, Provider, provider
from tests.testbed.authority import Authority, Certificate

import kubbo
from kubbo import Progress, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSIONS = ["3.3.6", "3.2.16"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    """For both sides, at 127.0.0.1."""
    return authority.issue("peer", "/CN=peer", ["IP:127.0.0.1"])


@pytest.fixture(scope="module")
def trust(authority: Authority) -> ssl.SSLContext:
    """A consumer's: it verifies chain and address."""
    return ssl.create_default_context(cafile=authority.root.crt)


@pytest.fixture(scope="module", params=VERSIONS)
def java(
    request: pytest.FixtureRequest, java_peer: None, certificate: Certificate
) -> Iterator[JavaProvider]:
    """A Java provider with TLS."""
    properties = {
        "dubbo.protocol.ssl-enabled": "true",
        "dubbo.ssl.server-key-cert-chain-path": str(certificate.crt),
        "dubbo.ssl.server-private-key-path": str(certificate.key),
    }
    with JavaProvider(properties=properties, dubbo=request.param) as running:
        yield running


@pytest.fixture(scope="module")
def python(certificate: Certificate) -> Iterator[Provider]:
    """A Python provider with TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.crt, certificate.key)
    with provider(tls=context) as running:
        yield running


# --- Python calls Java -----------------------------------------------------------------------


async def test_python_calls_java_over_tls(java: JavaProvider, trust: ssl.SSLContext) -> None:
    """With the authority's certificate the provider is verified, and calls are as ever."""
    async with kubbo.Channel(tls=trust, timeout=10.0) as channel:
        greeter = channel.refer(GreetService, f"static:///{java.address}")
        assert await greeter.say_hello("x" * 70_000) == f"Hello {'x' * 70_000} from java " + (
            java.address
        )
        for number in range(50):
            assert "Hello Ann" in await greeter.greet(User(number, "Ann"))


async def test_python_refuses_a_java_provider_of_another_authority(java: JavaProvider) -> None:
    """Whom the authorities of the machine do not know is not called, and the error says so."""
    async with kubbo.Channel(tls=ssl.create_default_context(), timeout=2.0) as channel:
        greeter = channel.refer(GreetService, f"static:///{java.address}")
        with pytest.raises(RpcError, match="certificate verify failed") as refused:
            await greeter.say_hello("Ann")
        assert refused.value.progress is Progress.NOT_SENT


async def test_java_closes_plain_text_on_a_tls_port(java: JavaProvider) -> None:
    """Without `tls` nothing is answered on such a port: the call fails and does not hang."""
    async with kubbo.Channel(timeout=10.0, retries=0) as channel:
        greeter = channel.refer(GreetService, f"static:///{java.address}")
        with pytest.raises(RpcError, match="the connection was closed"):
            await greeter.say_hello("Ann")


# --- Java calls Python -----------------------------------------------------------------------


def trusting(authority: Authority) -> dict[str, str]:
    return {"dubbo.ssl.client-trust-cert-collection-path": str(authority.root.crt)}


def identified(authority: Authority, certificate: Certificate) -> dict[str, str]:
    return {
        **trusting(authority),
        "dubbo.ssl.client-key-cert-chain-path": str(certificate.crt),
        "dubbo.ssl.client-private-key-path": str(certificate.key),
    }


UNVERIFIED = {"io.netty.handler.ssl.defaultEndpointVerificationAlgorithm": "NONE"}


@pytest.mark.parametrize("dubbo", VERSIONS)
async def test_java_calls_python_over_tls(
    dubbo: str, java_peer: None, python: Provider, authority: Authority, certificate: Certificate
) -> None:
    """With a certificate of its own, and names unverified in Netty 4.2, Java calls over TLS."""
    properties = identified(authority, certificate) | (UNVERIFIED if dubbo != "3.2.16" else {})
    async with JavaCaller(properties=properties, dubbo=dubbo) as caller:
        user = {"id": 1, "name": "Ann"}
        answer = await caller.call(python.address, GREET, "greet", user)
        assert answer.value == "Hello Ann (1) from python"
        text = "x" * 70_000
        answer = await caller.call(python.address, GREET, "sayHello", text)
        assert answer.value == f"Hello {text} from python"


async def test_java_verifies_a_name_that_it_does_not_know(
    java_peer: None, python: Provider, authority: Authority, certificate: Certificate
) -> None:
    """Netty 4.2 in Dubbo 3.3 fails every handshake as long as it verifies names."""
    async with JavaCaller(properties=identified(authority, certificate)) as caller:
        with pytest.raises(JavaException):
            await caller.call(python.address, GREET, "sayHello", "Ann")
        assert "Hostname or IP address is undefined" in caller.log


async def test_java_without_a_certificate_speaks_plain_text(
    java_peer: None, python: Provider, authority: Authority
) -> None:
    """With the authority alone Dubbo 3.3 does not even try TLS; Python does not answer it."""
    async with JavaCaller(properties=trusting(authority) | UNVERIFIED) as caller:
        with pytest.raises(JavaException) as failed:
            await caller.call(python.address, GREET, "sayHello", "Ann", timeout=2.0)
        assert failed.value.code in {1, 2}
        with provider() as plain:
            answer = await caller.call(plain.address, GREET, "sayHello", "Ann")
            assert answer.value == "Hello Ann from python"


# --- dubbo-go --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(authority: Authority, certificate: Certificate) -> GoTls:
    return GoTls(certificate.crt, certificate.key, authority.root.crt)


@pytest.fixture(scope="module")
def identity(authority: Authority, certificate: Certificate) -> ssl.SSLContext:
    """A consumer's that verifies chain and address, and shows a certificate of its own."""
    context = ssl.create_default_context(cafile=authority.root.crt)
    context.load_cert_chain(certificate.crt, certificate.key)
    return context


async def test_go_calls_python_over_tls(go_peer: None, python: Provider, files: GoTls) -> None:
    """With its certificate and the authority's in getty's configuration, calls are as ever."""
    async with GoCaller(tls=files) as caller:
        text = "x" * 70_000
        assert await caller.call(python.address, GREET, "sayHello", text) == (
            f"Hello {text} from python"
        )


async def test_python_may_ask_go_for_its_certificate(
    go_peer: None, authority: Authority, certificate: Certificate, files: GoTls
) -> None:
    """A provider that wants to know its consumers knows Go's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.root.crt)
    context.load_cert_chain(certificate.crt, certificate.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with provider(tls=context) as wary:
        async with GoCaller(tls=files) as caller:
            answer = await caller.call(wary.address, GREET, "sayHello", "Ann")
            assert answer == "Hello Ann from python"


async def test_go_verifies_no_provider(
    go_peer: None, tmp_path: Path, certificate: Certificate, files: GoTls
) -> None:
    """A provider of an authority that Go was not told of is called like any other."""
    unknown = Authority(tmp_path / "other").issue("peer", "/CN=peer", ["IP:192.0.2.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(unknown.crt, unknown.key)
    with provider(tls=context) as foreign:
        async with GoCaller(tls=files) as caller:
            answer = await caller.call(foreign.address, GREET, "sayHello", "Ann")
            assert answer == "Hello Ann from python"


async def test_gos_option_for_tls_leaves_a_consumer_with_plain_text(
    go_peer: None, python: Provider, files: GoTls
) -> None:
    """`client.WithClientTLSOption` changes nothing for the dubbo protocol."""
    async with GoCaller(tls=replace(files, by_option=True)) as caller:
        with pytest.raises(GoError):
            await caller.call(python.address, GREET, "sayHello", "Ann")
        with provider() as plain:
            answer = await caller.call(plain.address, GREET, "sayHello", "Ann")
            assert answer == "Hello Ann from python"


async def test_python_calls_go_over_tls(
    go_peer: None, files: GoTls, identity: ssl.SSLContext
) -> None:
    """Python verifies Go's chain and address, and shows the certificate that Go asks for."""
    async with GoProvider(tls=files) as go, kubbo.Channel(tls=identity, timeout=10.0) as channel:
        greeter = channel.refer(GreetService, f"static:///{go.address}")
        text = "x" * 70_000
        assert await greeter.say_hello(text) == f"Hello {text} from go"
        for number in range(50):
            assert "Hello Ann" in await greeter.greet(User(number, "Ann"))


async def test_go_wants_a_certificate(go_peer: None, files: GoTls, trust: ssl.SSLContext) -> None:
    """Without one of its own a consumer is turned away, and so is plain text."""
    async with GoProvider(tls=files) as go:
        for context in (trust, None):
            async with kubbo.Channel(tls=context, timeout=10.0, retries=0) as channel:
                greeter = channel.refer(GreetService, f"static:///{go.address}")
                with pytest.raises(RpcError, match="closed"):
                    await greeter.say_hello("Ann")


async def test_gos_option_for_tls_leaves_a_provider_with_plain_text(
    go_peer: None, files: GoTls
) -> None:
    """`server.WithServerTLSOption` changes nothing for the dubbo protocol."""
    async with (
        GoProvider(tls=replace(files, by_option=True)) as go,
        kubbo.Channel(timeout=10.0) as channel,
    ):
        greeter = channel.refer(GreetService, f"static:///{go.address}")
        assert await greeter.say_hello("Ann") == "Hello Ann from go"
