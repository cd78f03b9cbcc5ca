"""Writes what a gpu.binary of a module holds: object.py MODULE OUT."""

import pathlib
import re
import sys


def decode(literal):
    """The bytes of a string as MLIR prints it."""
    return re.sub(rb'\\([0-9A-Fa-f]{2}|["\\])',
                  lambda m: bytes.fromhex(m[1].decode()) if len(m[1]) == 2 else m[1],
                  literal)


text = pathlib.Path(sys.argv[1]).read_bytes()
binary = re.search(rb"gpu\.binary @\w+ +\[(.*)\]", text)
assert binary, "no gpu.binary"
literals = re.findall(rb'"((?:[^"\\]|\\.)*)"', binary[1])
pathlib.Path(sys.argv[2]).write_bytes(decode(max(literals, key=len)))
