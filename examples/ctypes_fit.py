#!/usr/bin/env python3
"""A fit from NumPy arrays, without files: the header as a shared library, called through ctypes.

    python3 examples/ctypes_fit.py        # from the folder with celcomen.h; needs a C compiler and NumPy

The library is compiled with CELCOMEN_DOUBLE, so its numbers are NumPy's float64. Structures whose fields are not used
here are taken from the header by a few lines of C beside it: their layout stays the compiler's business.
SPDX-License-Identifier: MIT"""
import ctypes
import os
import subprocess
import tempfile

import numpy as np

GLUE = r"""
#define CELCOMEN_DOUBLE
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

/* Counts (cells x genes) and places (cells x 2) in; forces, their q (2 genes x genes) and which genes they are of
 * (genes) out. Returns the number of genes that were kept, or -1 with a message. */
int64_t glue_fit(double *counts, double *places, int64_t cells, int64_t genes, double *force, double *q, int32_t *gene,
                 char *message, size_t room)
{
    cel_slide slide = CEL_ZERO; /* looks at NumPy's own memory: nothing is copied */
    cel_score_result fit;
    cel_error err = CEL_ZERO;
    int64_t n;
    slide.x = cel_mat_view(counts, cells, genes);
    slide.coords = cel_mat_view(places, cells, 2);
    if (cel_score_slide(&slide, NULL, &fit, &err)) {
        snprintf(message, room, "%s (cell %lld, gene %lld)", err.what, (long long)err.cell, (long long)err.gene);
        return -1;
    }
    n = fit.model.genes;
    memcpy(force, fit.model.force.data, (size_t)(2 * n * n) * sizeof *force);
    memcpy(q, fit.report.q.data, (size_t)(2 * n * n) * sizeof *q);
    memcpy(gene, fit.rows.gene, (size_t)n * sizeof *gene);
    cel_score_slide_free(&fit);
    return n;
}
"""


def library():
    """Compiles the header; the folder goes, the library stays loaded."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with tempfile.TemporaryDirectory() as folder:
        source, shared = os.path.join(folder, "glue.c"), os.path.join(folder, "libcelcomen.so")
        with open(source, "w") as f:
            f.write(GLUE)
        cc = os.environ.get("CC", "cc").split()
        subprocess.run(cc + ["-O2", "-shared", "-fPIC", "-I" + here, source, "-o", shared, "-lm"], check=True)
        out = ctypes.CDLL(shared)
    out.glue_fit.restype = ctypes.c_int64
    return out


def fit(lib, counts, places):
    """Forces (2, n, n), within cells and between neighbours, their q values, and the columns of counts they are of."""
    counts, places = np.ascontiguousarray(counts, dtype=np.float64), np.ascontiguousarray(places, dtype=np.float64)
    cells, genes = counts.shape
    force, q = np.zeros(2 * genes * genes), np.zeros(2 * genes * genes)
    gene, message = np.zeros(genes, dtype=np.int32), ctypes.create_string_buffer(256)
    at = lambda a: a.ctypes.data_as(ctypes.c_void_p)
    n = lib.glue_fit(at(counts), at(places), ctypes.c_int64(cells), ctypes.c_int64(genes), at(force), at(q), at(gene),
                     message, ctypes.c_size_t(len(message)))
    if n < 0:
        raise ValueError(message.value.decode())
    return force[:2 * n * n].reshape(2, n, n), q[:2 * n * n].reshape(2, n, n), gene[:n]


def main():
    lib = library()
    rng = np.random.default_rng(1)
    side, genes = 40, 12
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2).astype(float)
    rate = np.exp(rng.normal(1, 0.4, size=(side * side, genes)))
    rate[:, 1] = rate[:, 0] * rng.gamma(20, 0.05, size=side * side)  # genes 0 and 1 go together within a cell
    grid = np.exp(0.8 * rng.normal(size=(side, side)))               # gene 3 next to where gene 2 is
    rate[:, 2] = 3 * grid.ravel()
    rate[:, 3] = 3 * sum(np.roll(grid, s, axis) for s in (1, -1) for axis in (0, 1)).ravel() / 4
    force, q, gene = fit(lib, rng.poisson(rate), places)
    for k, name in enumerate(("within", "between")):
        a, b = np.unravel_index(np.argmin(q[k] + np.tri(len(gene))), q[k].shape)
        print("%-7s cells, the surest pair: genes %d and %d, force %.2f, q %.1e" %
              (name, gene[a], gene[b], force[k][a, b], q[k][a, b]))
    try:
        fit(lib, -rng.poisson(rate), places)
    except ValueError as error:
        print("negative counts are refused:", error)


if __name__ == "__main__":
    main()
