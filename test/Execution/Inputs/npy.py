"""Writes .npy files that NumPy would not: npy.py FILE HEADER [DATA BYTES] [VERSION]

HEADER is the dictionary's text; `len=N` in front of it writes N as its length.
"""

import struct
import sys

name, header = sys.argv[1:3]
data = int(sys.argv[3]) if len(sys.argv) > 3 else 0
version = int(sys.argv[4]) if len(sys.argv) > 4 else 1
length = None
if header.startswith("len="):
    number, header = header[4:].split(" ", 1)
    length = int(number)
text = header.encode() + b"\n"
length = len(text) if length is None else length
with open(name, "wb") as file:
    file.write(b"\x93NUMPY" + bytes([version, 0]))
    file.write(struct.pack("<H" if version == 1 else "<I", length))
    file.write(text + bytes(data))
