"""A contender with a lock of Python's, which follows orders: see ../tables/contender.rs."""

import signal
import sys
import time
from resource import RUSAGE_SELF, getrusage


def make(way, path):
    if way == "flufl.lock":
        from flufl.lock import Lock

        lock = Lock(path)
        return lock.lock, lock.unlock
    import filelock

    kinds = {"filelock": filelock.FileLock, "filelock, soft": filelock.SoftFileLock}
    lock = kinds[way](path)
    return lock.acquire, lock.release


class Over(Exception):
    pass


def over(*_):
    raise Over


def cpu():
    used = getrusage(RUSAGE_SELF)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def contend(start, hold, think, end):
    time.sleep(max(0, start - time.monotonic_ns()) / 1e9)
    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, (end - start) / 1e9)
    used, count, waits, total, longest = cpu(), 0, 0, 0, 0
    began = time.monotonic_ns()
    try:
        while True:
            began = time.monotonic_ns()
            lock()
            waited = time.monotonic_ns() - began
            began = None
            count, waits = count + 1, waits + 1
            total, longest = total + waited, max(longest, waited)
            time.sleep(hold / 1e9)
            unlock()
            time.sleep(think / 1e9)
    except Over:
        if began is not None:
            waited = time.monotonic_ns() - began
            waits, total, longest = waits + 1, total + waited, max(longest, waited)
    return count, cpu() - used, waits, total, longest


lock, unlock = make(*sys.argv[1:])
print("ready", flush=True)
for line in sys.stdin:
    order, *numbers = line.split()
    numbers = [int(number) for number in numbers]
    if order == "times":
        answer = []
        for _ in range(*numbers):
            began = time.perf_counter_ns()
            lock()
            unlock()
            answer.append(time.perf_counter_ns() - began)
    elif order == "repeat":
        for _ in range(*numbers):
            lock()
            unlock()
        answer = ()
    elif order == "lock":
        lock()
        answer = (time.monotonic_ns(),)
    elif order == "unlock":
        answer = (time.monotonic_ns(),)
        unlock()
    elif order == "contend":
        answer = contend(*numbers)
    else:
        sys.exit(f"no such order: {order}")
    print(*answer, flush=True)
