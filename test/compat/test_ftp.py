# SPDX-License-Identifier: BSL-1.0
"""LuaSocket's own socket.ftp: up and down, one after the other and at once."""

import socket
import threading

import proof

N = 10
BIG = bytes(range(256)) * 2000


class FileServer:
    """FTP (RFC 959, RFC 2428) in passive mode, as far as a client that gets and puts files needs it."""

    def __init__(self, n_together):
        self.gate = proof.Gate(n_together)
        self.lock = threading.Lock()
        self.files = {"/pub/big": BIG}

    def serve(self, connection):
        lines = proof.Lines(connection)
        if not self.gate.wait():
            lines.say("421 too few of you")
            return
        lines.say("220-files.test", " ready", "220 go on")
        session = {"directory": "/", "listener": None}
        while (line := lines.read()) is not None:
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                lines.say("221 bye")
                return
            self.obey(verb.upper(), rest, lines, session)

    def obey(self, verb, rest, lines, session):
        path = f"{session['directory']}/{rest}".replace("//", "/")
        if verb == "USER":
            lines.say("331 and your password?")
        elif verb == "PASS":
            lines.say("230 welcome")
        elif verb == "CWD":
            session["directory"] = path
            lines.say("250 there")
        elif verb == "TYPE":
            lines.say("200 ok")
        elif verb == "EPSV":
            session["listener"] = socket.create_server(("127.0.0.1", 0))
            port = session["listener"].getsockname()[1]
            lines.say(f"229 passive (|||{port}|)")
        elif verb in ("RETR", "STOR"):
            self.transfer(verb, path, lines, session)
        else:
            lines.say("502 what?")

    def transfer(self, verb, path, lines, session):
        with session["listener"] as listener:
            listener.settimeout(proof.DEADLINE)
            data, _ = listener.accept()
        with data:
            data.settimeout(proof.DEADLINE)
            if verb == "RETR" and path not in self.files:
                lines.say("550 no such file")
                return
            lines.say("150 here it comes")
            if verb == "RETR":
                data.sendall(self.files[path])
            else:
                with data.makefile("rb") as file:
                    content = file.read()
                with self.lock:
                    self.files[path] = content
        lines.say("226 done")


class Ftp(proof.Proof):
    """socket.ftp:"""

    modules = ("socket.ftp", "ltn12")

    def check(self, n):
        server = FileServer(n)
        service = self.service(server.serve)
        self.run_client("ftp.lua", service.port, n, expected=[f"{n} times up and down"])
        stored = {f"/up/{i}": b"%d: " % i + BIG for i in range(1, n + 1)}
        self.assertEqual(server.files, {"/pub/big": BIG, **stored})

    def test_session(self):
        """a file down and one up"""
        self.check(1)

    def test_together(self):
        """10 fibers at once, each with a file down and one up"""
        self.check(N)

    def test_missing(self):
        """a file that is not there is nil and the server's words"""
        service = self.service(FileServer(1).serve)
        self.run_client("ftp_missing.lua", service.port, expected=["nil", "550 no such file"])


class FtpInStock(proof.InStock, Ftp):
    """socket.ftp in a stock interpreter:"""


if __name__ == "__main__":
    proof.main()
