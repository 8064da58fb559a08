"""NumPy's load of the file that bench/fit.c wrote. peer_numpy.py FOLDER -> figure,value,unit"""
import sys

from peer_clock import clock

try:
    import numpy
except ImportError:
    print("skipped: NumPy not installed")
    sys.exit()

print("load of a large npy,%g,s" % clock(lambda: numpy.load(sys.argv[1] + "/large.npy"))[0])
