#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The lists of modules agree: what C registers, what is written in Lua, the prelude's short names,
the loaders that C programs see, the annotations and the pages.

    module_lists.py ROOT
"""
import os
import re
import sys


def read(root, *path):
    with open(os.path.join(root, *path), encoding="utf-8") as file:
        return file.read()


def lists_of(root):
    """Each list by where it stands: a set of the modules' names."""
    meson = read(root, "lua", "meson.build")
    in_lua = set(re.findall(r"'(\w+)'", re.search(r"lua_modules = \[(.*?)\]", meson).group(1)))
    header = read(root, "src", "bind", "module", "modules.h")
    in_c = set(re.findall(r"^    ROW\((\w+)\)", header, re.MULTILINE))
    prelude = read(root, "lua", "thrum", "prelude.lua")
    short = re.search(r"short_names = \{(.*?)\n\}", prelude, re.DOTALL).group(1)
    every = in_c | in_lua
    return every, {
        # coroutine is a global of Lua's, replaced by the prelude
        "lua/thrum/prelude.lua": set(re.findall(r'"(\w+)"', short)) | {"coroutine"},
        "include/thrum/lua.h": set(
            re.findall(r"luaopen_thrum_(\w+)\(lua_State", read(root, "include", "thrum", "lua.h"))
        ),
        "lua/meta/thrum": {
            name[:-4]
            for name in os.listdir(os.path.join(root, "lua", "meta", "thrum"))
            if name != "prelude.lua"
        },
        "doc/man": {
            name
            for name in every
            if os.path.exists(os.path.join(root, "doc", "man", name + ".3thrum.adoc"))
        },
    }


def main(root):
    every, others = lists_of(root)
    problems = 0
    for place, names in others.items():
        for name in sorted(every ^ names):
            problems += 1
            print(f"{name} is {'missing in' if name in every else 'only in'} {place}")
    print(f"{len(every)} modules, {problems} problems")
    return 1 if problems or not every else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
