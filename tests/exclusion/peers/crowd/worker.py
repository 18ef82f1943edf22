"""One of the crowd with Python: a process that forks another whenever one
has died.

With `--package=Lock` or `--package=flufl` it locks with that face of the Python
package linklock, and its children are killed too, whatever they are doing.

Otherwise it locks with flufl.lock, which is the real one. What differs from
stock use:

- It polls every 0 to 10 ms instead of every 0.01 to 2.01 s.
- It locks with a timeout that is shorter than its lifetime, and tries again.
  It touches its claim before it waits and not again before it has linked it,
  so that a waiter that waits for longer publishes a lock that has already expired.
  This test is not about that fault.
- Each tenure has a Lock of its own, so that the claims' names distinguish them.
- Wherever it would remove the lock file, the file is renamed out of the
  directory instead. To all others that looks the same, at the same moment; but
  it shows which lock was removed.
"""

import os
import random
import signal
import sys
import time

from datetime import datetime, timedelta
from pathlib import Path

PACKAGE = next((arg.split('=')[1] for arg in sys.argv if arg.startswith('--package=')), None)
if PACKAGE is None:
    from flufl.lock import Lock, NotLockedError, TimeOutError, _lockfile
elif PACKAGE == 'flufl':
    # It breaks nothing by the calls that are recorded here.
    from linklock.flufl import Lock, NotLockedError, TimeOutError, _lockfile
else:
    import linklock
    from linklock import Lost as NotLockedError, TimedOut as TimeOutError

WORKDIR = Path(os.environ['LINKLOCK_TEST_WORKDIR'])
HISTORY = WORKDIR / 'histories' / os.environ['LINKLOCK_TEST_PLACE']
LOCK = WORKDIR / 'locks' / '0' / 'lock'
WITNESS = WORKDIR / 'witnesses' / '0'
CLOSED = WORKDIR / 'closed'
LIFETIME = 15_000_000_000
BREAKS = '--break-nothing' not in sys.argv
HOLD = 0.002
DEATHS = 8
DIED = 9
# For how long a child with the package lives at most.
LIFE = 0.5


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def write(*record):
    """Writes a record of the history: see support/history.rs."""
    line = f'\n{" ".join(map(str, record))} .\n'
    history = os.open(HISTORY, os.O_WRONLY | os.O_APPEND)
    os.write(history, line.encode())
    os.close(history)


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
        after = now()
        taken = WORKDIR / f'taken.{os.getpid()}'
        os.rename(path, taken)
        removed = taken.read_text()
        if lock.breaking or removed != meant:
            write('removed', name(meant), name(removed), after, now())
        os.unlink(taken)


class PackagesLock:
    """linklock.Lock, with the words that are used here."""

    def __init__(self, path):
        self._lock = linklock.Lock(path, polling=(0.001, 0.01))
        self.lock = self._lock.lock

    @property
    def claimfile(self):
        return str(self._lock.claim_path)

    def unlock(self, unconditionally=False):
        if not unconditionally or self._lock.is_locked:
            self._lock.unlock()


class RecordingLock(PackagesLock if PACKAGE == 'Lock' else Lock):
    judged = None
    breaking = False

    @property
    def _releasetime(self):
        # The same as in flufl.lock, and whose lock it is.
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
    """Returns the lock and when its lease ends, if it gets it."""
    lock = RecordingLock(str(LOCK))
    RecordingOs.lock = lock
    lease_ends = now() + LIFETIME
    try:
        lock.lock(timedelta(milliseconds=500))
    except TimeOutError:
        return None
    except FileNotFoundError:
        # It timed out and its claim was gone: it would have waited for ever.
        write('wedged')
        return None
    return lock, lease_ends


def process(pid):
    """A live process as its witness names it: see kit/process.rs."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(')') + 2:].split()
    return None if fields[0] in 'ZX' else f'{pid}@{fields[19]}'


def bear_witness(claim, lease_ends):
    """Makes the witness, unless another's is there. Returns whether it has."""
    while True:
        try:
            os.symlink(f'{process(os.getpid())} {claim} {lease_ends}', WITNESS)
            return True
        except FileExistsError:
            pass
        try:
            holder, token, _ = os.readlink(WITNESS).split(' ')
        except FileNotFoundError:
            continue
        if process(holder.split('@')[0]) == holder:
            write('clash', 0, now(), token, claim)
        return False  # the next holder with linklock takes down what a dead one left


def hold(lock, lease_ends):
    claim = name(lock.claimfile)
    write('held', 0, claim, now(), lease_ends, 0)
    is_witness = bear_witness(claim, lease_ends)
    time.sleep(random.random() * HOLD)
    if is_witness:
        Path(WITNESS).unlink(missing_ok=True)
    write('ending', claim, now())
    if random.randrange(DEATHS) == 0:
        # To be found an hour later, when anybody may break it.
        hour_ago = time.time() - 3600
        try:
            os.utime(lock.claimfile, (hour_ago, hour_ago))
        except FileNotFoundError:
            pass  # a breaker's doing
        write('ended', claim, 'Abandoned')
        os._exit(DIED)
    try:
        lock.unlock()
        write('ended', claim, 'Released')
    except NotLockedError:
        write('ended', claim, 'Lost')
        lock.unlock(unconditionally=True)


def work():
    write('begun')
    while not CLOSED.exists():
        acquired = acquire()
        if acquired is not None:
            hold(*acquired)


def end_of(child):
    """The exit status of a child, which is killed when its time has come."""
    dies = now() + random.random() * LIFE * 1e9 if PACKAGE else None
    while True:
        pid, status = os.waitpid(child, os.WNOHANG if dies else 0)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if dies < now() and not CLOSED.exists():
            killed = now()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            # Written when it is gone, so that no record of its own follows.
            write('killed', killed, 'false')
            return DIED
        time.sleep(0.005)


def main():
    if PACKAGE != 'Lock':
        _lockfile.os = RecordingOs()
    while not CLOSED.exists():
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        status = end_of(child)
        if status not in (0, DIED):
            sys.exit(status)


main()
