# SPDX-License-Identifier: BSL-1.0
"""curl, wrk, netcat, socat and raw sockets talk to the HTTP service of doc/example."""

import re
import signal
import socket
import struct
import subprocess
import time
import unittest

import peer

MAX_LINE, MAX_HEADERS, MAX_BODY = 8000, 100, 1 << 20  # as in http_server.lua
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def start(case, seconds=peer.DEADLINE):
    server = peer.Server("http_server.lua", "127.0.0.1", 0, seconds)
    case.addCleanup(server.process.kill)  # nothing to kill if all went well
    return server


def head(method="GET", path="/", fields=(), version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


def counted(last):
    return b"".join(b"%d\n" % i for i in range(1, last + 1))


class Answer:
    """The next answer on a connection, read by a client that puts up with nothing."""

    def __init__(self, file, method="GET"):
        self.status = self.fields = self.body = None
        line = file.readline()
        if line == b"":
            return  # the end of the connection
        self.status = int(re.fullmatch(rb"HTTP/1\.1 (\d{3}) [\w -]+\r\n", line).group(1))
        self.fields = self.read_fields(file)
        if self.status == 100:
            return
        self.is_last = self.fields["Connection"] == "close"
        self.body = b"" if method == "HEAD" else self.read_body(file)

    @staticmethod
    def read_fields(file):
        fields = {}
        while (line := file.readline()) != b"\r\n":
            name, value = re.fullmatch(rb"([\w-]+): ([^\r\n]*)\r\n", line).groups()
            assert name not in fields, name
            fields[name.decode()] = value.decode()
        return fields

    def read_body(self, file):
        if "Content-Length" in self.fields:
            assert "Transfer-Encoding" not in self.fields
            length = int(self.fields["Content-Length"])
            body = file.read(length)
            assert len(body) == length, "the body is cut"
            return body
        if "Transfer-Encoding" not in self.fields:
            return file.read()
        chunks = []
        while size := int(re.fullmatch(rb"([0-9a-f]+)\r\n", file.readline()).group(1), 16):
            chunks.append(file.read(size))
            assert len(chunks[-1]) == size and file.read(2) == b"\r\n"
        assert file.readline() == b"\r\n"
        return b"".join(chunks)


class Http(unittest.TestCase):
    """What the groups share: raw connections, and a last look at the server."""

    def setUp(self):
        self.opened = []

    def open(self, sent=b""):
        sock = socket.create_connection(self.server.endpoint, timeout=peer.DEADLINE)
        file = sock.makefile("rb")
        self.opened += [file, sock]
        self.addCleanup(file.close)
        self.addCleanup(sock.close)
        sock.sendall(sent)
        return sock, file

    def close_all(self):
        for each in self.opened:
            each.close()
        self.opened.clear()

    def ask(self, sent, method="GET"):
        """The answer to what a new connection sends, and the file to read on."""
        _, file = self.open(sent=sent)
        return Answer(file, method), file

    def check_end(self, file):
        """The connection ends, without an error."""
        self.assertEqual(file.read(), b"")

    def check_refused(self, sent, status):
        """`sent` is answered by `status`, and that is the end of the connection."""
        answer, file = self.ask(sent)
        self.assertEqual((answer.status, answer.is_last), (status, True), sent[:100])
        self.check_end(file)

    def check_alive(self):
        answer, _ = self.ask(GET)
        self.assertEqual((answer.status, answer.body, answer.is_last), (200, b"hello\n", False))


class Served(peer.Case, Http):
    """A server with time, that is stopped at the end and must have written no complaints."""

    script = "http_server.lua"

    @classmethod
    def setUpClass(cls):
        cls.server = peer.Server(cls.script, "127.0.0.1", 0, peer.DEADLINE)
        cls.addClassCleanup(cls.server.stop, status=0)


class Curl(Served):
    """curl:"""

    def curl(self, *arguments, path="/", payload=None):
        peer.need_program("curl")
        url = f"http://127.0.0.1:{self.server.port}{path}"
        command = ["curl", "-q", "-sS", "--noproxy", "*", "-m", str(peer.DEADLINE)]
        done = subprocess.run(
            [*command, *arguments, url],
            input=payload,
            stdin=subprocess.DEVNULL if payload is None else None,
            capture_output=True,
            timeout=2 * peer.DEADLINE,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def test_get(self):
        """a page"""
        self.assertEqual(self.curl(), b"hello\n")

    def test_connection_is_kept(self):
        """ten requests go over one connection"""
        url = f"http://127.0.0.1:{self.server.port}/"
        options = ["-w", "%{num_connects}/%{http_code} "]
        out = self.curl(*options, *[url] * 9)
        self.assertEqual(out, b"hello\n1/200 " + b"hello\n0/200 " * 9)

    def test_close_is_obeyed(self):
        """with Connection: close each request has a connection of its own"""
        url = f"http://127.0.0.1:{self.server.port}/"
        out = self.curl("-H", "Connection: close", "-w", "%{num_connects} ", url)
        self.assertEqual(out, b"hello\n1 " * 2)

    def test_download_chunked(self):
        """a body of thousands of chunks"""
        self.assertEqual(self.curl(path="/count?20000"), counted(20000))

    def test_upload_chunked(self):
        """a body that is sent in chunks comes back"""
        payload = bytes(range(256)) * 2400
        out = self.curl("-X", "POST", "-T", "-", path="/echo", payload=payload)
        self.assertEqual(out, payload)

    def test_big(self):
        """the largest body that is allowed comes back, counted or in chunks"""
        payload = bytes(MAX_BODY - 256) + bytes(range(256))
        for fields in ((), ("-H", "Transfer-Encoding: chunked")):
            out = self.curl("--data-binary", "@-", *fields, path="/echo", payload=payload)
            self.assertTrue(out == payload)

    def test_too_big(self):
        """one more byte is refused before it is sent, with Expect"""
        payload = bytes(MAX_BODY + 1)
        out = self.curl(
            "--data-binary", "@-", "-H", "Expect: 100-continue", "--expect100-timeout", "60",
            "-o", "/dev/null", "-w", "%{http_code} %{size_upload}", path="/echo", payload=payload,
        )  # fmt: skip
        self.assertEqual(out, b"413 0")

    def test_too_big_chunked(self):
        """the answer to a body that turns out too large arrives while it is still being sent"""
        out = self.curl(
            "-X", "POST", "-T", "-", "-o", "/dev/null", "-w", "%{http_code}",
            path="/echo", payload=bytes(4 * MAX_BODY),
        )  # fmt: skip
        self.assertEqual(out, b"413")

    def test_expect(self):
        """Expect: 100-continue, and then the body"""
        for fields in ((), ("-H", "Transfer-Encoding: chunked")):
            out = self.curl(
                "-i", "-d", "question", "-H", "Expect: 100-continue", "--expect100-timeout", "60",
                *fields, path="/echo",
            )  # fmt: skip
            self.assertTrue(out.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
            self.assertTrue(out.endswith(b"\r\n\r\nquestion"))

    def test_head(self):
        """HEAD: the head of what GET gives, and the connection goes on"""
        for path, field in (("/", b"Content-Length: 6"), ("/count", b"Transfer-Encoding: chunked")):
            url = f"http://127.0.0.1:{self.server.port}{path}"
            out = self.curl("-I", "-w", "%{num_connects}", url, path=path)
            answer = out.partition(b"1HTTP")[0]
            self.assertIn(field + b"\r\n", answer)
            self.assertTrue(answer.endswith(b"\r\n\r\n"))
            self.assertTrue(out.endswith(b"\r\n\r\n0"), out)

    def test_old(self):
        """HTTP/1.0: no chunks, and the end of the connection is that of the body"""
        out = self.curl("-0", "-i", path="/count?1000")
        fields, _, body = out.partition(b"\r\n\r\n")
        self.assertNotIn(b"Transfer-Encoding", fields)
        self.assertIn(b"\r\nConnection: close", fields)
        self.assertEqual(body, counted(1000))
        self.assertEqual(self.curl("-0", "-d", "x", path="/echo"), b"x")

    def test_type(self):
        """the type of what was sent comes back with it"""
        out = self.curl("-d", "{}", "-H", "Content-Type: application/json", "-i", path="/echo")
        self.assertIn(b"\r\nContent-Type: application/json\r\n", out)


class Raw(Served):
    """Raw connections:"""

    def test_pipelining(self):
        """a hundred requests in one piece get their answers in order"""
        sent = b"".join(
            head("POST", "/echo", ["Content-Length: 3"]) + b"%03d" % i + head(path=f"/count?{i}")
            for i in range(50)
        )
        _, file = self.open(sent=sent)
        for i in range(50):
            self.assertEqual(Answer(file).body, b"%03d" % i)
            self.assertEqual(Answer(file).body, counted(i))

    def test_piecemeal(self):
        """requests that come byte by byte are understood"""
        sock, file = self.open()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chunked = head("POST", "/echo", ["Transfer-Encoding: chunked", "Trailer: x-sum"])
        chunks = b"5\r\nhello\r\n00a;name=value\r\n, stranger\r\n0\r\nx-sum: 15\r\n\r\n"
        for byte in chunked + chunks + GET:
            sock.sendall(bytes([byte]))
        self.assertEqual(Answer(file).body, b"hello, stranger")
        self.assertEqual(Answer(file).body, b"hello\n")

    def test_half_close(self):
        """a client that has ended its direction gets its answers, and then the end"""
        sock, file = self.open(sent=head(path="/count?100000") + GET)
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(Answer(file).body, counted(100000))
        self.assertEqual(Answer(file).body, b"hello\n")
        self.check_end(file)

    def test_expect(self):
        """100 Continue comes once, when the body is wanted and was not sent already"""
        fields = ["Content-Length: 4", "Expect: 100-Continue"]
        sock, file = self.open(sent=head("POST", "/echo", fields))
        self.assertEqual(Answer(file).status, 100)
        sock.sendall(b"body")
        self.assertEqual(Answer(file).body, b"body")
        sock.sendall(head("POST", "/echo", fields) + b"body")
        self.assertEqual(Answer(file).body, b"body")
        answer, _ = self.ask(head("POST", "/echo", fields, "1.0") + b"body")
        self.assertEqual(answer.body, b"body")
        for path, method, status in (("/none", "POST", 404), ("/echo", "PUT", 405)):
            self.check_refused(head(method, path, fields), status)

    def test_refused(self):
        """after 404 and 405 without a body the connection goes on"""
        sock, file = self.open(sent=head(path="/none") + head("DELETE") + head("HEAD", "/none"))
        self.assertEqual(Answer(file).status, 404)
        answer = Answer(file)
        self.assertEqual((answer.status, answer.fields["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(Answer(file, "HEAD").status, 404)
        sock.sendall(GET)
        self.assertEqual(Answer(file).status, 200)

    def test_targets(self):
        """a target may be a whole URL, and have a query"""
        for target in ("http://x/", "HTTP://x:80/?a=b", "/?"):
            self.assertEqual(self.ask(head(path=target))[0].body, b"hello\n")
        self.assertEqual(self.ask(head(path="http://x/count?2"))[0].body, b"1\n2\n")

    def test_lines(self):
        """LF alone ends a line, and an empty line may stand before a request"""
        _, file = self.open(sent=b"\r\n" + GET + b"\nGET / HTTP/1.1\nHost: x\n\n")
        self.assertEqual(Answer(file).status, 200)
        self.assertEqual(Answer(file).status, 200)

    def test_connection_field(self):
        """close is found among other words, and only there"""
        for value, is_last in (
            ("close", True),
            ("Keep-Alive, Close", True),
            ("upgrade,close", True),
            ("keep-alive", False),
            ("close-not", False),
        ):
            answer, file = self.ask(head(fields=["Connection: " + value]))
            self.assertEqual(answer.is_last, is_last, value)
            if is_last:
                self.check_end(file)

    def test_line_limit(self):
        """lines of the greatest length pass, one more byte is 414 or 431"""
        path = "/?" + "x" * (MAX_LINE - len("GET /? HTTP/1.1"))
        field = "X: " + "x" * (MAX_LINE - 3)
        self.assertEqual(self.ask(head(path=path, fields=[field]))[0].status, 200)
        self.check_refused(head(path=path + "x"), 414)
        self.check_refused(head(fields=[field + "x"]), 431)
        self.check_refused(b"x" * (MAX_LINE + 1), 414)

    def test_header_limit(self):
        """as many fields as are allowed pass, one more is 431; so it is behind chunks"""
        fields = [f"X-{i}: {i}" for i in range(MAX_HEADERS)]
        self.assertEqual(self.ask(head(fields=fields[1:]))[0].status, 200)
        self.check_refused(head(fields=fields), 431)
        chunked = head("POST", "/echo", ["Transfer-Encoding: chunked"]) + b"0\r\n"
        trailer = "\r\n".join([*fields, "", ""]).encode()
        self.assertEqual(self.ask(chunked + trailer)[0].status, 200)
        self.check_refused(chunked + b"X: x\r\n" + trailer, 431)

    def test_body_limit(self):
        """a body that is too large is 413, by its length and by its chunks"""
        for length in (str(MAX_BODY + 1), "9" * 30):
            self.check_refused(head("POST", "/echo", ["Content-Length: " + length]), 413)
        chunked = head("POST", "/echo", ["Transfer-Encoding: chunked"])
        self.check_refused(chunked + b"%x\r\n" % (MAX_BODY + 1), 413)
        self.check_refused(chunked + b"1\r\nx\r\n%x\r\n" % MAX_BODY, 413)
        self.check_refused(chunked + b"f" * 15 + b"\r\n", 413)
        self.check_refused(chunked + b"f" * 16 + b"\r\n", 400)

    def test_answer_survives(self):
        """a client that sends on and on still gets the answer"""
        for _ in range(10):
            sock, file = self.open(sent=head("POST", "/echo", [f"Content-Length: {1 << 30}"]))
            sock.sendall(bytes(1 << 18))
            self.assertEqual(Answer(file).status, 413)

    def test_bad(self):
        """what is no request is 400, and the end of the connection"""
        chunked = head("POST", "/echo", ["Transfer-Encoding: chunked"])
        for sent in (
            b"\r\n\r\n",
            b"GET /\r\n",
            b"GET / HTTP/1.1 \r\n",
            b"GET  / HTTP/1.1\r\n",
            b"GET /\tHTTP/1.1\r\n",
            b"GET / http/1.1\r\n",
            b"\x16\x03\x01\x00\xf8\n",
            b"GET / HTTP/1.1\r\n\r\n",  # no Host
            head(fields=["Host: y"]),
            head(fields=["Name : value"]),
            head(fields=[" folded"]),
            head(fields=["no colon"]),
            head(fields=[": no name"]),
            head(fields=["X: a\rb"]),
            head(fields=["X: a\0b"]),
            head("POST", "/echo", ["Content-Length: -1"]),
            head("POST", "/echo", ["Content-Length: +1"]),
            head("POST", "/echo", ["Content-Length: 0x1"]),
            head("POST", "/echo", ["Content-Length: "]),
            head("POST", "/echo", ["Content-Length: 1", "Content-Length: 2"]),
            head("POST", "/echo", ["Content-Length: 1", "Transfer-Encoding: chunked"]),
            head("POST", "/echo", ["Transfer-Encoding: chunked"], "1.0"),
            chunked + b"\r\n",
            chunked + b"-1\r\n",
            chunked + b"0x1\r\n",
            chunked + b"1 1\r\n",
            chunked + b"1\r\nxy\r\n",
            chunked + b"x" * (MAX_LINE + 1),
            chunked + b"0\r\nbad\r\n",
        ):
            self.check_refused(sent, 400)

    def test_not_implemented(self):
        """other codings are 501, other versions 505, other expectations 417"""
        for coding in ("gzip", "gzip, chunked", "chunked, chunked", "identity"):
            self.check_refused(head("POST", "/echo", ["Transfer-Encoding: " + coding]), 501)
        self.check_refused(head(version="2.0"), 505)
        self.check_refused(head(fields=["Expect: miracles"]), 417)

    def test_dropped(self):
        """clients that go in the middle of anything disturb nobody"""
        requests = (
            b"GET",
            GET[:-2],
            head("POST", "/echo", ["Content-Length: 100"]) + b"x",
            head("POST", "/echo", ["Transfer-Encoding: chunked"]) + b"5\r\nhel",
            head("POST", "/echo", ["Expect: 100-continue", "Content-Length: 1"]),
            head(path="/count?100000"),
            GET,
        )
        for sent in requests:
            for is_reset in (False, True):
                sock, file = self.open(sent=sent)
                if is_reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                file.close()
                sock.close()
        self.check_alive()

    def test_descriptors(self):
        """connections that have ended leave no descriptors"""
        before = self.server.descriptors()
        if before is None:
            self.skipTest("the system does not tell")
        for _ in range(20):
            self.check_refused(b"nonsense\r\n", 400)
            self.assertEqual(self.ask(head(fields=["Connection: close"]))[0].status, 200)
        self.close_all()
        deadline = time.monotonic() + peer.DEADLINE
        while self.server.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertLessEqual(self.server.descriptors(), before)


class Programs(Served):
    """Other clients:"""

    def client(self, *command):
        peer.need_program(command[0])
        done = subprocess.run(
            command,
            input=head(path="/count?5000", fields=["Connection: close"]),
            capture_output=True,
            timeout=peer.DEADLINE,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(done.stdout.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(done.stdout.endswith(b"\r\n0\r\n\r\n"))

    def test_netcat(self):
        """netcat ends its direction and gets the whole answer"""
        self.client("nc", "-N", "127.0.0.1", str(self.server.port))

    def test_socat(self):
        """socat ends its direction and gets the whole answer"""
        self.client("socat", "-t", "10", "-", f"TCP4:127.0.0.1:{self.server.port}")

    def load(self, path, connections):
        peer.need_program("wrk")
        url = f"http://127.0.0.1:{self.server.port}{path}"
        done = peer.run("wrk", "-t1", f"-c{connections}", "-d1s", "--timeout", "15s", url)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)
        count = re.search(r"(\d+) requests in ", done.stdout)
        self.assertGreater(int(count.group(1)), connections)

    def test_load(self):
        """wrk: a second of load over 1 and 64 connections, without an error"""
        for connections in (1, 64):
            self.load("/", connections)
        self.check_alive()

    def test_load_chunked(self):
        """wrk: a second of chunked answers, without an error"""
        self.load("/count?20", 16)
        self.check_alive()


class Slow(Http):
    """Slow clients:"""

    def setUp(self):
        super().setUp()
        self.server = start(self, 1)

    def tearDown(self):
        self.server.stop(status=0)

    def check_timeouts(self, *requests):
        for file in [self.open(sent=sent)[1] for sent in requests]:
            answer = Answer(file)
            self.assertEqual((answer.status, answer.is_last), (408, True))
            self.check_end(file)

    def test_head(self):
        """a head that does not get on is 408, and the end"""
        self.check_timeouts(b"G", b"GET / HTTP/1.1\r\n", GET[:-2])

    def test_body(self):
        """so is a body that does not get on"""
        counted_body = head("POST", "/echo", ["Content-Length: 5"]) + b"four"
        chunked = head("POST", "/echo", ["Transfer-Encoding: chunked"])
        chunks = (b"", b"5\r\nfour", b"1\r\nx\r\n", b"0\r\n")
        self.check_timeouts(counted_body, *(chunked + sent for sent in chunks))

    def test_drip(self):
        """bytes that drip in do not lengthen the time for a head"""
        sock, file = self.open(sent=b"GET / HTTP/1.1\r\n")
        sock.settimeout(0.05)
        deadline = time.monotonic() + peer.DEADLINE
        while time.monotonic() < deadline:
            try:
                sock.sendall(b"X: x\r\n")
                if sock.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        sock.settimeout(peer.DEADLINE)
        self.assertEqual(Answer(file).status, 408)

    def test_sip(self):
        """nor do bytes that are taken in sips lengthen the time for an answer"""
        sock = socket.socket()
        self.addCleanup(sock.close)
        # Small segments and a small window: the server has room for more after each sip or two.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        sock.settimeout(peer.DEADLINE)
        sock.connect(self.server.endpoint)
        sock.sendall(head(path="/count?100000000"))
        size, deadline = 0, time.monotonic() + peer.DEADLINE
        while sip := sock.recv(4096):
            size += len(sip)
            self.assertLess(time.monotonic(), deadline, f"it has {size} bytes and stays")
            time.sleep(0.01)  # that is how slow it is
        self.assertGreater(size, 4096)

    def test_idle(self):
        """a connection without a request is closed without a response, at first and later"""
        files = [self.open()[1], self.open(sent=GET)[1]]
        self.assertEqual(Answer(files[1]).status, 200)
        for file in files:
            self.check_end(file)

    def test_reading(self):
        """one that does not read its answer loses the connection, and the others do not"""
        before = self.server.descriptors()
        if before is None:
            self.skipTest("the system does not tell")
        stuck, _ = self.open(sent=head(path="/count?100000000"))
        self.opened.clear()
        stuck.recv(1)
        self.assertGreater(self.server.descriptors(), before)
        deadline = time.monotonic() + peer.DEADLINE
        while self.server.descriptors() > before and time.monotonic() < deadline:
            self.check_alive()
            self.close_all()
        self.assertLessEqual(self.server.descriptors(), before)


class Graceful(Http):
    """When it is to stop,"""

    def setUp(self):
        super().setUp()
        self.server = start(self)

    def tell(self, number=signal.SIGTERM):
        self.server.process.send_signal(number)
        self.assertEqual(self.server.line(), f"stopping: {number.name}")

    def end(self):
        self.server.end(None, 0)
        self.assertEqual(self.server.line(), "stopped")

    def test_idle(self):
        """it closes the connections that wait, and ends"""
        files = [self.open()[1], self.open(sent=GET)[1]]
        self.assertEqual(Answer(files[1]).status, 200)
        self.tell(signal.SIGINT)
        for file in files:
            self.check_end(file)
        self.end()  # before the clients have closed their ends

    def test_under_way(self):
        """it answers the requests that have begun, as their connections' last, and takes no more"""
        post = head("POST", "/echo", ["Content-Length: 4"])
        in_head, in_body = self.open(sent=GET[:10]), self.open(sent=post + b"bo")
        for sock, _ in (self.open(sent=GET),):  # by now the others are being read
            self.assertEqual(sock.recv(5, socket.MSG_WAITALL), b"HTTP/")
        self.tell()
        with self.assertRaises(OSError):
            deadline = time.monotonic() + peer.DEADLINE
            while time.monotonic() < deadline:
                self.open()
        in_head[0].sendall(GET[10:] + GET)
        in_body[0].sendall(b"dy")
        for (_, file), body in ((in_head, b"hello\n"), (in_body, b"body")):
            answer = Answer(file)
            self.assertEqual((answer.body, answer.is_last), (body, True))
            self.check_end(file)
        self.close_all()
        self.end()

    def test_twice(self):
        """a second signal does not wait for them"""
        self.open(sent=b"GET")
        self.tell()
        self.server.stop()


if __name__ == "__main__":
    peer.main()
