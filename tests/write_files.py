"""Files for tests/test_tables.c, written by zlib, NumPy and SciPy. Usage: write_files.py FOLDER [RANDOM_STREAMS]
streams.bin: records of two 32-bit lengths, the content, and its gzip file, by every level, strategy, window and memory
level of zlib. dense.npy is what every other file holds. SPDX-License-Identifier: MIT"""
import gzip
import os
import random
import struct
import sys
import zlib

import numpy as np
import scipy.io
import scipy.sparse as sp

folder = sys.argv[1]
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 400
random.seed(1)
rng = np.random.default_rng(1)


def content(kind, size):
    """Bytes of a kind that stresses some part of a decoder."""
    if kind == 0:
        return bytes(size)
    if kind == 1:
        return rng.bytes(size)
    if kind == 2:
        return bytes(rng.integers(97, 97 + random.randint(1, 25), size, dtype=np.uint8))
    if kind == 3:  # skewed: codes of many lengths
        return bytes(np.minimum(rng.geometric(random.uniform(0.03, 0.5), size), 255).astype(np.uint8))
    if kind == 4:  # tables of counts
        return "\n".join(",".join(map(str, row)) for row in rng.poisson(0.7, (size // 40 + 1, 20))).encode()[:size]
    if kind == 5:
        return rng.normal(size=size // 4 + 1).astype("<f4").tobytes()[:size]
    if kind == 6:  # repeats at every distance
        base, out = rng.bytes(random.randint(1, 300)), bytearray()
        while len(out) < size:
            start = random.randrange(len(base))
            out += base[start:start + random.randint(1, 300)] + rng.bytes(random.randint(0, 3))
        return bytes(out[:size])
    return (rng.bytes(1) * random.randint(1, 600) + rng.bytes(random.randint(0, 40))) * (size // 300 + 1)


def packed(data, level, strategy, window, memory):
    z = zlib.compressobj(level, zlib.DEFLATED, 16 + window, memory, strategy)
    out, at = b"", 0
    while at < len(data):  # flushes in between make empty and stored blocks
        step = random.choice((len(data), random.randint(1, 5000)))
        out += z.compress(data[at:at + step])
        at += step
        if random.random() < 0.1:
            out += z.flush(random.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH)))
    return out + z.flush()


with open(os.path.join(folder, "streams.bin"), "wb") as f:
    def put(data, stream):
        f.write(struct.pack("<II", len(data), len(stream)) + data + stream)

    for level in range(10):
        for strategy in range(5):
            for kind in range(8):
                data = content(kind, random.choice((0, 1, 2, 3, 100, 5000, 40000)))
                put(data, packed(data, level, strategy, random.randint(9, 15), random.randint(1, 9)))
    for _ in range(rounds):
        data = content(random.randrange(8), int(2 ** random.uniform(0, 13)))
        put(data, packed(data, random.randint(0, 9), random.randint(0, 4), random.randint(9, 15), random.randint(1, 9)))
    big = content(4, 400000) + content(6, 200000)
    put(big, gzip.compress(big, 9))
    put(big + big, gzip.compress(big, 1) + gzip.compress(big, 6))  # two members, longer than the last length says

x = rng.poisson(0.4, (50, 30)).astype(np.float64)
x[3] = 0
x[:, 7] = 0
np.save(os.path.join(folder, "dense.npy"), x)
np.savez_compressed(os.path.join(folder, "dense.npz"), names=np.array(["a", "b"]), v=np.arange(3), counts=x)
for kind in ("csr", "csc", "coo"):
    for packed_too in (True, False):
        m = sp.coo_matrix(x.astype(random.choice((np.float32, np.int64, np.uint16)))).asformat(kind)
        sp.save_npz(os.path.join(folder, "%s_%d.npz" % (kind, packed_too)), m, compressed=packed_too)
sp.save_npz(os.path.join(folder, "bsr.npz"), sp.bsr_matrix(x))
scipy.io.mmwrite(os.path.join(folder, "coordinate.mtx"), sp.coo_matrix(x.astype(int)), field="integer")
scipy.io.mmwrite(os.path.join(folder, "array.mtx"), x)
scipy.io.mmwrite(os.path.join(folder, "symmetric.mtx"), sp.coo_matrix(np.eye(4)), symmetry="symmetric")
np.savetxt(os.path.join(folder, "plain.txt.gz"), x)
np.savetxt(os.path.join(folder, "plain.csv"), x, delimiter=",", header="")
