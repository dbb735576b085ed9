# SPDX-License-Identifier: BSL-1.0
"""LuaSocket's own socket.http in many fibers at once."""

import os

import proof
from proof import peer

N = 50
BIG = bytes(range(256)) * 4000


class Http(proof.Proof):
    """socket.http:"""

    modules = ("socket.http", "ltn12")

    def read_request(self, lines):
        """Method, path, headers, body."""
        first = lines.read()
        if not first:
            return None
        method, path, _ = first.split()
        headers = {}
        while line := lines.read():
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        return method, path, headers, self.read_body(lines, headers)

    @staticmethod
    def read_body(lines, headers):
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(lines.read(), 16):
                body += lines.file.read(size)
                lines.read()
            lines.read()
            return body
        return lines.file.read(int(headers.get("content-length", 0)))

    @staticmethod
    def answer(connection, status, body, *headers):
        head = [f"HTTP/1.1 {status} -", "Connection: close", *headers]
        connection.sendall("\r\n".join(head + ["", ""]).encode() + body)

    def test_together(self):
        """50 fibers fetch at once from a server that answers only when all 50 have asked"""
        gate = proof.Gate(N)

        def serve(connection):
            _, path, _, _ = self.read_request(proof.Lines(connection))
            status = 200 if gate.wait() else 503
            self.answer(connection, status, b"body of " + path.encode())

        service = self.service(serve)
        self.run_client("http.lua", f"http://127.0.0.1:{service.port}/", N,
                        expected=[f"{N} answers"])

    def test_forms(self):
        """bodies of every form, both ways, and redirections"""

        def serve(connection):
            request = self.read_request(proof.Lines(connection))
            method, path, _, body = request
            if path == "/length":
                self.answer(connection, 200, BIG, f"Content-Length: {len(BIG)}")
            elif path == "/end":
                self.answer(connection, 200, BIG)
            elif path == "/chunked":
                pieces = [BIG[i:i + 10007] for i in range(0, len(BIG), 10007)]
                chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
                self.answer(connection, 200, chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked")
            elif path == "/moved":
                self.answer(connection, 302, b"", "Location: /length", "Content-Length: 0")
            elif method in ("POST", "PUT") and path == "/echo":
                self.answer(connection, 200, body, f"Content-Length: {len(body)}")
            else:
                self.answer(connection, 404, b"no", "Content-Length: 2")

        service = self.service(serve)
        self.run_client("http_forms.lua", f"http://127.0.0.1:{service.port}", expected=["done"])

    def test_example(self):
        """50 fibers at once, from the HTTP service of doc/example"""
        if not os.path.exists(peer.example("http_server.lua")):
            self.skipTest("there is no http_server.lua")
        server = peer.Server("http_server.lua", "127.0.0.1", 0)
        self.addCleanup(self.end_example, server)
        self.run_client("http_example.lua", f"http://127.0.0.1:{server.port}", N,
                        expected=[f"{N} answers"])

    @staticmethod
    def end_example(server):
        server.stop(status=0)


class HttpInStock(proof.InStock, Http):
    """socket.http in a stock interpreter:"""


if __name__ == "__main__":
    proof.main()
