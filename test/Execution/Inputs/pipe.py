"""Gives rope-run an array through a pipe: pipe.py MODULE PIPE SHAPE DATA-BYTES"""

import os
import subprocess
import sys

module, pipe, shape, data = sys.argv[1:5]
text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
if os.path.exists(pipe):
    os.remove(pipe)
os.mkfifo(pipe)
process = subprocess.Popen(
    ["rope-run", module, "--function=f32", f"--input=@{pipe}"],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
with open(pipe, "wb") as file:
    file.write(b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text)
    file.write(bytes(int(data)))
print(process.communicate()[0])
sys.exit(process.returncode not in (0, 1))
