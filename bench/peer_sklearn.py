"""scikit-learn's neighbours of the points that bench/graph.c wrote. peer_sklearn.py FOLDER -> figure,value,unit"""
import os
import sys
import time

try:
    import numpy
    from sklearn.neighbors import NearestNeighbors
except ImportError:
    print("skipped: scikit-learn not installed")
    sys.exit()

ROUNDS = 5
THREADS = int(os.environ.get("THREADS", "2"))
CLOCK = time.process_time if THREADS == 1 else time.perf_counter
points = numpy.load(sys.argv[1] + "/points.npy")
for jobs in (1, 2)[:THREADS]:
    times = []
    for _ in range(ROUNDS):
        start = CLOCK()
        NearestNeighbors(n_neighbors=6, n_jobs=jobs).fit(points).kneighbors_graph()
        times.append(CLOCK() - start)
    print("k nearest neighbours %d thread%s,%g,s" % (jobs, "s" if jobs > 1 else "", sorted(times)[ROUNDS // 2]),
          flush=True)
