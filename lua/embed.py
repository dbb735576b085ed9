# SPDX-License-Identifier: BSL-1.0
"""Write a C header with a Lua file's text as an array: embed.py INPUT OUTPUT NAME"""
import sys


def main(source, target, name):
    with open(source, "rb") as file:
        data = file.read()
    rows = (data[i : i + 16] for i in range(0, len(data), 16))
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    with open(target, "w", encoding="utf-8") as file:
        file.write(f"static const unsigned char {name}[] = {{\n{body}\n}};\n")


main(*sys.argv[1:])
