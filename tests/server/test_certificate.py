"""The server's own certificate: what is said of files that cannot be used, and renewal."""

import asyncio
import os
import signal
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from tokenferry.server.certificate import (
    CertificateUnusable,
    renewed_on_signal,
    server_context,
)


def issue(directory: Path) -> tuple[Path, Path, bytes]:
    """Write a certificate and its key; return where, and the certificate as peers see it."""
    certificate = trustme.CA().issue_cert("localhost")
    chain, key = directory / "cert.pem", directory / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(chain)
    return chain, key, ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


def presented(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a client of a context is shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.getpeercert(binary_form=True)


class TestUnusable:
    def test_a_key_of_another_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        chain, _, _ = issue(tmp_path)
        _, key, _ = issue(tmp_path / "other")
        with pytest.raises(CertificateUnusable, match=r"is not the key of the certificate .*cert"):
            server_context(chain, key)

    def test_no_pem(self, tmp_path: Path) -> None:
        chain, key, _ = issue(tmp_path)
        for file in (chain, key):
            kept = file.read_bytes()
            file.write_text("no certificate")
            with pytest.raises(CertificateUnusable, match="in PEM form"):
                server_context(chain, key)
            file.write_bytes(kept)

    def test_a_key_with_a_passphrase_is_not_asked_about(self, tmp_path: Path) -> None:
        chain, key, _ = issue(tmp_path)
        locked = tmp_path / "locked.pem"
        command = [
            "openssl",
            "pkey",
            "-in",
            key,
            "-aes256",
            "-passout",
            "pass:열쇠",
            "-out",
            locked,
        ]
        subprocess.run(command, check=True, timeout=60)
        with pytest.raises(CertificateUnusable, match="has a passphrase"):
            server_context(chain, locked)

    def test_no_file(self, tmp_path: Path) -> None:
        chain, key, _ = issue(tmp_path)
        chain.unlink()
        with pytest.raises(CertificateUnusable, match=r"cannot be read: No such file"):
            server_context(chain, key)


async def test_a_signal_brings_the_files_that_are_there_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def signalled() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        told = len(caplog.records)
        while len(caplog.records) == told:
            await asyncio.sleep(0)

    caplog.set_level("INFO")
    chain, key, first = issue(tmp_path)
    context = server_context(chain, key)
    with renewed_on_signal(context, chain, key):
        assert presented(context) == first
        _, _, second = issue(tmp_path)
        assert presented(context) == first
        await signalled()
        assert presented(context) == second
        key.write_text("half a k")
        await signalled()
        assert caplog.records[-1].levelname == "ERROR"
        assert "the earlier certificate stays" in caplog.text
        assert presented(context) == second
