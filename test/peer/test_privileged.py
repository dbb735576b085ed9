# SPDX-License-Identifier: BSL-1.0
"""The service of doc/example at a port that only root may bind, in a network of its own: who binds
it is root, who serves it is nobody."""

import ctypes
import os
import pwd
import shutil
import signal
import tempfile
import time
import unittest

import peer

CLONE_NEWNET = 0x40000000
PORT = 53
USER, GROUP = "nobody", "nogroup"
NOBODY = ["setpriv", f"--reuid={USER}", f"--regid={GROUP}", "--init-groups", "--"]


def enter_network():
    """From here on this process and those it starts have a loopback that nobody else has."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise unittest.SkipTest("this system has no network namespaces")
    if libc.unshare(CLONE_NEWNET) != 0:
        raise unittest.SkipTest(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    done = peer.run("ip", "link", "set", "lo", "up")
    if done.returncode != 0:
        raise unittest.SkipTest(f"no loopback in it: {done.stderr.strip()}")


def ids(pid):
    """User and group numbers of a process, real, effective, saved and of files; its groups; its
    capabilities."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    return (
        {int(word) for word in fields["Uid"].split()},
        {int(word) for word in fields["Gid"].split()},
        {int(word) for word in fields["Groups"].split()},
        {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
    )


class Privileged(unittest.TestCase):
    """privileged_port.lua:"""

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("only root can become nobody")
        for program in ("setpriv", "ip"):
            peer.need_program(program)
        enter_network()
        done = peer.run(*NOBODY, "true")
        if done.returncode != 0:
            raise unittest.SkipTest(f"this process cannot become nobody: {done.stderr.strip()}")
        cls.nobody = pwd.getpwnam(USER)
        # Where the build folder is nobody may be allowed to look.
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        for path in (peer.thrum(), peer.example("privileged_port.lua")):
            shutil.copy(path, folder)
        os.environ["THRUM"] = os.path.join(folder, os.path.basename(peer.thrum()))
        os.environ["THRUM_EXAMPLES"] = folder

    def start(self):
        server = peer.Server("privileged_port.lua", "127.0.0.1", PORT, USER, GROUP)
        self.addCleanup(server.process.kill)  # nothing to kill if all went well
        return server

    def child(self, server):
        """The number of the process that serves, as it says."""
        words = server.line().replace(",", "").split()
        uid, gid = self.nobody.pw_uid, self.nobody.pw_gid
        expected = ["process", words[1], "of", "user", str(uid), "group", str(gid)]
        self.assertEqual(words, expected)
        return int(words[1])

    def wait_for_end(self, pidfd):
        end = time.monotonic() + peer.DEADLINE
        while time.monotonic() < end:
            try:
                signal.pidfd_send_signal(pidfd, 0)
            except ProcessLookupError:
                return
            time.sleep(0.002)
        self.fail("the child has not ended")

    def ask(self, server):
        with peer.udp_socket() as sock:
            sock.sendto(b"question", server.endpoint)
            answer, sender = sock.recvfrom(100)
        self.assertEqual((answer, sender), (b"question", ("127.0.0.1", PORT)))

    def test_serves(self):
        """who answers at port 53 is nobody, in every respect, and has no capability"""
        server = self.start()
        self.assertEqual(server.endpoint, ("127.0.0.1", PORT))
        self.ask(server)
        pid = self.child(server)
        uid, gid = self.nobody.pw_uid, self.nobody.pw_gid
        self.assertEqual(ids(pid), ({uid}, {gid}, {gid}, {0}))
        self.assertIn(0, ids(server.process.pid)[0])
        server.stop(status=128 + signal.SIGTERM)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_socket(self):
        """the parent has no socket any more: the child alone has it"""
        server = self.start()
        self.ask(server)
        for pid, count in ((server.process.pid, 0), (self.child(server), 1)):
            with open("/proc/net/udp", encoding="ascii") as table:
                inodes = {row.split()[9] for row in list(table)[1:]}
            held = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
            self.assertEqual(sum(f"socket:[{inode}]" in held for inode in inodes), count)
        server.stop(status=128 + signal.SIGTERM)

    def test_killed(self):
        """without its parent the child ends"""
        server = self.start()
        child = os.pidfd_open(self.child(server))
        self.addCleanup(os.close, child)
        server.stop(signal.SIGKILL)
        self.wait_for_end(child)

    def test_refused(self):
        """nobody cannot bind it: the error says where"""
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as start:
            if int(start.read()) <= PORT:
                self.skipTest("here everybody may")
        done = peer.run(*NOBODY, peer.thrum(), peer.example("privileged_port.lua"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("Permission denied: ip.udp.socket.bind 127.0.0.1:53", done.stderr)


if __name__ == "__main__":
    peer.main()
