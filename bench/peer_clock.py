"""The clock of the Python peers: one thread by its own processor time, two by the wall clock."""
import os
import time

THREADS = int(os.environ.get("THREADS", "2"))
NOW = time.process_time if THREADS == 1 else time.perf_counter


def clock(run, rounds=5):
    """The median time of run(), and its last answer; the one before is gone by then."""
    times, answer = [], None
    for _ in range(rounds):
        answer = None
        start = NOW()
        answer = run()
        times.append(NOW() - start)
    return sorted(times)[rounds // 2], answer
