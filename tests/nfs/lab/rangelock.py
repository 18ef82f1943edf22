#!/usr/bin/env python3
"""Whether byte-range locks could wake a waiter on another client when a lock is released. linklock does not use them;
../README.md has the figures that this prints, and what we made of them.

    rangelock.py [3|4.0|4.1|4.2]...      all four, unless told

Each version has a lab of its own, one after the other. A holder on c2 and a waiter on c1 lock a companion file, by
F_OFD_SETLKW or by flock(2). What happens in the guests shows in directories on the host, whose modification times
are on one clock.
"""

import fcntl
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

ME = pathlib.Path(__file__).resolve()
LAB = ME.with_name("lab.sh")
KINDS = "ofd", "flock"
CYCLES = 50
LIMIT = 120  # seconds, for which nothing hangs that will ever go on


# ---- in a guest ----


def lock(file, kind, unlock=False):
    if kind == "flock":
        return fcntl.flock(file, fcntl.LOCK_UN if unlock else fcntl.LOCK_EX)
    how = fcntl.F_UNLCK if unlock else fcntl.F_WRLCK
    return fcntl.fcntl(file, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", how, os.SEEK_SET, 0, 0, 0))


def event(name):
    os.makedirs(os.path.join(os.environ["LAB_SHARED"], name))


def has_been(name):
    return os.path.exists(os.path.join(os.environ["LAB_SHARED"], name))


def hold(path, kind, tag):
    with open(path, "a+") as file:
        lock(file, kind)
        event(f"{tag}.held")
        while not (must_die := has_been(f"{tag}.die")) and not has_been(f"{tag}.release"):
            time.sleep(0.01)
        event(f"{tag}.over")
        if must_die:
            os.kill(os.getpid(), signal.SIGKILL)
        lock(file, kind, unlock=True)


def wait(path, kind, tag):
    with open(path, "a+") as file:
        event(f"{tag}.waits/{os.getpid()}")
        lock(file, kind)
        event(f"{tag}.got")
        lock(file, kind, unlock=True)


def cycle(path, kind, _tag):
    with open(path, "a+") as file:
        for _ in range(CYCLES):
            lock(file, kind)
            lock(file, kind, unlock=True)


def reopen(path, kind, _tag):
    for _ in range(CYCLES):
        with open(path, "a+") as file:
            lock(file, kind)


# ---- on the host ----


class Lab:
    def __init__(self, version):
        self.version = version
        self.env = dict(os.environ, NFSLAB_NAME=f"rangelock-{version}", NFSLAB_OWNER=str(os.getpid()))
        self.run("up", "-l", "-v", version)
        self.shared = pathlib.Path(self.run("shared").strip())
        self.round = 0

    def run(self, *arguments):
        return subprocess.run([LAB, *arguments], env=self.env, check=True, capture_output=True, text=True).stdout

    def start(self, client, job, kind, tag):
        """The kind names the file too, so that a lock which one leaves behind does not block another."""
        command = [LAB, "exec", client, "python3", str(ME), "in-guest", job, f"/nfs/{kind}", kind, tag]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def tag(self):
        self.round += 1
        return f"round-{self.round}"

    def await_event(self, name, limit=LIMIT):
        end = time.monotonic() + limit
        while not (self.shared / name).exists():
            if time.monotonic() > end:
                return None
            time.sleep(0.01)
        return (self.shared / name).stat().st_mtime

    def cue(self, name):
        (self.shared / name).mkdir()

    def held_and_awaited(self, kind):
        tag = self.tag()
        holder = self.start("c2", "hold", kind, tag)
        assert self.await_event(f"{tag}.held"), "no lock was granted"
        waiter = self.start("c1", "wait", kind, tag)
        assert self.await_event(f"{tag}.waits")
        return tag, holder, waiter

    def stats(self, client):
        return {op: int(count) for op, count in map(str.split, self.run("stats", client).splitlines())}

    def packets(self, client):
        return int(self.run("exec", client, "cat", "/sys/class/net/vec0/statistics/tx_packets"))

    def say(self, kind, what, value):
        print(f"v{self.version:4} {kind:6} {what:45} {value}", flush=True)


def more(after, before):
    return {op: count - before.get(op, 0) for op, count in after.items() if count > before.get(op, 0)}


def told(seconds):
    return f"not within {LIMIT} s" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds < 2 else f"{seconds:.1f} s"


def wake_up(lab, kind, held, how="release"):
    """From the holder's last act until the waiter has the lock."""
    tag, holder, waiter = lab.held_and_awaited(kind)
    time.sleep(held)
    lab.cue(f"{tag}.{how}")
    over, got = lab.await_event(f"{tag}.over"), lab.await_event(f"{tag}.got")
    if got is None:
        waiter.kill()
    waiter.wait()
    holder.wait()
    assert got is None or got > over - 0.02, "the lock does not exclude"
    return None if got is None else max(got - over, 0)


def costs(lab, kind):
    for job, what in ("cycle", "a lock and unlock, file open"), ("reopen", "open, lock, close"):
        before, packets = lab.stats("c1"), lab.packets("c1")
        lab.start("c1", job, kind, "").wait()
        asked, packets = more(lab.stats("c1"), before), lab.packets("c1") - packets
        each = " ".join(f"{count / CYCLES:.2f} {op}" for op, count in asked.items())
        lab.say(kind, f"{what}: requests", f"{each or 'no NFS requests'}; {packets / CYCLES:.1f} packets")


def waiting_costs(lab, kind):
    tag, holder, waiter = lab.held_and_awaited(kind)
    time.sleep(2)
    before, packets = lab.stats("c1"), lab.packets("c1")
    time.sleep(40)
    asked, packets = more(lab.stats("c1"), before), lab.packets("c1") - packets
    lab.say(kind, "a waiter's requests in 40 s", f"{asked or 'none'}; {packets} packets")
    lab.cue(f"{tag}.release")
    waiter.wait()
    holder.wait()


def waiter_is_killed(lab, kind, prepare=lambda: None, undo=lambda: None):
    """How long it takes to die, and whether what it waited for is free afterwards."""
    tag, holder, waiter = lab.held_and_awaited(kind)
    time.sleep(1)
    prepare()
    began = time.monotonic()
    (pid,) = os.listdir(lab.shared / f"{tag}.waits")
    lab.run("exec", "c1", "sh", "-c", f"kill -9 {pid}")
    try:
        waiter.wait(timeout=LIMIT)
        dead = time.monotonic() - began
    except subprocess.TimeoutExpired:
        dead = None
    undo()
    lab.cue(f"{tag}.release")
    holder.wait()
    began = time.monotonic()
    tag = lab.tag()
    lab.start("c2", "wait", kind, tag)
    free = lab.await_event(f"{tag}.got")
    return f"dead in {told(dead)}; the lock is free again after {told(None if free is None else time.monotonic() - began)}"


def server_restarts(lab, kind):
    """From the holder's release, after the server was killed and booted while one waits, until the waiter has it."""
    tag, holder, waiter = lab.held_and_awaited(kind)
    time.sleep(1)
    lab.run("restart", "server")
    time.sleep(20)  # grace is over
    too_early = (lab.shared / f"{tag}.got").exists()
    lab.cue(f"{tag}.release")
    over, got = lab.await_event(f"{tag}.over"), lab.await_event(f"{tag}.got")
    waiter.kill()
    holder.wait()
    if too_early:
        return "GOT WHILE IT WAS HELD"
    return told(None if over is None or got is None else got - over)


def client_is_lost(lab, kind):
    """From a power cut of the holder's client until the waiter has the lock. The client stays away."""
    tag, _holder, waiter = lab.held_and_awaited(kind)
    time.sleep(1)
    lab.run("crash", "c2")
    began = time.time()
    got = lab.await_event(f"{tag}.got")
    if got is None:
        lab.run("start", "c2")
        late = lab.await_event(f"{tag}.got")
        waiter.kill()
        return f"not within {LIMIT} s; {told(None if late is None else late - began - LIMIT)} after it is booted again"
    waiter.wait()
    lab.run("start", "c2")
    return told(got - began)


def measure(version):
    lab = Lab(version)
    for kind in KINDS:
        costs(lab, kind)
        for held, rounds in (0.5, 12), (10, 3):
            times = [wake_up(lab, kind, held) for _ in range(rounds)]
            times = sorted(LIMIT if time is None else time for time in times)
            lab.say(kind, f"wake-up, held for {held} s", f"median {told(times[rounds // 2])}, most {told(times[-1])}")
        lab.say(kind, "the holder is killed", told(wake_up(lab, kind, 1, "die")))
        lab.say(kind, "the waiter is killed", waiter_is_killed(lab, kind))
        muted = waiter_is_killed(lab, kind, lambda: lab.run("mute", "c1"), lambda: lab.run("unmute", "c1"))
        lab.say(kind, "... while the server can't be heard", muted)
        waiting_costs(lab, kind)
        lab.say(kind, "the server is killed and booted meanwhile", server_restarts(lab, kind))
        lab.say(kind, "the holder's client loses power", client_is_lost(lab, kind))
    lab.run("down")


if sys.argv[1:2] == ["in-guest"]:
    _me, _in_guest, job, *arguments = sys.argv
    {"hold": hold, "wait": wait, "cycle": cycle, "reopen": reopen}[job](*arguments)
else:
    for version in sys.argv[1:] or ["3", "4.0", "4.1", "4.2"]:
        measure(version)
