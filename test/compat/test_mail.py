# SPDX-License-Identifier: BSL-1.0
"""LuaSocket's own socket.smtp: a session with a mail server, and several at once."""

import base64
import email
import threading

import proof

N = 10


class MailServer:
    """SMTP (RFC 5321) as far as a client that delivers needs it, with AUTH PLAIN and LOGIN."""

    def __init__(self, n_together):
        self.gate = proof.Gate(n_together)
        self.lock = threading.Lock()
        self.mails = []

    def serve(self, connection):
        lines = proof.Lines(connection)
        if not self.gate.wait():
            lines.say("421 too few of you")
            return
        lines.say("220 mail.test ready")
        session = {"user": None, "from": None, "to": []}
        while (line := lines.read()) is not None:
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                lines.say("221 bye")
                return
            self.obey(verb.upper(), rest, lines, session)

    def obey(self, verb, rest, lines, session):
        if verb == "EHLO":
            lines.say("250-mail.test", "250-AUTH LOGIN PLAIN", "250 8BITMIME")
        elif verb == "AUTH":
            self.log_in(rest, lines, session)
        elif verb == "MAIL":
            session.update({"from": rest[len("FROM:"):], "to": []})
            lines.say("250 ok")
        elif verb == "RCPT":
            session["to"].append(rest[len("TO:"):])
            lines.say("550 nobody here" if "nobody" in rest else "250 ok")
        elif verb == "DATA":
            lines.say("354 go on")
            text = []
            while (line := lines.read()) != ".":
                text.append(line[1:] if line.startswith(".") else line)
            with self.lock:
                self.mails.append({**session, "text": "\r\n".join(text)})
            lines.say("250 taken")
        else:
            lines.say("502 what?")

    @staticmethod
    def log_in(rest, lines, session):
        method, _, first = rest.partition(" ")
        if method == "PLAIN":
            words = base64.b64decode(first).decode().split("\0")[1:]
        else:
            lines.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(lines.read()).decode()
            lines.say("334 UGFzc3dvcmQ6")
            words = [user, base64.b64decode(lines.read()).decode()]
        is_right = words == ["user", "secret"]
        session["user"] = words[0] if is_right else None
        lines.say("235 welcome" if is_right else "535 no")


class Mail(proof.Proof):
    """socket.smtp:"""

    modules = ("socket.smtp", "mime")

    def test_session(self):
        """a message with an attachment, to two, by a user who logs in"""
        server = MailServer(1)
        service = self.service(server.serve)
        self.run_client("smtp.lua", service.port, 1, expected=["1 sent"])
        mail, = server.mails
        self.assertEqual(mail["from"], "<sender@mail.test>")
        self.assertEqual(mail["to"], ["<one@mail.test>", "<two@mail.test>"])
        self.assertEqual(mail["user"], "user")
        message = email.message_from_string(mail["text"])
        self.assertEqual(message["subject"], "message 1")
        text, data = message.get_payload()
        self.assertEqual(text.get_payload().split("\r\n")[:3],
                         ["a line", ".a line with a dot", "the end of 1"])
        self.assertEqual(data.get_payload(decode=True), bytes(range(256)) * 20)

    def test_together(self):
        """10 fibers, each in the middle of its session while the others begin"""
        server = MailServer(N)
        service = self.service(server.serve)
        self.run_client("smtp.lua", service.port, N, expected=[f"{N} sent"])
        subjects = sorted(email.message_from_string(mail["text"])["subject"]
                          for mail in server.mails)
        self.assertEqual(subjects, sorted(f"message {i}" for i in range(1, N + 1)))

    def test_refused(self):
        """a recipient who is refused is nil and the server's words"""
        service = self.service(MailServer(1).serve)
        self.run_client("smtp_refused.lua", service.port, expected=["nil", "550 nobody here"])


class MailInStock(proof.InStock, Mail):
    """socket.smtp in a stock interpreter:"""


if __name__ == "__main__":
    proof.main()
