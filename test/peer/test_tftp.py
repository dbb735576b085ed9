# SPDX-License-Identifier: BSL-1.0
"""curl, and raw clients good and bad, fetch files from the TFTP server of doc/example."""

import contextlib
import hashlib
import os
import random
import re
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import peer

RRQ, WRQ, DATA, ACK, ERROR, OACK = 1, 2, 3, 4, 5, 6
UNDEFINED, NOT_FOUND, ACCESS_VIOLATION, ILLEGAL_OPERATION, UNKNOWN_TID = 0, 1, 2, 4, 5

FILES = {
    "big.bin": random.Random(1350).randbytes(5_000_011),
    "middle.bin": random.Random(2348).randbytes(200_000),
    "small.bin": random.Random(2349).randbytes(50_000),
    "wrap.bin": random.Random(65535).randbytes(8 * 65536 + 99),  # more than 65536 blocks of 8
    "blocks.bin": random.Random(512).randbytes(10 * 512),  # ends with an empty block
    "text.txt": b"one\ntwo\r\nthree\rfour\n" * 100,
    "empty": b"",
    "a name with spaces": b"spaces\n",
    "sub/inner.txt": b"inner\n",
}


def setUpModule():
    global directory
    temporary = tempfile.TemporaryDirectory()
    directory = temporary.name
    os.mkdir(os.path.join(directory, "files"))
    os.mkdir(os.path.join(directory, "files", "sub"))
    for name, content in FILES.items():
        with open(os.path.join(directory, "files", name), "wb") as file:
            file.write(content)
    with open(os.path.join(directory, "secret"), "wb") as file:
        file.write(b"outside")
    unittest.addModuleCleanup(temporary.cleanup)


def request(name, mode="octet", opcode=RRQ, **options):
    fields = [name, mode]
    for option, value in options.items():
        fields += [option, str(value)]
    return struct.pack(">H", opcode) + b"".join(f.encode() + b"\0" for f in fields)


def opcode_of(packet):
    return struct.unpack_from(">H", packet)[0]


def number_of(packet):
    return struct.unpack_from(">H", packet, 2)[0]


def ack(number):
    return struct.pack(">HH", ACK, number)


class Tftp(peer.Case):
    script = "tftp_server.lua"
    timeout, tries = 5, 5  # of the server: a loss would show as a slow test

    @classmethod
    def arguments(cls):
        host, port = super().arguments()
        return (os.path.join(directory, "files"), host, port, cls.timeout, cls.tries)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with peer.udp_socket(cls.family) as sock:
            sock.sendto(request("nobody"), cls.server.endpoint)
            sock.recv(70000)
        cls.server.line_with("refused")
        cls.n_idle = cls.server.descriptors()

    def log(self, client):
        """The line that the server prints at the end of the transfer to `client`, an endpoint."""
        host, port = client[:2]
        return self.server.line_with(f"[{host}]:{port} " if ":" in host else f"{host}:{port} ")

    def client(self):
        sock = peer.udp_socket(self.family)
        self.addCleanup(sock.close)
        return sock

    def ask(self, data, sock=None):
        """Sends `data` to the server's port; returns the first packet and the TID it came from."""
        sock = sock or self.client()
        sock.sendto(data, self.server.endpoint)
        return sock.recvfrom(70000)

    def check_error(self, data, code):
        packet, _ = self.ask(data)
        self.assertEqual((opcode_of(packet), number_of(packet)), (ERROR, code), packet)
        self.assertEqual(packet[-1:], b"\0")

    def download(self, data, sock=None, size=512):
        """A transfer as it should be; returns the options acknowledged and the content."""
        sock = sock or self.client()
        packet, tid = self.ask(data, sock)
        options, content, number = b"", b"", 1
        if opcode_of(packet) == OACK:
            options = packet[2:]
            sock.sendto(ack(0), tid)
            packet, tid = sock.recvfrom(70000)
        while True:
            self.assertEqual((opcode_of(packet), number_of(packet)), (DATA, number & 0xFFFF))
            content += packet[4:]
            sock.sendto(ack(number & 0xFFFF), tid)
            if len(packet) - 4 < size:
                return options, content
            number += 1
            packet, tid = sock.recvfrom(70000)

    def check_tidy(self):
        """Waits until the transfers are over: all their descriptors are closed."""
        if self.n_idle is not None:
            deadline = time.monotonic() + peer.DEADLINE
            while self.server.descriptors() != self.n_idle and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual(self.server.descriptors(), self.n_idle)

    def url(self, name, port=None):
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return f"tftp://{host}:{port or self.server.port}/{name}"

    def start_curl(self, name, *options, port=None):
        peer.need_program("curl")
        return subprocess.Popen(
            ["curl", "-q", "--noproxy", "*", "--silent", "--show-error"]
            + ["--max-time", "60", *options, self.url(name, port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish_curl(self, curl, content):
        try:
            output, errors = curl.communicate(timeout=65)
        except subprocess.TimeoutExpired:
            curl.kill()
            curl.communicate()
            raise
        self.assertEqual((curl.returncode, errors), (0, b""))
        self.assertEqual(len(output), len(content))
        self.assertEqual(hashlib.sha256(output).digest(), hashlib.sha256(content).digest())

    def check_curl(self, name, *options, port=None):
        self.finish_curl(self.start_curl(name, *options, port=port), FILES[name])


class CurlV4(Tftp):
    """curl over IPv4:"""

    def test_big(self):
        """a file of 5 MB arrives byte-identical"""
        self.check_curl("big.bin")

    def test_block_size(self):
        """so it does in blocks of 1428 bytes, and of 65464"""
        self.check_curl("big.bin", "--tftp-blksize", "1428")
        self.check_curl("big.bin", "--tftp-blksize", "65464")

    def test_no_options(self):
        """a client without options gets blocks of 512 bytes"""
        self.check_curl("middle.bin", "--tftp-no-options")

    def test_eight(self):
        """eight transfers of 5 MB at once are all byte-identical, and leave nothing open"""
        curls = [self.start_curl("big.bin", "--tftp-blksize", "1428") for _ in range(8)]
        try:
            for curl in curls:
                self.finish_curl(curl, FILES["big.bin"])
        finally:
            for curl in curls:
                if curl.poll() is None:
                    curl.kill()
                    curl.communicate()
        self.check_tidy()

    def test_wrap(self):
        """block numbers go on behind 65535 with 0"""
        self.check_curl("wrap.bin", "--tftp-blksize", "8")

    def test_small_files(self):
        """empty files, whole numbers of blocks, files in directories and names with spaces"""
        for name in ("empty", "blocks.bin", "sub/inner.txt"):
            self.check_curl(name)
        curl = self.start_curl("a%20name%20with%20spaces")
        self.finish_curl(curl, FILES["a name with spaces"])

    def test_missing(self):
        """a file that is not there is curl's error 68"""
        curl = self.start_curl("nobody")
        _, errors = curl.communicate(timeout=peer.DEADLINE)
        self.assertEqual(curl.returncode, 68, errors)

    def test_upload(self):
        """an upload is refused"""
        peer.need_program("curl")
        path = os.path.join(directory, "secret")
        done = peer.run("curl", "-q", "-sS", "--max-time", "20", "-T", path, self.url("new"))
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(directory, "files", "new")))


class CurlV6(Tftp):
    """curl over IPv6:"""

    family = socket.AF_INET6

    def test_big(self):
        """a file of 5 MB arrives byte-identical"""
        self.check_curl("big.bin", "--tftp-blksize", "1428")


class Raw(Tftp):
    """a raw client:"""

    def test_plain(self):
        """a request without options is answered with the first block, from a new TID"""
        packet, tid = self.ask(request("middle.bin"))
        self.assertEqual(packet, struct.pack(">HH", DATA, 1) + FILES["middle.bin"][:512])
        self.assertNotEqual(tid[1], self.server.port)

    def test_options(self):
        """the options are acknowledged, in any case; unknown ones and bad values are left out"""
        name, size = "middle.bin", len(FILES["middle.bin"])
        for options, answer in (
            ({"blksize": 1428}, b"blksize\x001428\0"),
            ({"BlkSize": 8}, b"blksize\x008\0"),
            ({"blksize": 65500}, b"blksize\x0065464\0"),
            ({"tsize": 0}, b"tsize\x00%d\0" % size),
            ({"timeout": 3}, b"timeout\x003\0"),
            ({"blksize": 7, "tsize": 0}, b"tsize\x00%d\0" % size),
            ({"windowsize": 4, "timeout": 1}, b"timeout\x001\0"),
        ):
            sock = self.client()
            packet, tid = self.ask(request(name, **options), sock)
            self.assertEqual(packet, struct.pack(">H", OACK) + answer, options)
            sock.sendto(struct.pack(">HH", ERROR, 8) + b"no\0", tid)
        for options in (
            {"blksize": 7},
            {"blksize": -1},
            {"blksize": "many"},
            {"blksize": "0x200"},
            {"blksize": "9" * 400},
            {"blksize": ""},
            {"timeout": 0},
            {"timeout": 256},
            {"multicast": ""},
        ):
            packet, _ = self.ask(request("empty", **options))
            self.assertIn(opcode_of(packet), (DATA, OACK), options)
            if "9" * 400 not in map(str, options.values()):
                self.assertEqual(packet, struct.pack(">HH", DATA, 1), options)

    def test_whole_transfers(self):
        """tsize tells the size of what then arrives"""
        for name, content in FILES.items():
            if len(content) < 300_000:
                options, arrived = self.download(request(name, tsize=0))
                self.assertEqual(options, b"tsize\x00%d\0" % len(content) if content else b"")
                self.assertEqual(arrived, content)

    def test_netascii(self):
        """netascii converts line ends, and tells no size"""
        expected = FILES["text.txt"].replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
        for size in (8, 512, 1000):
            data = request("text.txt", mode="NetASCII", tsize=0, blksize=size)
            options, arrived = self.download(data, size=size)
            self.assertEqual(options, b"blksize\x00%d\0" % size)
            self.assertEqual(arrived, expected)

    def test_two_in_a_row(self):
        """a client may use its port for one transfer after the other"""
        sock = self.client()
        for name in ("text.txt", "blocks.bin", "text.txt"):
            self.assertEqual(self.download(request(name), sock)[1], FILES[name])

    def test_refusals(self):
        """missing files, ways out of the directory, writes and bad packets have their errors"""
        for name in ("nobody", "sub", ".", "sub/", "sub/nobody", "x" * 500, "text.txt/x"):
            self.check_error(request(name), NOT_FOUND)
        for name in (
            "../secret",
            "sub/../../secret",
            "..",
            "/etc/hostname",
            os.path.join(directory, "files", "text.txt"),
            "sub/..",
            "",
        ):
            self.check_error(request(name), ACCESS_VIOLATION)
        self.check_error(request("new", opcode=WRQ), ACCESS_VIOLATION)
        for data in (
            b"",
            b"\0",
            b"\0\1",
            b"\0\1name",
            b"\0\1name\0",
            b"\0\1name\0octet",
            b"\0\1name\0octet\0blksize\0",
            b"\0\1name\0octet\0blksize\x00512",
            request("text.txt", mode="mail"),
            request("text.txt", mode=""),
            ack(1),
            struct.pack(">HH", DATA, 1) + b"data",
            struct.pack(">H", OACK),
            b"\0\7",
            b"\xff\xff",
            request("x" * 3000),
        ):
            self.check_error(data, ILLEGAL_OPERATION)

    def test_error_unanswered(self):
        """an error packet is not answered"""
        sock = self.client()
        sock.sendto(struct.pack(">HH", ERROR, 0) + b"?\0", self.server.endpoint)
        self.assertEqual(opcode_of(self.ask(request("empty"), sock)[0]), DATA)

    def pending(self, sock, tid):
        """What has arrived at `sock` once the transfer has dealt with all that was sent to it."""
        with peer.udp_socket(self.family) as stranger:
            stranger.sendto(b"", tid)
            stranger.recv(70000)  # packets are dealt with in order, so those before are done
        packets = []
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                packets.append(sock.recv(70000))
        sock.settimeout(peer.DEADLINE)
        return packets

    def test_duplicate_acks(self):
        """duplicate and stale acknowledgements call forth each block once"""
        sock = self.client()
        packet, tid = self.ask(request("blocks.bin"), sock)
        for number in range(1, 11):
            self.assertEqual((opcode_of(packet), number_of(packet)), (DATA, number))
            for acknowledged in (number, number, number - 1, number, max(0, number - 2)):
                sock.sendto(ack(acknowledged), tid)
            packets = self.pending(sock, tid)
            self.assertEqual(len(packets), 1)
            packet = packets[0]
        self.assertEqual(packet, struct.pack(">HH", DATA, 11))
        sock.sendto(ack(11), tid)
        self.assertIn("blocks.bin: sent, 5120 bytes", self.log(sock.getsockname()))

    def test_future_ack(self):
        """an acknowledgement of a block that was not sent is ignored"""
        sock = self.client()
        _, tid = self.ask(request("blocks.bin"), sock)
        for number in (2, 65535, 0, 3):
            sock.sendto(ack(number), tid)
        self.assertEqual(self.pending(sock, tid), [])
        sock.sendto(ack(1), tid)
        self.assertEqual([number_of(packet) for packet in self.pending(sock, tid)], [2])

    def test_stranger(self):
        """a stranger is told that the TID is not his, and disturbs nothing"""
        sock, stranger = self.client(), self.client()
        _, tid = self.ask(request("blocks.bin"), sock)
        for data in (ack(1), b"", struct.pack(">HH", ERROR, 0) + b"stop\0"):
            stranger.sendto(data, tid)
            answer, sender = stranger.recvfrom(70000)
            self.assertEqual((opcode_of(answer), number_of(answer)), (ERROR, UNKNOWN_TID))
            self.assertEqual(sender, tid)
        sock.sendto(ack(1), tid)
        packet, sender = sock.recvfrom(70000)
        self.assertEqual((sender, number_of(packet)), (tid, 2))

    def test_client_error(self):
        """an error from the client ends the transfer, and the log shows it in print"""
        sock = self.client()
        _, tid = self.ask(request("text.txt"), sock)
        sock.sendto(struct.pack(">HH", ERROR, 3) + b"disk\x1b[31m\nfull\0", tid)
        line = self.log(sock.getsockname())
        self.assertTrue(line.endswith("text.txt: ended by the client: disk?[31m?full?"), line)
        self.check_tidy()

    def test_bad_answer(self):
        """a packet that is no acknowledgement ends the transfer with an error"""
        for data in (b"", b"\0\4\0", request("empty"), b"\xff" * 600, struct.pack(">HH", DATA, 1)):
            sock = self.client()
            _, tid = self.ask(request("blocks.bin"), sock)
            sock.sendto(data, tid)
            answer = sock.recv(70000)
            self.assertEqual((opcode_of(answer), number_of(answer)), (ERROR, ILLEGAL_OPERATION))
        self.check_tidy()

    def test_repeated_request(self):
        """a request that is repeated starts no second transfer"""
        sock = self.client()
        packet, tid = self.ask(request("blocks.bin"), sock)
        for _ in range(3):
            sock.sendto(request("blocks.bin"), self.server.endpoint)
        self.check_error(request("nobody"), NOT_FOUND)  # the server has seen the three
        sock.sendto(ack(1), tid)
        packet, sender = sock.recvfrom(70000)
        self.assertEqual((sender, number_of(packet)), (tid, 2))


class Impatient(Tftp):
    """with short timeouts,"""

    timeout, tries = 0.1, 3

    def setUp(self):
        self.check_tidy()

    def test_vanished(self):
        """a client that vanishes gets the packet three times, and is then given up"""
        for data, opcode in ((request("blocks.bin"), DATA), (request("text.txt", tsize=0), OACK)):
            sock = self.client()
            started = time.monotonic()
            first, tid = self.ask(data, sock)
            self.assertEqual(opcode_of(first), opcode)
            for _ in range(2):
                self.assertEqual(sock.recvfrom(70000), (first, tid))
            self.assertIn("gave up", self.log(sock.getsockname()))
            self.assertGreaterEqual(time.monotonic() - started, 0.29)
            sock.setblocking(False)
            with self.assertRaises(BlockingIOError):
                sock.recv(70000)
        self.check_tidy()

    def test_closed_client(self):
        """so is one whose port is closed"""
        with peer.udp_socket(self.family) as sock:
            self.ask(request("blocks.bin"), sock)
            client = sock.getsockname()
        self.assertIn("gave up", self.log(client))
        self.check_tidy()

    def test_noisy_stranger(self):
        """a stranger who goes on sending does not keep the transfer alive"""
        sock, stranger = self.client(), self.client()
        _, tid = self.ask(request("blocks.bin"), sock)
        stop = threading.Event()

        def pester():
            while not stop.wait(0.005):
                with contextlib.suppress(OSError):
                    stranger.sendto(ack(1), tid)

        thread = threading.Thread(target=pester)
        thread.start()
        try:
            started = time.monotonic()
            self.assertIn("gave up", self.log(sock.getsockname()))
            self.assertLess(time.monotonic() - started, 5)
        finally:
            stop.set()
            thread.join()

    def test_late_ack(self):
        """an acknowledgement that comes after a resend still counts, once"""
        sock = self.client()
        first, tid = self.ask(request("blocks.bin"), sock)
        self.assertEqual(sock.recv(70000), first)
        sock.sendto(ack(1), tid)
        sock.sendto(ack(1), tid)
        self.assertEqual(number_of(sock.recv(70000)), 2)
        sock.sendto(ack(2), tid)
        self.assertEqual(number_of(sock.recv(70000)), 3)

    def test_too_many(self):
        """a hundred transfers at once are served, one more is refused, and later served"""
        socks = [self.client() for _ in range(101)]
        # A long timeout keeps the hundred alive until the last one has asked.
        answers = [self.ask(request("blocks.bin", timeout=30), sock) for sock in socks]
        self.assertEqual({opcode_of(packet) for packet, _ in answers[:-1]}, {OACK})
        packet = answers[-1][0]
        self.assertEqual((opcode_of(packet), number_of(packet)), (ERROR, UNDEFINED))
        for sock, (_, tid) in zip(socks[:-1], answers[:-1]):
            sock.sendto(struct.pack(">HH", ERROR, 0) + b"enough\0", tid)
        self.check_tidy()
        self.assertEqual(self.download(request("text.txt"), socks[-1])[1], FILES["text.txt"])

    def test_mutations(self):
        """2000 mutated packets leave the server serving"""
        chance = random.Random(1350)
        seeds = [
            request("middle.bin"),
            request("text.txt", mode="netascii", tsize=0, blksize=1428),
            request("blocks.bin", opcode=WRQ),
            ack(1),
            struct.pack(">HH", ERROR, 1) + b"text\0",
        ]
        sock = self.client()
        sock.setblocking(False)
        for i in range(2000):
            data = bytearray(chance.choice(seeds))
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(data) + 1)
                if chance.random() < 0.3:
                    data[at:] = chance.randbytes(chance.randint(0, 8))
                elif at < len(data):
                    data[at] = chance.choice((0, 1, 2, 0x2E, 0x2F, chance.randrange(256)))
            if opcode_of(data.ljust(2, b"\0")) == RRQ and b"timeout" in bytes(data).lower():
                continue
            sock.sendto(data, self.server.endpoint)
            if i % 20 == 19:
                self.check_error(request("nobody", opcode=WRQ), ACCESS_VIOLATION)
        self.check_tidy()
        self.assertEqual(self.download(request("text.txt"))[1], FILES["text.txt"])


class LossyProxy:
    """Stands between one client and the server, and drops every seventh datagram.

    curl asks for resends after whole seconds, in the option "timeout". The proxy takes it out of
    the request, so the short timeout of the server stays and the test is quick.
    """

    def __init__(self, endpoint):
        self.target = endpoint
        self.listener, self.front, self.back = (peer.udp_socket() for _ in range(3))
        self.port = self.listener.getsockname()[1]
        self.client = None
        self.n_seen = self.n_dropped = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        for sock in (self.listener, self.front, self.back):
            sock.close()

    def _run(self):
        first_target = self.target
        while not self.over.is_set():
            for sock in select.select([self.listener, self.front, self.back], [], [], 0.05)[0]:
                data, sender = sock.recvfrom(70000)
                self.n_seen += 1
                if self.n_seen % 7 == 0:
                    self.n_dropped += 1
                elif sock is self.listener:
                    self.client = sender
                    self.back.sendto(re.sub(rb"timeout\0\d+\0", b"", data), first_target)
                elif sock is self.front:
                    self.back.sendto(data, self.target)
                else:
                    self.target = sender
                    self.front.sendto(data, self.client)


class Lossy(Tftp):
    """with every seventh datagram lost,"""

    timeout, tries = 0.03, 5

    def test_curl(self):
        """curl still gets its file byte-identical"""
        peer.need_program("curl")
        for name, *options in (
            ("small.bin",),
            ("small.bin", "--tftp-no-options"),
            ("middle.bin", "--tftp-blksize", "1428"),
        ):
            with LossyProxy(self.server.endpoint) as proxy:
                self.check_curl(name, *options, port=proxy.port)
                self.assertGreater(proxy.n_dropped, 30)


if __name__ == "__main__":
    peer.main()
