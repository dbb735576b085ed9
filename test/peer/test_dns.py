# SPDX-License-Identifier: BSL-1.0
"""dig, and raw datagrams good and bad, query the DNS service of doc/example."""

import os
import random
import re
import socket
import struct
import tempfile
import unittest

import peer

A, NS, CNAME, SOA, HINFO, MX, TXT, AAAA, OPT, AXFR, ANY = 1, 2, 5, 6, 13, 15, 16, 28, 41, 252, 255
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5
QR, AA, TC, RD = 0x8000, 0x0400, 0x0200, 0x0100


def wire_name(text):
    labels = [label.encode() for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def opt_record(size=1232, version=0, flags=0, options=b""):
    return b"\0" + struct.pack(">HHBBHH", OPT, size, 0, version, flags, len(options)) + options


def query(name, rtype, number=0x1234, flags=RD, rclass=1, additional=()):
    """`name` may be text, or bytes that stand there as they are."""
    name = name if isinstance(name, bytes) else wire_name(name)
    header = struct.pack(">HHHHHH", number, flags, 1, 0, 0, len(additional))
    return header + name + struct.pack(">HH", rtype, rclass) + b"".join(additional)


class Reply:
    """A reply taken apart, by a reader that puts up with nothing."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.number, self.flags, *counts = self._take(">HHHHHH")
        self.rcode = self.flags & 15
        self.questions = [(self._name(), *self._take(">HH")) for _ in range(counts[0])]
        self.answer, self.authority, self.additional = (
            [self._record() for _ in range(count)] for count in counts[1:]
        )
        assert self.at == len(data), "bytes behind the last record"

    def _take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def _name(self):
        labels, behind = [], None
        while True:
            length = self.data[self.at]
            if length >= 192:
                target = struct.unpack_from(">H", self.data, self.at)[0] & 0x3FFF
                assert target < self.at, "a pointer that does not lead back"
                behind = behind or self.at + 2
                self.at = target
                continue
            assert length < 64
            label = self.data[self.at + 1 : self.at + 1 + length]
            assert len(label) == length
            self.at += 1 + length
            if length == 0:
                self.at = behind or self.at
                return ".".join(labels) + "."
            labels.append(label.decode("latin-1"))

    def _record(self):
        name = self._name()
        rtype, rclass, ttl, size = self._take(">HHIH")
        data = self.data[self.at : self.at + size]
        assert len(data) == size
        self.at += size
        return name, rtype, rclass, ttl, data

    def opt(self):
        """Its OPT record as (size, extended rcode, version, flags), or None."""
        for name, rtype, size, ttl, data in self.additional:
            if rtype == OPT:
                assert name == "." and data == b""
                return size, ttl >> 24, ttl >> 16 & 255, ttl & 0xFFFF
        return None


class Dns(peer.Case):
    script = "dns_server.lua"

    def setUp(self):
        self.sock = peer.udp_socket(self.family)
        self.addCleanup(self.sock.close)

    def send(self, data):
        self.sock.sendto(data, self.server.endpoint)

    def ask(self, data):
        self.send(data)
        return Reply(self.sock.recv(65536))

    def check_alive(self, number=0xBEEF):
        """The next reply is that to a good query: those before were answered, or never will be."""
        reply = self.ask(query("www.thrum.test", A, number))
        self.assertEqual((reply.number, reply.rcode, len(reply.answer)), (number, NOERROR, 2))

    def check_dropped(self, data):
        self.send(data)
        self.check_alive()

    def dig(self, *arguments):
        """Runs dig; returns status, flags, and the lines of its sections."""
        peer.need_program("dig")
        done = peer.run(
            *("dig", f"@{self.server.host}", "-p", str(self.server.port)),
            *("+norecurse", "+tries=1", "+time=5", "+ignore", "+nocmd", "+nostats", *arguments),
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("WARNING", done.stdout)
        self.assertNotIn("malformed", done.stdout)
        status = re.search(r"status: (\w+)", done.stdout)[1]
        flags = re.search(r";; flags: ([^;]*);", done.stdout)[1].split()
        sections, lines = {}, None
        for line in done.stdout.splitlines():
            if line.startswith(";; ") and line.endswith(" SECTION:"):
                lines = sections.setdefault(line.split()[1], [])
            elif lines is not None and line:
                lines.append(" ".join(line.split()))
        return status, flags, sections


class DigV4(Dns):
    """dig over IPv4:"""

    def test_a(self):
        """A gives both addresses, and the answer is authoritative"""
        status, flags, sections = self.dig("www.thrum.test", "A")
        self.assertEqual(status, "NOERROR")
        self.assertEqual(flags, ["qr", "aa"])
        self.assertEqual(
            sorted(sections["ANSWER"]),
            ["www.thrum.test. 300 IN A 192.0.2.10", "www.thrum.test. 300 IN A 192.0.2.11"],
        )

    def test_aaaa(self):
        """AAAA gives the IPv6 address"""
        _, _, sections = self.dig("www.thrum.test", "AAAA")
        self.assertEqual(sections["ANSWER"], ["www.thrum.test. 300 IN AAAA 2001:db8::10"])

    def test_txt(self):
        """TXT gives the text"""
        _, _, sections = self.dig("thrum.test", "TXT")
        self.assertEqual(sections["ANSWER"], ['thrum.test. 300 IN TXT "answers from a fiber"'])

    def test_mx_ns(self):
        """MX and NS give the names of the hosts"""
        _, _, sections = self.dig("thrum.test", "MX")
        self.assertEqual(sections["ANSWER"], ["thrum.test. 300 IN MX 10 mail.thrum.test."])
        _, _, sections = self.dig("thrum.test", "NS")
        self.assertEqual(sections["ANSWER"], ["thrum.test. 300 IN NS ns.thrum.test."])

    def test_soa(self):
        """SOA gives the record of the zone"""
        _, _, sections = self.dig("thrum.test", "SOA")
        self.assertEqual(
            sections["ANSWER"],
            [
                "thrum.test. 300 IN SOA ns.thrum.test. hostmaster.thrum.test."
                " 1 7200 900 1209600 60"
            ],
        )

    def test_cname(self):
        """an alias gives the CNAME and then what it leads to"""
        status, _, sections = self.dig("alias.thrum.test", "AAAA")
        self.assertEqual(status, "NOERROR")
        self.assertEqual(
            sections["ANSWER"],
            [
                "alias.thrum.test. 300 IN CNAME www.thrum.test.",
                "www.thrum.test. 300 IN AAAA 2001:db8::10",
            ],
        )

    def test_cname_outside(self):
        """an alias that leads out of the zone gives the CNAME alone"""
        status, _, sections = self.dig("elsewhere.thrum.test", "A")
        self.assertEqual(status, "NOERROR")
        self.assertEqual(
            sections["ANSWER"], ["elsewhere.thrum.test. 300 IN CNAME www.example.org."]
        )

    def test_cname_dangling(self):
        """an alias of a name that is not there gives the CNAME, NXDOMAIN and the SOA"""
        status, _, sections = self.dig("dangling.thrum.test", "A")
        self.assertEqual(status, "NXDOMAIN")
        self.assertEqual(
            sections["ANSWER"], ["dangling.thrum.test. 300 IN CNAME nowhere.thrum.test."]
        )
        self.assertIn(" SOA ", sections["AUTHORITY"][0])

    def test_cname_circle(self):
        """an alias of itself is followed once"""
        status, _, sections = self.dig("circle.thrum.test", "A")
        self.assertEqual(status, "NOERROR")
        self.assertEqual(
            sections["ANSWER"], ["circle.thrum.test. 300 IN CNAME circle.thrum.test."]
        )

    def test_nxdomain(self):
        """a name that is not there gives NXDOMAIN with the SOA for the time to remember it"""
        status, flags, sections = self.dig("nobody.thrum.test", "A")
        self.assertEqual((status, flags), ("NXDOMAIN", ["qr", "aa"]))
        self.assertNotIn("ANSWER", sections)
        self.assertRegex(sections["AUTHORITY"][0], r"^thrum\.test\. 60 IN SOA ns\.thrum\.test\. ")

    def test_nodata(self):
        """a type that a name does not have gives NOERROR, no answer, and the SOA"""
        status, _, sections = self.dig("mail.thrum.test", "AAAA")
        self.assertEqual(status, "NOERROR")
        self.assertNotIn("ANSWER", sections)
        self.assertRegex(sections["AUTHORITY"][0], r"^thrum\.test\. 60 IN SOA ")

    def test_empty_non_terminal(self):
        """a name that only has names below it exists, without data"""
        status, _, sections = self.dig("rack.thrum.test", "A")
        self.assertEqual(status, "NOERROR")
        self.assertIn("AUTHORITY", sections)

    def test_case(self):
        """names match in any case, and the question comes back in its own"""
        status, _, sections = self.dig("wWw.ThRuM.tEsT", "A")
        self.assertEqual(status, "NOERROR")
        self.assertEqual(sections["QUESTION"], [";wWw.ThRuM.tEsT. IN A"])
        self.assertEqual(len(sections["ANSWER"]), 2)
        self.assertTrue(sections["ANSWER"][0].startswith("wWw.ThRuM.tEsT. "))

    def test_truncation(self):
        """an answer beyond 512 bytes has the tc bit without EDNS and is whole with it"""
        status, flags, sections = self.dig("+noedns", "long.thrum.test", "TXT")
        self.assertEqual(status, "NOERROR")
        self.assertIn("tc", flags)
        self.assertNotIn("ANSWER", sections)
        status, flags, sections = self.dig("+bufsize=1232", "long.thrum.test", "TXT")
        self.assertNotIn("tc", flags)
        text = "".join(re.findall(r'"([^"]*)"', sections["ANSWER"][0]))
        self.assertEqual(text, "beyond 512 bytes, " * 40)

    def test_bufsize(self):
        """the size that the client gives is honored, up to 1232 bytes"""
        self.assertIn("tc", self.dig("+bufsize=600", "long.thrum.test", "TXT")[1])
        self.assertNotIn("tc", self.dig("+bufsize=800", "long.thrum.test", "TXT")[1])
        self.assertIn("tc", self.dig("+bufsize=4096", "huge.thrum.test", "TXT")[1])

    def test_refused(self):
        """a name outside the zone is refused, and so is another class"""
        for arguments in (["www.example.org", "A"], ["test", "SOA"], ["version.bind", "TXT", "CH"]):
            status, flags, sections = self.dig(*arguments)
            self.assertEqual((status, flags), ("REFUSED", ["qr"]))
            self.assertNotIn("ANSWER", sections)

    def test_any(self):
        """ANY is answered with the HINFO record of RFC 8482"""
        _, _, sections = self.dig("thrum.test", "ANY", "+notcp")
        self.assertEqual(sections["ANSWER"], ['thrum.test. 300 IN HINFO "RFC8482" ""'])

    def test_notimp(self):
        """another opcode is not implemented"""
        self.assertEqual(self.dig("+noedns", "+opcode=NOTIFY", "thrum.test", "SOA")[0], "NOTIMP")

    def test_badvers(self):
        """a later version of EDNS is answered with BADVERS"""
        self.assertEqual(self.dig("+edns=1", "+noednsneg", "thrum.test", "SOA")[0], "BADVERS")


class DigV6(Dns):
    """dig over IPv6:"""

    family = socket.AF_INET6

    def test_aaaa(self):
        """AAAA gives the IPv6 address"""
        _, _, sections = self.dig("www.thrum.test", "AAAA")
        self.assertEqual(sections["ANSWER"], ["www.thrum.test. 300 IN AAAA 2001:db8::10"])


class Raw(Dns):
    """a raw client:"""

    def test_header(self):
        """the reply has the number, the opcode and the rd bit of its query"""
        for number, flags in ((0, 0), (0xFFFF, RD), (0x8001, RD | 0x0070)):
            reply = self.ask(query("www.thrum.test", A, number, flags))
            self.assertEqual((reply.number, reply.flags), (number, QR | AA | flags & RD))
            self.assertEqual(reply.questions, [("www.thrum.test.", A, 1)])

    def test_edns(self):
        """a query with an OPT record gets one, with its DO bit; another query gets none"""
        self.assertIsNone(self.ask(query("www.thrum.test", A)).opt())
        reply = self.ask(query("www.thrum.test", A, additional=[opt_record()]))
        self.assertEqual(reply.opt(), (1232, 0, 0, 0))
        cookie = struct.pack(">HH8s", 10, 8, b"cookies!")
        reply = self.ask(
            query("www.thrum.test", A, additional=[opt_record(flags=0xFFFF, options=cookie)])
        )
        self.assertEqual(reply.opt(), (1232, 0, 0, 0x8000))
        reply = self.ask(query("www.thrum.test", A, additional=[opt_record(version=7)]))
        self.assertEqual((reply.opt(), reply.rcode, reply.answer), ((1232, 1, 0, 0), 0, []))

    def test_small_edns(self):
        """a size below 512 bytes counts as 512"""
        self.send(query("www.thrum.test", A, additional=[opt_record(0)]))
        reply = Reply(self.sock.recv(65536))
        self.assertEqual((reply.flags & TC, len(reply.answer)), (0, 2))

    def test_sizes(self):
        """no reply is longer than what the client can take"""
        for size in (None, 0, 511, 512, 513, 757, 758, 1231, 1232, 1233, 65535):
            limit = max(512, min(size or 0, 1232))
            for name in ("long.thrum.test", "huge.thrum.test"):
                extra = [] if size is None else [opt_record(size)]
                reply = self.ask(query(name, TXT, additional=extra))
                self.assertLessEqual(len(reply.data), limit)
                self.assertEqual(not reply.answer, bool(reply.flags & TC))

    def test_long_name(self):
        """names of 255 bytes and labels of 63 bytes are answered, longer ones are malformed"""
        longest = ".".join(["x" * 63] * 3 + ["y" * 61]) + "."
        self.assertEqual(self.ask(query(longest, A)).rcode, REFUSED)
        self.assertEqual(self.ask(query(longest[:-2] + "yy.", A)).rcode, FORMERR)
        inside = "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + ".d.thrum.test"
        self.assertEqual(self.ask(query(inside, A)).rcode, NXDOMAIN)

    def test_label_boundaries(self):
        """the zone is found at label boundaries only"""
        self.assertEqual(self.ask(query(b"\x0cx\x05thrum\x04test\0", A)).rcode, REFUSED)
        self.assertEqual(self.ask(query(b"\x09www.thrum\x04test\0", A)).rcode, REFUSED)
        self.assertEqual(self.ask(query(b"\0", A)).rcode, REFUSED)

    def test_pointers(self):
        """compression pointers in the question that lead forward, in circles or into the header"""
        for name in (
            b"\xc0\x0c",  # to itself
            b"\x01a\xc0\x0c",  # to its own beginning
            b"\x01a\xc0\x0e",
            b"\xc0\x0e\xc0\x0c",  # two that lead to each other
            b"\xc0\x00",  # into the header
            b"\xff\xff",  # beyond the end
            b"\x40abc\0",  # a kind of label that is not defined
            b"\x80abc\0",
        ):
            reply = self.ask(query(name, A))
            self.assertEqual((reply.rcode, reply.number), (FORMERR, 0x1234), name)
        self.check_alive()

    def test_good_pointer(self):
        """a record behind the question may have a compressed name"""
        record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 0, 4) + b"abcd"
        reply = self.ask(query("www.thrum.test", A, additional=[record, opt_record()]))
        self.assertEqual((reply.rcode, len(reply.answer)), (NOERROR, 2))
        self.assertIsNotNone(reply.opt())

    def test_dropped(self):
        """datagrams shorter than a header, and responses, are not answered"""
        whole = query("www.thrum.test", A)
        for size in range(12):
            self.check_dropped(whole[:size])
        self.check_dropped(query("www.thrum.test", A, flags=QR))
        self.check_dropped(query("www.thrum.test", A, flags=0xFFFF))
        self.check_dropped(struct.pack(">HHHHHH", 1, QR, 0, 0, 0, 0))

    def test_too_long(self):
        """a datagram too long for the buffer is not answered, and the next one is"""
        for size in (4097, 9000, 65000):
            self.check_dropped(query("www.thrum.test", A).ljust(size, b"\0"))

    def test_cut(self):
        """a query cut anywhere behind its header is malformed"""
        whole = query("www.thrum.test", A, additional=[opt_record()])
        for size in range(12, len(whole)):
            reply = self.ask(whole[:size])
            self.assertEqual((reply.rcode, reply.number), (FORMERR, 0x1234), size)
            self.assertEqual(reply.questions, [])
        self.assertEqual(self.ask(whole).rcode, NOERROR)

    def test_counts(self):
        """counts that do not fit what follows are malformed"""
        tail = query("www.thrum.test", A)[12:]
        for counts in (
            (0, 0, 0, 0),
            (2, 0, 0, 0),
            (65535, 0, 0, 0),
            (1, 1, 0, 0),
            (1, 0, 65535, 0),
            (1, 0, 0, 1),
            (1, 65535, 65535, 65535),
        ):
            reply = self.ask(struct.pack(">HHHHHH", 9, 0, *counts) + tail)
            self.assertEqual((reply.number, reply.rcode), (9, FORMERR), counts)

    def test_opt_misplaced(self):
        """two OPT records, one with a name, or one among the answers are malformed"""
        name = "www.thrum.test"
        for extra in ([opt_record()] * 2, [wire_name("a") + opt_record()[1:]]):
            self.assertEqual(self.ask(query(name, A, additional=extra)).rcode, FORMERR)
        answer = struct.pack(">HHHHHH", 1, 0, 1, 1, 0, 0) + query(name, A)[12:] + opt_record()
        self.assertEqual(self.ask(answer).rcode, FORMERR)

    def test_opcodes(self):
        """each opcode but QUERY is not implemented, whatever follows the header"""
        for opcode in range(1, 16):
            for tail in (b"", b"\xc0\x0c", b"\xff" * 100):
                reply = self.ask(struct.pack(">HHHHHH", 7, opcode << 11, 1, 2, 3, 4) + tail)
                self.assertEqual((reply.number, reply.flags), (7, QR | opcode << 11 | NOTIMP))

    def test_types(self):
        """types nobody has, and those that are no data, have no data"""
        for rtype in (0, OPT, AXFR, 99, 65535):
            reply = self.ask(query("www.thrum.test", rtype))
            self.assertEqual((reply.rcode, reply.answer), (NOERROR, []))
            self.assertEqual(reply.authority[0][1], SOA)

    def test_mutations(self):
        """5000 mutated queries: each gets the one reply it deserves, and memory is bounded"""
        chance = random.Random(1035)
        seeds = [
            query("www.thrum.test", A),
            query("alias.thrum.test", AAAA, additional=[opt_record()]),
            query("long.thrum.test", TXT, additional=[opt_record(4096, options=b"\0\x0a\0\x02ab")]),
            query("nobody.thrum.test", MX),
            query("a.b.c.d.e.f.thrum.test", ANY, additional=[opt_record(version=1)]),
        ]
        before = None
        for i in range(5000):
            data = mutate(chance, chance.choice(seeds))
            self.send(data)
            if len(data) >= 12 and not data[2] & 0x80:
                reply = Reply(self.sock.recv(65536))
                self.assertEqual(reply.number, int.from_bytes(data[:2], "big"))
                self.assertTrue(reply.flags & QR)
                self.assertLessEqual(len(reply.data), 1232)
            if i % 50 == 49:
                self.check_alive(i)
            if i == 1000:
                before = self.server.resident_kib()
        after = self.server.resident_kib()
        if before is not None and after is not None:
            self.assertLess(after - before, 32 * 1024)


def mutate(chance, data):
    """Between one and four changes: bytes replaced, cut out, put in, the end cut off, or noise."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at : at + chance.randint(1, 8)]
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randint(1, 16))
        elif kind == 3:
            data[at:at] = b"\xc0" + bytes([chance.randrange(64)])
        elif at < len(data):
            data[at] = chance.choice((0, 1, 0x3F, 0x40, 0x7F, 0xC0, 0xFF, chance.randrange(256)))
    return bytes(data)


class ZoneFile(Dns):
    """a zone file:"""

    @classmethod
    def arguments(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        path = os.path.join(cls.directory.name, "zone.lua")
        with open(path, "w", encoding="ascii") as zone:
            zone.write(
                """return {
                    origin = "Example.TEST.", ttl = 30,
                    soa = { primary = "ns", mailbox = "root", serial = 9, refresh = 1, retry = 2,
                            expire = 3, minimum = 4 },
                    names = { ["WWW"] = { A = { "192.0.2.99" }, TXT = { "", ("x"):rep(255) } } },
                }"""
            )
        return (*super().arguments(), path)

    def test_zone(self):
        """its names are served, and no others"""
        reply = self.ask(query("www.example.test", A))
        self.assertEqual(reply.answer, [("www.example.test.", A, 1, 30, bytes([192, 0, 2, 99]))])
        self.assertEqual(self.ask(query("www.thrum.test", A)).rcode, REFUSED)

    def test_text(self):
        """texts of 0 and of 255 bytes are one string each"""
        reply = self.ask(query("www.example.test", TXT))
        self.assertEqual([r[4] for r in reply.answer], [b"\0", b"\xff" + b"x" * 255])

    def test_negative_ttl(self):
        """a negative answer is remembered for the smaller of ttl and minimum"""
        reply = self.ask(query("nobody.example.test", A))
        self.assertEqual((reply.rcode, reply.authority[0][3]), (NXDOMAIN, 4))


class BadZone(unittest.TestCase):
    """a bad zone file:"""

    def test_missing(self):
        """a zone file that is not there is an error on stderr and status 1"""
        done = peer.run(
            peer.thrum(), peer.example("dns_server.lua"), "127.0.0.1", "0", "/nowhere/zone.lua"
        )
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/nowhere/zone.lua", done.stderr)


if __name__ == "__main__":
    peer.main()
