"""SciPy's CSR product on the graphs that bench/graph.c wrote. peer_scipy.py FOLDER -> figure,value,unit"""
import sys

from peer_clock import THREADS, clock

try:
    import numpy
    import scipy.sparse
except ImportError:
    print("skipped: SciPy not installed")
    sys.exit()

folder = sys.argv[1]
x = None
for name, figure in (("graph_curve", "cells along the curve"), ("graph", "cells in random order")):
    w = scipy.sparse.load_npz(folder + "/" + name + ".npz").astype(numpy.float32)
    if x is None:
        x = numpy.random.default_rng(1).random((w.shape[1], 300), dtype=numpy.float32)
    seconds = clock(lambda: w @ x)[0]
    for threads in ("1 thread", "2 threads")[:THREADS]:  # SciPy has one
        print("csr x dense %s %s seconds,%g,s" % (figure, threads, seconds), flush=True)
