"""A flufl.lock driven by commands: a command a line, an answer a line.

It is the real one, but that it polls every 10 ms instead of every 0.01 to
2.01 s, says so when it has waited for a while, and that its clock can be wrong.
"""

import argparse
import sys
import time

from datetime import timedelta

from flufl.lock import Lock, _lockfile


def say(line):
    print(line, flush=True)


class Peer(Lock):
    skew = timedelta()
    polls = 0

    def _sleep(self):
        self.polls += 1
        if self.polls == 20:
            say('waiting')
        time.sleep(0.01)

    def _now(self):
        return super()._now() + self.skew


COMMANDS = {
    'lock': lambda lock, *timeout: lock.lock(*map(int, timeout)),
    'unlock': lambda lock: lock.unlock(),
    'refresh': lambda lock, *lifetime: lock.refresh(*map(int, lifetime)),
    'is_locked': lambda lock: lock.is_locked,
    'state': lambda lock: lock.state.name,
    'details': lambda lock: '\t'.join(map(str, lock.details)),
    'hostname': lambda lock: lock.hostname,
    'claimfile': lambda lock: lock.claimfile,
    'expiration': lambda lock: lock.expiration.timestamp(),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--lifetime', type=int)
    parser.add_argument('--slop', type=float)
    parser.add_argument('--separator', default='|')
    parser.add_argument('--skew', type=int, default=0)
    parser.add_argument('lockfile')
    args = parser.parse_args()
    if args.slop is not None:
        _lockfile.CLOCK_SLOP = timedelta(seconds=args.slop)
    lock = Peer(args.lockfile, args.lifetime, args.separator)
    lock.skew = timedelta(seconds=args.skew)
    for line in sys.stdin:
        command, *arguments = line.split()
        lock.polls = 0
        try:
            say(f'ok {COMMANDS[command](lock, *arguments)}')
        except Exception as error:
            say(f'error {type(error).__name__}')


main()
