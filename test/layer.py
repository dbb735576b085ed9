#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The layer test: no #include of src/ or include/ points back.

    base <- net <- asio <- bind <- thrum       an arrow points at what is used

    layer.py ROOT         checks a source tree; exit status 1 if an arrow points back
    layer.py --self-test  shows that it finds bad includes and leaves good ones alone
"""
import os
import re
import sys
import tempfile

ROOMS = ["base", "net", "asio", "bind", "thrum"]
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
    "lua.h": "bind",
}


def room_of_include(name, own_room):
    """The room an included name belongs to; None for the system's and for generated headers."""
    head, _, rest = name.partition("/")
    if head == "thrum" and rest in PUBLIC:
        return PUBLIC[rest]
    if head in ROOMS and rest:
        return head
    return None


def problems_of(path, room, text):
    """What is wrong with the includes of one file of `room`."""
    level = ROOMS.index(room)
    for match in INCLUDE.finditer(text):
        name = match.group(2)
        line = text.count("\n", 0, match.start()) + 1
        where = f"{path}:{line}: "
        target = room_of_include(name, room)
        if name.startswith("thrum/") and target is None:
            yield where + f"public header {name} is not known to this test"
        elif target and ROOMS.index(target) > level:
            yield where + f"{room} includes {name} of {target}: the arrow points back"
        if ".." in name.split("/"):
            yield where + f"{name} climbs out of its room"
        if name in LUA_HEADERS and level < ROOMS.index("bind"):
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


def check(root):
    """All problems of a source tree, and how many files were read."""
    problems, count = [], 0
    for path in files_below(os.path.join(root, "src")):
        relative = os.path.relpath(path, root)
        room = relative.split(os.sep)[1]
        count += 1
        if room not in ROOMS:
            problems.append(f"{relative}: {room} is no room")
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


# ---- the test of the test ----

GOOD = {
    "src/base/a.c": '#include <errno.h>\n#include "base/a.h"\n#include <thrum/error.h>\n',
    "src/net/b.c": '#include "base/a.h"\n#include <thrum/address.h>\n',
    "src/asio/c.cpp": "#include <boost/asio.hpp>\n#include \"net/b.h\"\n#include <thrum/socket.h>\n",
    "src/bind/d.c": '#include <lua.h>\n#include "asio/c.h"\n#include <thrum/lua.h>\n',
    "src/thrum/e.c": '#include <lauxlib.h>\n#include "bind/d.h"\n#include "prelude.h"\n',
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
    ("src/asio/c.cpp", '#include "bind/d.h"'),
    ("src/asio/c.cpp", "#include <lauxlib.h>"),
    ("src/asio/c.cpp", "#include <thrum/lua.h>"),
    ("src/asio/deep/er.hpp", '#include "thrum/runner.h"'),
    ("src/bind/d.c", "#include <boost/version.hpp>"),
    ("src/bind/d.c", '#include "thrum/main.h"'),
    ("src/bind/d.c", "#include <thrum/no_such.h>"),
    ("src/thrum/e.c", "#include <boost/version.hpp>"),
    ("src/cellar/f.c", ""),
    ("include/thrum/error.h", "#include <thrum/socket.h>"),
    ("include/thrum/socket.h", "#include <lua.h>"),
    ("include/thrum/socket.h", "#include <boost/asio.hpp>"),
    ("include/thrum/socket.h", '#include "asio/c.h"'),
    ("include/thrum/unknown.h", ""),
]


def write_tree(root, tree):
    for relative, text in tree.items():
        path = os.path.join(root, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def self_test():
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, GOOD)
        problems, _ = check(root)
        if problems:
            failures += 1
            print("a good tree is refused:", *problems, sep="\n  ")
    for relative, line in BAD:
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, GOOD)
            write_tree(root, {relative: GOOD.get(relative, "") + line + "\n"})
            problems, _ = check(root)
            if not any(problem.startswith(relative) for problem in problems):
                failures += 1
                print(f"not found: {relative}: {line}")
    print(f"{len(BAD) + 1 - failures} passed, {failures} failed")
    return 1 if failures else 0


def main(words):
    if words == ["--self-test"]:
        return self_test()
    if len(words) != 1 or words[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    problems, count = check(words[0])
    for problem in problems:
        print(problem)
    if count == 0:
        print(f"no sources in {words[0]}")
    print(f"{count} files read, {len(problems)} arrows point back")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
