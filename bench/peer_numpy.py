"""NumPy's load of the file that bench/fit.c wrote. peer_numpy.py FOLDER -> figure,value,unit"""
import os
import sys
import time

try:
    import numpy
except ImportError:
    print("skipped: NumPy not installed")
    sys.exit()

CLOCK = time.process_time if os.environ.get("THREADS") == "1" else time.perf_counter
times = []
for _ in range(5):
    start = CLOCK()
    x = numpy.load(sys.argv[1] + "/large.npy")
    times.append(CLOCK() - start)
    del x
print("load of a large npy,%g,s" % sorted(times)[2])
