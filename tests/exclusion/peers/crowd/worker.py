"""One of the crowd with flufl.lock: a process that forks another whenever one
has died.

flufl.lock is the real one. What differs from stock use:

- It polls every 0 to 10 ms instead of every 0.01 to 2.01 s.
- It locks with a timeout that is shorter than its lifetime, and tries again.
  It touches its claim before it waits and not again before it has linked it,
  so that a waiter that waits for longer publishes a lock that is expired already.
  That is another fault than the one that is looked for here.
- Each tenure has a Lock of its own, so that the claims' names tell them apart.
- Wherever it would remove the lock file, the file is renamed out of the
  directory instead. For all others that is the same, at the same moment; but
  it can't be mistaken which lock was removed.
"""

import os
import random
import sys
import time

from datetime import datetime, timedelta
from pathlib import Path

from flufl.lock import Lock, NotLockedError, TimeOutError, _lockfile

RUN = Path(sys.argv[1])
BREAKS = '--break-nothing' not in sys.argv
HOLD = 0.002
DEATHS = 8
DIED = 9


def note(event, *what):
    line = f'{time.monotonic_ns()} {" ".join((event, *what))}\n'
    journal = os.open(RUN / 'journal', os.O_WRONLY | os.O_APPEND)
    os.write(journal, line.encode())
    os.close(journal)


class RecordingOs:
    """Stands in for the module `os` in flufl.lock."""

    lock = None

    def __getattr__(self, name):
        return getattr(os, name)

    def unlink(self, path):
        if path != self.lock.lockfile:
            os.unlink(path)
            return
        lock = self.lock
        meant = lock.judged if lock.breaking else lock.claimfile
        before = str(time.monotonic_ns())
        taken = RUN / f'taken.{os.getpid()}'
        os.rename(path, taken)
        removed = taken.read_text()
        if lock.breaking or removed != meant:
            note('removed', name(meant), name(removed), before)
        os.unlink(taken)


class RecordingLock(Lock):
    judged = None
    breaking = False

    @property
    def _releasetime(self):
        # As flufl.lock asks, and whose lock it is that it asks about.
        try:
            with open(self.lockfile) as file:
                self.judged = file.read()
                return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime)
        except FileNotFoundError:
            return -1

    def _break(self):
        if BREAKS:
            self.breaking = True
            super()._break()
            self.breaking = False

    def _sleep(self):
        time.sleep(random.random() * 0.01)


def name(claimfile):
    return os.path.basename(claimfile)


def acquire():
    lock = RecordingLock(str(RUN / 'shared' / 'lock'))
    _lockfile.os.lock = lock
    try:
        lock.lock(timedelta(milliseconds=500))
    except TimeOutError:
        return None
    except FileNotFoundError:
        # It timed out and its claim was gone: it would have waited for ever.
        note('wedged', name(lock.claimfile))
        return None
    return lock


def bear_witness(claim):
    while True:
        try:
            os.symlink(claim, RUN / 'witness')
            return True
        except FileExistsError:
            pass
        try:
            note('clash', claim, os.readlink(RUN / 'witness'))
            return False
        except FileNotFoundError:
            pass


def hold(lock):
    claim = name(lock.claimfile)
    note('in', claim)
    alone = bear_witness(claim)
    time.sleep(random.random() * HOLD)
    if alone:
        os.unlink(RUN / 'witness')
    note('out', claim)
    if random.randrange(DEATHS) == 0:
        # Found an hour later, when anybody may break it.
        hour_ago = time.time() - 3600
        try:
            os.utime(lock.claimfile, (hour_ago, hour_ago))
        except FileNotFoundError:
            pass  # a breaker's doing
        note('abandoned', claim)
        os._exit(DIED)
    try:
        lock.unlock()
    except NotLockedError:
        note('lost', claim)
        lock.unlock(unconditionally=True)


def work():
    while not (RUN / 'stop').exists():
        lock = acquire()
        if lock is not None:
            hold(lock)


def main():
    _lockfile.os = RecordingOs()
    while not (RUN / 'stop').exists():
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, DIED):
            sys.exit(status)


main()
