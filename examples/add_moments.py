"""Adds moments files of the bands of a slide in Python, as an engine such as Dask or Spark would:

    python3 add_moments.py sum.npz band1.npz band2.npz ..

read, add and write are all there is to it: dask.bag.from_sequence(paths).map(read).fold(add).compute(), or
sc.parallelize(paths).map(read).reduce(add). `celcomen fit --moments sum.npz` takes the result. Needs NumPy.
SPDX-License-Identifier: MIT
"""
import sys
import zlib

import numpy as np

SUMS = ("parts", "spans", "contacts", "gram", "gram_shuffled", "checksum")


def read(path):
    with np.load(path) as z:
        return {name: z[name] for name in z.files}


def add(a, b):
    """A part is a tile: its slide, its number, its cells. Its grams, lower triangles, are sums over its cells."""
    other = [k for k in set(a) | set(b) if k not in SUMS and not (k in a and k in b and np.array_equal(a[k], b[k]))]
    if other or ("gram_shuffled" in a) != ("gram_shuffled" in b):
        raise ValueError("prepared otherwise: %s differ" % ", ".join(other or ["shuffled controls"]))
    out = dict(a)
    key = sorted({tuple(p[:2]) for m in (a, b) for p in m["parts"]})
    place = {k: i for i, k in enumerate(key)}
    out["parts"] = np.array([[*k, 0] for k in key], np.int64)
    for name in ("gram", "gram_shuffled"):
        if name in a:
            out[name] = np.zeros((len(key), a[name].shape[1]))
    for m in (a, b):
        rows = [place[tuple(p[:2])] for p in m["parts"]]
        out["parts"][rows, 2] += m["parts"][:, 2]
        for name in ("gram", "gram_shuffled"):
            if name in a:
                out[name][rows] += m[name]
    out["contacts"] = a["contacts"] + b["contacts"]
    out["spans"] = np.array(sorted(map(tuple, np.concatenate([a["spans"], b["spans"]]))), np.int64)
    return out


def write(path, m):
    """The checksum is a CRC-32 over name and bytes of every other array, in the order of the file."""
    m = {k: np.ascontiguousarray(v) for k, v in m.items() if k != "checksum"}
    crc = 0
    for name, array in m.items():
        crc = zlib.crc32(array.tobytes(), zlib.crc32(name.encode(), crc))
    np.savez(path, **m, checksum=np.array([crc], np.int64))


if __name__ == "__main__":
    total = read(sys.argv[2])
    for band in sys.argv[3:]:
        total = add(total, read(band))
    write(sys.argv[1], total)
