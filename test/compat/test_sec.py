# SPDX-License-Identifier: BSL-1.0
"""LuaSec, Debian's: HTTPS and ssl.wrap over our TCP objects, handshakes included."""

import os
import ssl
import subprocess
import tempfile
import threading

import proof

N = 10
N_TICKS = 20


class Sec(proof.Proof):
    """LuaSec:"""

    modules = ("ssl", "ssl.https")

    @classmethod
    def setUpClass(cls):
        """A key and a certificate that it has signed itself."""
        proof.peer.need_program("openssl")
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.key = os.path.join(cls.directory.name, "key.pem")
        cls.certificate = os.path.join(cls.directory.name, "certificate.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", cls.key, "-out", cls.certificate],
            check=True, timeout=proof.DEADLINE, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.context.load_cert_chain(cls.certificate, cls.key)

    def answer(self, connection, before_handshake, before_answer):
        """One request over TLS."""
        before_handshake()
        with self.context.wrap_socket(connection, server_side=True) as tls:
            lines = proof.Lines(tls)
            path = lines.read().split()[1]
            while lines.read():
                pass
            is_together = before_answer()
            body = f"body of {path}".encode()
            tls.sendall(b"HTTP/1.1 %d -\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                        % (200 if is_together else 503, len(body), body))

    def test_together(self):
        """10 fibers fetch by ssl.https at once, handshakes and answers held back for all"""
        shaking, asking = proof.Gate(N), proof.Gate(N)
        service = self.service(
            lambda connection: self.answer(connection, shaking.wait, asking.wait))
        self.run_client("https.lua", f"https://127.0.0.1:{service.port}/", N, self.certificate,
                        expected=[f"{N} answers"])

    def test_ticks(self):
        """a handshake that the peer delays blocks nobody: it begins when another fiber has ticked"""
        ticked = threading.Event()

        def count(connection):
            lines = proof.Lines(connection)
            for _ in range(N_TICKS):
                assert lines.read() == "tick"
                lines.say("tock")
            ticked.set()

        def serve(connection):
            def wait():
                assert ticked.wait(proof.DEADLINE)
            self.answer(connection, wait, lambda: True)

        clock, service = self.service(count), self.service(serve)
        self.run_client("https_ticks.lua", f"https://127.0.0.1:{service.port}/", clock.port,
                        N_TICKS, expected=["20 ticks, then 200"])

    def test_both_ends(self):
        """ssl.wrap at both ends of connections inside one process"""
        self.run_client("tls_both_ends.lua", self.certificate, self.key, N,
                        expected=[f"{N} conversations"])

    def test_pieces(self):
        """lines and blocks in pieces, time-outs, ends, and a peer that is gone"""
        self.run_client("tls_pieces.lua", self.certificate, self.key,
                        expected=["pieces", "time-outs", "all until the end", "nobody there",
                                  "as before"])

    def test_distrust(self):
        """a certificate that nobody vouches for is refused, and ends the other fibers' in no way"""

        def serve(connection):
            try:
                self.answer(connection, lambda: None, lambda: True)
            except (ssl.SSLError, ConnectionError):
                pass  # refused by the client

        service = self.service(serve)
        self.run_client("https_distrust.lua", f"https://127.0.0.1:{service.port}/",
                        self.certificate, expected=["refused", "200"])


class SecInStock(proof.InStock, Sec):
    """LuaSec in a stock interpreter:"""


if __name__ == "__main__":
    proof.main()
