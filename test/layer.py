#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The layer test: nothing in src/ or include/ knows what stands above it.

    base <- net <- asio <- value <- fiber <- socket <- stream, system <- luasocket, dgram
    <- module <- thrum                                an arrow points at what is used

    layer.py ROOT                checks the #include lines of a source tree
    layer.py --symbols BUILD     checks the symbols of a build folder's archives: no room needs one
                                 of a room above it, and inside a room no circle of files that need
                                 one another has more than four
    layer.py --self-test         shows that it finds what is wrong and leaves alone what is not

Exit status 1 if an arrow points back.
"""
import collections
import glob
import os
import re
import subprocess
import sys
import tempfile

# What each room uses directly; and with it what those use.
USES = {
    "base": [],
    "net": ["base"],
    "asio": ["net"],
    "value": ["asio"],
    "fiber": ["value"],
    "socket": ["fiber"],
    "stream": ["socket"],
    "system": ["socket"],
    "luasocket": ["stream", "system"],
    "dgram": ["stream", "system"],
    "module": ["luasocket", "dgram"],
    "thrum": ["module"],
}
BIND = ["value", "fiber", "socket", "stream", "system", "luasocket", "dgram", "module"]
MAX_CIRCLE = 4

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.MULTILINE)
SOURCES = (".c", ".h", ".cpp", ".hpp", ".cc", ".in")
LUA_HEADERS = {"lua.h", "lauxlib.h", "lualib.h", "luaconf.h", "lua.hpp"}

# The public headers, by the room that implements them.
PUBLIC = {
    "visibility.h": "base",
    "error.h": "base",
    "address.h": "net",
    "message.h": "net",
    "context.h": "asio",
    "operation.h": "asio",
    "process.h": "asio",
    "socket.h": "asio",
    "descriptor.h": "asio",
    "resolver.h": "asio",
    "signal.h": "asio",
    "timer.h": "asio",
    "lua.h": "module",
}


def reachable(room):
    """The rooms that a room may use, itself among them."""
    found = {room}
    for used in USES[room]:
        found |= reachable(used)
    return found


REACHABLE = {room: reachable(room) for room in USES}


def room_of_path(words):
    """The room of a path below src/, given as its folders; None if it is in no room."""
    if len(words) > 2 and words[0] == "bind" and words[1] in BIND:
        return words[1]
    if len(words) > 1 and words[0] in USES and words[0] not in BIND:
        return words[0]
    return None


def room_of_include(name):
    """The room an included name belongs to; None for the system's and for generated headers."""
    words = name.split("/")
    if words[0] == "thrum" and len(words) == 2 and words[1] in PUBLIC:
        return PUBLIC[words[1]]
    return room_of_path(words)


# ---- includes ----


def problems_of(path, room, text):
    """What is wrong with the includes of one file of `room`."""
    for match in INCLUDE.finditer(text):
        name = match.group(2)
        line = text.count("\n", 0, match.start()) + 1
        where = f"{path}:{line}: "
        target = room_of_include(name)
        if name.startswith("thrum/") and target is None:
            yield where + f"public header {name} is not known to this test"
        elif name.startswith("bind/") and target is None:
            yield where + f"{name} is in no room"
        elif target and target not in REACHABLE[room]:
            yield where + f"{room} includes {name} of {target}: the arrow points back"
        if ".." in name.split("/"):
            yield where + f"{name} climbs out of its room"
        if name in LUA_HEADERS and room not in BIND and room != "thrum":
            yield where + f"{name} in {room}: only bind and thrum know Lua"
        if name.startswith("boost/") and room != "asio":
            yield where + f"{name} in {room}: Boost is only in asio"


def files_below(directory):
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            if name.endswith(SOURCES):
                yield os.path.join(folder, name)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def check_includes(root):
    """All problems of a source tree, and how many files were read."""
    problems, count = [], 0
    for path in files_below(os.path.join(root, "src")):
        relative = os.path.relpath(path, root)
        room = room_of_path(relative.split(os.sep)[1:])
        count += 1
        if room is None:
            problems.append(f"{relative}: stands in no room")
            continue
        problems += problems_of(relative, room, read(path))
    for path in files_below(os.path.join(root, "include")):
        relative = os.path.relpath(path, root)
        name = os.path.basename(path)
        count += 1
        if name not in PUBLIC:
            problems.append(f"{relative}: not known to this test: which room implements it?")
            continue
        problems += problems_of(relative, PUBLIC[name], read(path))
        for style, included in INCLUDE.findall(read(path)):
            if style == '"':
                problems.append(f"{relative}: {included}: a public header includes with <>")
            if included.startswith("boost/"):
                problems.append(f"{relative}: {included}: no public header shows Boost")
    return problems, count


# ---- symbols ----

Object = collections.namedtuple("Object", "room name defined needed")


def parse_nm(room, text):
    """The objects of one archive, by what `nm` prints of it."""
    objects, current = [], None
    for line in text.splitlines():
        words = line.split()
        if line.endswith(".o:"):
            current = Object(room, line[:-3], set(), set())
            objects.append(current)
        elif current and len(words) == 2 and words[0] == "U":
            current.needed.add(words[1])
        elif current and len(words) == 3 and words[1] in "TDRBC":
            current.defined.add(words[2])
    return objects


def circles(edges):
    """The sets of nodes that reach one another (Tarjan's strongly connected components)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            circle = set()
            while not circle or node not in circle:
                circle.add(stack.pop())
            on_stack.difference_update(circle)
            found.append(circle)

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def check_symbols(objects):
    """What is wrong with who needs whose symbols."""
    owner = {symbol: object_ for object_ in objects for symbol in object_.defined}
    edges = collections.defaultdict(set)
    for object_ in objects:
        for symbol in sorted(object_.needed):
            target = owner.get(symbol)
            if target is None or target is object_:
                continue
            if target.room == object_.room:
                edges[object_.room, object_.name].add((target.room, target.name))
            elif target.room not in REACHABLE[object_.room]:
                yield (f"{object_.room}/{object_.name} needs {symbol} of "
                       f"{target.room}/{target.name}: the arrow points back")
    for circle in circles(edges):
        if len(circle) > MAX_CIRCLE:
            names = ", ".join(name for _, name in sorted(circle))
            yield f"{min(circle)[0]}: a circle of {len(circle)} files: {names}"


def archives_of(build):
    """The archives of the rooms in a build folder, by room."""
    found = {}
    for room in USES:
        paths = glob.glob(os.path.join(build, "src", "**", f"libthrum_{room}.a"), recursive=True)
        if paths:
            found[room] = paths[0]
    return found


def read_archives(archives):
    objects = []
    for room, path in archives.items():
        text = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
        objects += parse_nm(room, text)
    return objects


# ---- the test of the test ----

GOOD = {
    "src/base/a.c": '#include <errno.h>\n#include "base/a.h"\n#include <thrum/error.h>\n',
    "src/net/b.c": '#include "base/a.h"\n#include <thrum/address.h>\n',
    "src/asio/c.cpp": "#include <boost/asio.hpp>\n#include \"net/b.h\"\n#include <thrum/socket.h>\n",
    "src/bind/value/d.c": '#include <lua.h>\n#include "asio/c.h"\n#include <thrum/socket.h>\n',
    "src/bind/stream/e.c": '#include "bind/socket/f.h"\n#include "bind/value/d.h"\n',
    "src/bind/module/g.c": '#include "bind/dgram/h.h"\n#include <thrum/lua.h>\n',
    "src/thrum/i.c": '#include <lauxlib.h>\n#include "bind/module/g.h"\n#include "prelude.h"\n',
    "include/thrum/lua.h": "#include <lua.h>\n#include <thrum/visibility.h>\n",
}
BAD = [
    ("src/base/a.c", '#include "net/b.h"'),
    ("src/base/a.c", "#include <thrum/address.h>"),
    ("src/base/a.c", "#include <lua.h>"),
    ("src/base/a.c", '#include "base/../net/b.h"'),
    ("src/net/b.c", '#include "asio/c.h"'),
    ("src/net/b.c", "#include <thrum/socket.h>"),
    ("src/net/b.c", "  #  include <boost/asio.hpp>"),
    ("src/asio/c.cpp", '#include "bind/value/d.h"'),
    ("src/asio/c.cpp", "#include <lauxlib.h>"),
    ("src/asio/c.cpp", "#include <thrum/lua.h>"),
    ("src/asio/deep/er.hpp", '#include "thrum/runner.h"'),
    ("src/bind/value/d.c", "#include <boost/version.hpp>"),
    ("src/bind/value/d.c", '#include "bind/fiber/runtime.h"'),
    ("src/bind/value/d.c", '#include "bind/nowhere/d.h"'),
    ("src/bind/value/d.c", "#include <thrum/no_such.h>"),
    ("src/bind/fiber/k.c", '#include "bind/dgram/h.h"'),
    ("src/bind/stream/e.c", '#include "bind/system/l.h"'),
    ("src/bind/dgram/h.c", '#include "bind/luasocket/m.h"'),
    ("src/bind/module/g.c", '#include "thrum/main.h"'),
    ("src/bind/hall.c", ""),
    ("src/thrum/i.c", "#include <boost/version.hpp>"),
    ("src/cellar/n.c", ""),
    ("include/thrum/error.h", "#include <thrum/socket.h>"),
    ("include/thrum/socket.h", "#include <lua.h>"),
    ("include/thrum/socket.h", "#include <boost/asio.hpp>"),
    ("include/thrum/socket.h", '#include "asio/c.h"'),
    ("include/thrum/unknown.h", ""),
]

# Archives as nm prints them: a symbol that is needed upwards, and a circle of five files.
GOOD_NM = {
    "value": "\nerror.c.o:\n                 U lua_error\n0000 T error_raise\n",
    "fiber": "\ncall.c.o:\n                 U error_raise\n0000 T call_begin\n"
             "0010 t static_one\n",
}
BACK_NM = {"value": "\nspan.c.o:\n                 U call_begin\n0000 T span_new\n"}
CIRCLE_NM = {
    "fiber": "".join(f"\nf{i}.c.o:\n                 U f{(i + 1) % 5}\n0000 T f{i}\n"
                     for i in range(5)),
}
SMALL_CIRCLE_NM = {
    "fiber": "".join(f"\nf{i}.c.o:\n                 U f{(i + 1) % 4}\n0000 T f{i}\n"
                     for i in range(4)),
}


def write_tree(root, tree):
    for relative, text in tree.items():
        path = os.path.join(root, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def includes_self_test():
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, GOOD)
        problems, _ = check_includes(root)
        if problems:
            failures += 1
            print("a good tree is refused:", *problems, sep="\n  ")
    for relative, line in BAD:
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, GOOD)
            write_tree(root, {relative: GOOD.get(relative, "") + line + "\n"})
            problems, _ = check_includes(root)
            if not any(problem.startswith(relative) for problem in problems):
                failures += 1
                print(f"not found: {relative}: {line}")
    return failures


def problems_of_nm(*archives):
    objects = []
    for archive in archives:
        for room, text in archive.items():
            objects += parse_nm(room, text)
    return list(check_symbols(objects))


def symbols_self_test():
    failures = 0
    for good in ([GOOD_NM], [GOOD_NM, SMALL_CIRCLE_NM]):
        if problems_of_nm(*good):
            failures += 1
            print("good archives are refused:", *problems_of_nm(*good), sep="\n  ")
    for bad, part in ((BACK_NM, "points back"), (CIRCLE_NM, "circle of 5")):
        if not any(part in problem for problem in problems_of_nm(GOOD_NM, bad)):
            failures += 1
            print(f"not found: {part}")
    return failures


def self_test():
    failures = includes_self_test() + symbols_self_test()
    print(f"{len(BAD) + 5 - failures} passed, {failures} failed")
    return 1 if failures else 0


def report(problems, count, what):
    for problem in problems:
        print(problem)
    print(f"{count} {what} read, {len(problems)} arrows point back")
    return 1 if problems or count == 0 else 0


def main(words):
    if words == ["--self-test"]:
        return self_test()
    if len(words) == 2 and words[0] == "--symbols":
        archives = archives_of(words[1])
        missing = [room for room in USES if room != "thrum" and room not in archives]
        problems = [f"there is no archive of {room}" for room in missing]
        problems += check_symbols(read_archives(archives))
        return report(problems, len(archives), "archives")
    if len(words) != 1 or words[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    problems, count = check_includes(words[0])
    return report(problems, count, "files")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
