"""scikit-learn's neighbours of the points that bench/graph.c wrote. peer_sklearn.py FOLDER -> figure,value,unit"""
import sys

from peer_clock import THREADS, clock

try:
    import numpy
    from sklearn.neighbors import NearestNeighbors
except ImportError:
    print("skipped: scikit-learn not installed")
    sys.exit()

points = numpy.load(sys.argv[1] + "/points.npy")
for jobs in (1, 2)[:THREADS]:
    seconds = clock(lambda: NearestNeighbors(n_neighbors=6, n_jobs=jobs).fit(points).kneighbors_graph())[0]
    print("k nearest neighbours %d thread%s,%g,s" % (jobs, "s" if jobs > 1 else "", seconds), flush=True)
