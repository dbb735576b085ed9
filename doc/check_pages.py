#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Every page builds without a warning, twice the same, and man(1) formats it without one.

usage: check_pages.py asciidoctor page.py mandir exampledir section...

Exit status 77, "cannot run here", if there is no man(1); the building is checked all the same.
"""
import os
import shutil
import subprocess
import sys
import tempfile


def build(asciidoctor, page, source, output, example_dir):
    """Warnings fail the build; anything said at all is a complaint."""
    result = subprocess.run(
        [sys.executable, page, asciidoctor, source, output, output + ".d", example_dir, "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode or result.stdout:
        return result.stdout or "exit status %d" % result.returncode
    return None


def lint(man, output):
    environment = dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8")
    result = subprocess.run(
        [man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", output],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        env=environment)
    return result.stderr or (result.returncode and "man: %d" % result.returncode) or None


def read(path):
    with open(path, "rb") as page:
        return page.read()


def check(tools, name, man_dir, example_dir, out_dir):
    asciidoctor, page, man = tools
    source = os.path.join(man_dir, name + ".adoc")
    outputs = [os.path.join(out_dir, str(turn), name) for turn in (1, 2)]
    for output in outputs:
        problem = build(asciidoctor, page, source, output, example_dir)
        if problem:
            return problem
    if read(outputs[0]) != read(outputs[1]):
        return "two builds differ"
    return lint(man, outputs[0]) if man else None


def main(asciidoctor, page, man_dir, example_dir, *sections):
    names = sorted(name[:-len(".adoc")] for name in os.listdir(man_dir)
                   if name.endswith(".adoc"))
    man = shutil.which("man")
    failed = False
    with tempfile.TemporaryDirectory() as out_dir:
        for turn in ("1", "2"):
            os.mkdir(os.path.join(out_dir, turn))
        for name in names:
            problem = check((asciidoctor, page, man), name, man_dir, example_dir, out_dir)
            if name.rsplit(".", 1)[-1] not in sections:
                problem = "its name does not end in a section"
            if problem:
                failed = True
                print("not ok %s: %s" % (name, problem))
            else:
                print("ok %s" % name)
    if failed or not names:
        return 1
    if not man:
        print("there is no man(1) to format the pages with")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 5 else __doc__)
