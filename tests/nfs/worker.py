"""flufl.lock as a worker in a guest: the jobs of jobs.rs, with the real flufl.lock.

    worker.py JOB NAME:LIFETIME:SLOP [SECONDS or ROUNDS]
"""

import os
import signal
import sys
import time

from datetime import datetime, timedelta

from flufl.lock import Lock, TimeOutError, _lockfile

SHARED = os.environ['LAB_SHARED']
VM = os.environ['LAB_VM']
LIMIT = timedelta(seconds=120)


def report(line):
    print(f'REPORT {line}', flush=True)


def make(name):
    """Make a directory of the host's, and return whether there was none."""
    try:
        os.mkdir(os.path.join(SHARED, name))
    except FileExistsError:
        return False
    return True


def ticket(last=[0]):
    last[0] += 1
    while not make(str(last[0])):
        last[0] += 1
    return last[0]


def is_cued(name):
    return os.path.exists(os.path.join(SHARED, name))


class Tenure:
    def __init__(self, lock):
        self.start, self.lock = ticket(), lock

    def report(self, *until):
        seen = ticket()  # first: a stall in between must not make the lease longer than it is
        left = (self.lock.expiration - datetime.now()) // timedelta(milliseconds=1)
        report(' '.join(map(str, ['tenure', VM, self.start, seen, max(left, 0), *until])))

    def end(self):
        self.report(ticket())


def contend(lock, name):
    while not is_cued(f'{name}.enough'):
        lock.lock(LIMIT)
        tenure = Tenure(lock)
        alone = make(f'{name}.witness')
        time.sleep(0.01)
        if alone:
            os.rmdir(os.path.join(SHARED, f'{name}.witness'))
        else:
            report(f'witnessed {VM}')
        tenure.end()
        lock.unlock()
        make(f'{name}.held-by-{VM}')
        time.sleep(0.01)


def hold(lock, name):
    lock.lock(LIMIT)
    tenure = Tenure(lock)
    make(f'{name}.held-by-{VM}')
    while not is_cued(f'{name}.release'):
        time.sleep(0.01)
    tenure.end()
    lock.unlock()


def take(lock, name):
    lock.lock(LIMIT)
    Tenure(lock).end()
    lock.unlock()


def try_for(lock, name, seconds):
    try:
        lock.lock(timedelta(seconds=int(seconds)))
    except TimeOutError:
        return report('try TimedOut')
    lock.unlock()
    report('try Ok')


def die(lock, name):
    lock.lock(LIMIT)
    Tenure(lock).report()
    os.kill(os.getpid(), signal.SIGKILL)


def rounds(lock, name, count):
    for _ in range(int(count)):
        lock.lock(LIMIT)
        lock.unlock()


def main():
    job, terms, *arguments = sys.argv[1:]
    name, lifetime, slop = terms.split(':')
    _lockfile.CLOCK_SLOP = timedelta(seconds=int(slop))
    lock = Lock(os.path.join(os.environ['LAB_MNT'], name), timedelta(seconds=int(lifetime)))
    jobs = {'contend': contend, 'hold': hold, 'take': take, 'try': try_for, 'die': die, 'rounds': rounds}
    jobs[job](lock, name, *arguments)


main()
