#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Build one man page with asciidoctor, and a depfile of what the page includes.

usage: page.py asciidoctor source output depfile exampledir version
"""
import os
import re
import subprocess
import sys

INCLUDE = re.compile(r"^include::([^\[]+)\[", re.MULTILINE)


def included(source, example_dir):
    """The files that `source` includes, and theirs."""
    with open(source, encoding="utf-8") as page:
        names = INCLUDE.findall(page.read())
    for name in names:
        path = name.replace("{exampledir}", example_dir)
        path = os.path.normpath(os.path.join(os.path.dirname(source), path))
        yield path
        if path.endswith(".adoc"):
            yield from included(path, example_dir)


def build(asciidoctor, source, output, example_dir, version):
    """No date goes into the page, so the same source gives the same page."""
    return subprocess.run(
        [asciidoctor, "-b", "manpage", "-v", "--failure-level=WARN",
         "-a", "reproducible", "-a", "mansource=thrum " + version,
         "-a", "exampledir=" + example_dir, "-o", output, source],
        check=False).returncode


def main(asciidoctor, source, output, depfile, example_dir, version):
    source = os.path.abspath(source)
    paths = sorted(set(included(source, example_dir)))
    with open(depfile, "w", encoding="utf-8") as out:
        escaped = (path.replace(" ", "\\ ") for path in paths)
        out.write(output + ": " + " \\\n  ".join(escaped) + "\n")
    return build(asciidoctor, source, output, example_dir, version)


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
