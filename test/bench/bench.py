# SPDX-License-Identifier: BSL-1.0
"""What the benchmarks share: the peers, their servers, the client, and how a table is printed."""

import collections
import ctypes
import json
import os
import pathlib
import platform
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
QUIET_SHARE = 0.1

Peer = collections.namedtuple('Peer', 'name title argv env missing')
Sample = collections.namedtuple('Sample', 'echoes lost seconds user system')


class BenchError(Exception):
    """A program of the benchmark did not do its part; the text says which and how."""


def end_cleanly_on_sigterm():
    """Turns SIGTERM into an exception, so that servers are ended on the way out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by SIGTERM'))


def build_directory(text):
    path = pathlib.Path(text).resolve()
    if not path.is_dir():
        raise BenchError(f'{text} is not a build directory')
    return path


# The machine and the build

def cpus():
    """The server's and the client's processor, and a remark where there is only one."""
    if not hasattr(os, 'sched_getaffinity'):
        return None, None, 'this system cannot pin processes: server and client run anywhere'
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        return allowed[0], allowed[0], 'one processor only: server and client share it'
    return allowed[-1], allowed[0], None


def processor_name():
    try:
        for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return ' '.join(line.split(':', 1)[1].split())
    except OSError:
        pass
    return platform.machine()


def build_options(build):
    """How Meson made this build, as far as it matters for speed; empty for a hand-made one."""
    try:
        rows = json.loads((build / 'meson-info' / 'intro-buildoptions.json').read_text())
    except OSError:
        return {}
    return {row['name']: row['value'] for row in rows}


def processor_ticks():
    """What all processors did so far: ticks of work, and of anything."""
    words = pathlib.Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:9]
    ticks = [int(word) for word in words]
    idle, waiting = ticks[3], ticks[4]
    return sum(ticks) - idle - waiting, sum(ticks)


def others_share(seconds=0.5):
    """How much of the machine others use now, while the benchmark itself sleeps."""
    try:
        work, whole = processor_ticks()
        time.sleep(seconds)
        work_after, whole_after = processor_ticks()
    except OSError:
        return 0.0
    return (work_after - work) / max(1, whole_after - whole)


def describe(build):
    """Lines that say what was measured on, and what makes the figures doubtful."""
    lines = [f'{processor_name()}, {os.cpu_count()} processors, '
             f'{platform.system()} {platform.release()}']
    options = build_options(build)
    if options:
        lines.append(f"build: optimization={options.get('optimization')} "
                     f"b_sanitize={options.get('b_sanitize')}")
    if options.get('optimization') in ('0', 'g') or options.get('b_sanitize', 'none') != 'none':
        lines.append('DOUBTFUL: this build is not optimized or has a sanitizer in it')
    others = others_share()
    if others > QUIET_SHARE:
        lines.append(f'DOUBTFUL: something else uses {others:.0%} of the machine')
    return lines


# Peers

def lua_program():
    return os.environ.get('LUA') or shutil.which('lua5.3')


def lua_lacks(module, env=None):
    """Why a server that needs `module` cannot run under stock Lua, or None if it can."""
    lua = lua_program()
    if not lua:
        return 'lua5.3 is not installed'
    found = subprocess.run([lua, '-e', f'require "{module}"'], capture_output=True, timeout=20,
                           env={**os.environ, **(env or {})})
    return None if found.returncode == 0 else f'lua5.3 has no module "{module}"'


def module_environment(build):
    """Lets a stock interpreter find the build's C module and the tree's Lua files."""
    lua_files = SOURCE / 'lua'
    return {
        'LUA_CPATH_5_3': f'{build}/src/bind/?.so;;',
        'LUA_PATH_5_3': f'{lua_files}/?.lua;{lua_files}/?/init.lua;;',
    }


def absent(path, what):
    return None if path.exists() else f'{what} is not built'


def thrum_program(build):
    return build / 'thrum'


def server_peers(build):
    """Every server there is, in the order of tables and pictures."""
    lua = lua_program() or 'lua5.3'
    thrum, module = thrum_program(build), build / 'src' / 'bind' / 'thrum.so'
    epoll, asio = build / 'test' / 'bench' / 'bench_epoll', build / 'test' / 'bench' / 'bench_asio'
    servers = HERE / 'server'
    no_lua = None if lua_program() else 'lua5.3 is not installed'
    return [
        Peer('thrum', 'thrum', [thrum, servers / 'thrum.lua'], {}, absent(thrum, 'thrum')),
        Peer('locals', 'thrum, locals', [thrum, servers / 'thrum_locals.lua'], {},
             absent(thrum, 'thrum')),
        Peer('module', 'thrum in lua5.3', [lua, servers / 'thrum_module.lua'],
             module_environment(build), no_lua or absent(module, 'the module thrum.so')),
        Peer('epoll', 'C epoll', [epoll], {}, absent(epoll, 'bench_epoll')),
        Peer('asio', 'Asio C++', [asio], {}, absent(asio, 'bench_asio')),
        Peer('luv', 'luv', [lua, servers / 'luv.lua'], {}, lua_lacks('luv')),
        Peer('luasocket', 'LuaSocket', [lua, servers / 'luasocket.lua'], {}, lua_lacks('socket')),
    ]


def dgram_peers(build):
    """The servers that are programs for dgram, and thrum's own calls."""
    lua, thrum = lua_program() or 'lua5.3', thrum_program(build)
    servers = HERE / 'server'
    node = shutil.which('node') or shutil.which('nodejs')
    return [
        Peer('thrum', 'thrum dgram', [thrum, servers / 'dgram_thrum.lua'], {},
             absent(thrum, 'thrum')),
        Peer('native', 'thrum, no events', [thrum, servers / 'thrum.lua'], {},
             absent(thrum, 'thrum')),
        Peer('luvit', 'luvit on luv', [lua, servers / 'dgram_luvit.lua'], {}, lua_lacks('luv')),
        Peer('node', 'Node', [node or 'node', servers / 'dgram_node.js'], {},
             None if node else 'node is not installed'),
    ]


def choose(peers, names):
    """The peers that can run, of those asked for; says why the others are left out."""
    wanted = names.split(',') if names else [peer.name for peer in peers]
    unknown = set(wanted) - {peer.name for peer in peers}
    if unknown:
        raise BenchError(f"no such peer: {', '.join(sorted(unknown))}; "
                         f"there are {', '.join(peer.name for peer in peers)}")
    chosen = [peer for peer in peers if peer.name in wanted]
    for peer in chosen:
        if peer.missing:
            print(f'skipped: {peer.title}: {peer.missing}')
    return [peer for peer in chosen if not peer.missing]


def choose_servers(build, names):
    return choose(server_peers(build), names)


# Processes

def prepare_child(cpu):
    """Run in the child: one processor, and no life after the benchmark's own."""
    def prepare():
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if sys.platform == 'linux':
            set_parent_death_signal = 1
            ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    return prepare


class Server:
    """One echo server: started by `with`, ended at its end."""

    def __init__(self, peer, cpu, wrapper=(), patience=10):
        self.peer = peer
        self.cpu = cpu
        self.argv = [str(word) for word in (*wrapper, *peer.argv)]
        self.patience = patience
        self.process = None
        self.port = None

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.argv, env={**os.environ, **self.peer.env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=prepare_child(self.cpu))
        try:
            self.port = self.read_port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def read_port(self):
        return int(self.read_line())

    def read_line(self):
        line, end = b'', time.monotonic() + self.patience
        while not line.endswith(b'\n'):
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            byte = os.read(self.process.stdout.fileno(), 1) if ready else b''
            if not byte:
                raise BenchError(f'{self.peer.title} printed no port: {self.complaint()}')
            line += byte
        return line

    def complaint(self):
        """The first line on its stderr that is not valgrind's."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors='replace').splitlines()
        return next((line for line in lines if line and not line.startswith('==')), 'no message')

    def cpu_seconds(self):
        """User and system time so far, of all its threads, in the kernel's ticks."""
        try:
            text = pathlib.Path(f'/proc/{self.process.pid}/stat').read_text()
        except OSError:
            return 0.0, 0.0
        words = text.rpartition(')')[2].split()
        tick = os.sysconf('SC_CLK_TCK')
        return int(words[11]) / tick, int(words[12]) / tick


def client_argv(build, server, window, echoes, seconds, timeout_ms=500, spin=False):
    argv = [build / 'test' / 'bench' / 'bench_client', server.port, window, echoes, seconds,
            timeout_ms, 'spin' if spin else 'block']
    return [str(word) for word in argv]


def client_findings(server, status, output, errors):
    """What a client has printed, by name."""
    if status != 0:
        raise BenchError(f'{server.peer.title}: {errors.strip()} ({server.complaint()})')
    found = dict(word.split('=') for word in output.split())
    if found['echoes'] == '0':
        raise BenchError(f"{server.peer.title}: nothing came back in {found['seconds']} s")
    return found


def run_client(build, server, cpu, window, echoes, seconds, timeout_ms=500, spin=False):
    """One measurement: echoes until there are enough or the time is over."""
    user, system = server.cpu_seconds()
    done = subprocess.run(client_argv(build, server, window, echoes, seconds, timeout_ms, spin),
                          capture_output=True, text=True, timeout=seconds + 30,
                          preexec_fn=prepare_child(cpu))
    found = client_findings(server, done.returncode, done.stdout, done.stderr)
    user_after, system_after = server.cpu_seconds()
    return Sample(int(found['echoes']), int(found['lost']), float(found['seconds']),
                  user_after - user, system_after - system)


# Numbers

median = statistics.median


def collected(path):
    """The total of a callgrind file."""
    for line in path.read_text().splitlines():
        if line.startswith('summary:'):
            return int(line.split()[1])
    raise BenchError(f'{path.name} has no summary: callgrind did not end as it should')


def print_table(head, rows):
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        print(f"  {first}  {'  '.join(rest)}".rstrip())


def goal_text(is_met):
    return 'met' if is_met else 'NOT MET'


def main(program):
    """Runs a benchmark; what a user can do something about comes without a traceback."""
    end_cleanly_on_sigterm()
    sys.stdout.reconfigure(line_buffering=True)
    try:
        sys.exit(program())
    except BenchError as err:
        sys.exit(f'{pathlib.Path(sys.argv[0]).name}: {err}')
    except subprocess.TimeoutExpired as err:
        sys.exit(f'{pathlib.Path(sys.argv[0]).name}: {err.cmd[0]} did not end in time')
    except KeyboardInterrupt:
        sys.exit(130)
