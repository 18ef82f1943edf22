//! Inotify instances that nobody uses just now.
//!
//! close(2) of an instance waits for a grace period of the kernel (SRCU), for 5 to 35 ms. So a
//! waiter that has won the lock never closes its instance: it leaves it here, for the next wait of
//! the process. But a user has only so many instances (128, unless `max_user_instances` says
//! otherwise), and an idle process must not keep them from others. So they are
//! [closed](close_one) at calm moments, one at a time.
//!
//! Each slot has a mutex of its own that nobody waits for: a fork may have left it locked in the
//! child.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::inotify::{InitFlags, Inotify, WatchDescriptor};

use super::unshared::Unshared;
use crate::sys::fs::process_id;

/// An instance, which a forked child does not inherit.
pub(super) type Instance = Arc<Unshared<Inotify>>;

/// Room for all instances that a user has by default.
static SLOTS: [Mutex<Option<Idle>>; 128] = [const { Mutex::new(None) }; 128];

/// How many slots are taken, so that nobody looks for what is not there.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// How many may be idle for as long as they are used again soon.
const MOST: usize = 4;
/// A process that has not waited for so long does not need an instance at once.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Idle {
    instance: Instance,
    /// What it still watches. To end that takes a system call for each, which the next wait does:
    /// this one has just won the lock. (A watch also ends by itself with its inode.)
    watched: Vec<WatchDescriptor>,
    /// The process that it belongs to: a forked child finds its parent's here.
    pid: u32,
    since: Instant,
}

/// An idle instance and what it still watches, or a new one. `None` if the user has too many.
pub(super) fn take() -> Option<(Instance, Vec<WatchDescriptor>)> {
    let idle = take_one(|_, idle| idle.is_free()).filter(|idle| idle.pid == process_id());
    if let Some(idle) = idle {
        return Some((idle.instance, idle.watched));
    }
    let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
    Inotify::init(flags).ok().map(|inotify| (Arc::new(Unshared::new(inotify)), Vec::new()))
}

/// Keeps an instance, and what it watches, for the next wait.
pub(super) fn put(instance: Instance, watched: Vec<WatchDescriptor>) {
    let idle = Idle { instance, watched, pid: process_id(), since: Instant::now() };
    if let Some((_, mut slot)) = open_slots().find(|(_, slot)| slot.is_none()) {
        *slot = Some(idle);
        TAKEN.fetch_add(1, Ordering::Relaxed);
    }
}

/// Closes an instance, if there are more than a few or it has not been used for a while. Blocks for
/// a grace period if so: no other process may be waiting for the caller.
pub(crate) fn close_one() {
    drop(take_one(|number, idle| number >= MOST || idle.since.elapsed() >= REST));
}

/// Takes the first instance out of its slot that this is true of.
fn take_one(is_wanted: impl Fn(usize, &Idle) -> bool) -> Option<Idle> {
    if TAKEN.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let taken =
        open_slots().find_map(|(number, mut slot)| slot.take_if(|idle| is_wanted(number, idle)));
    taken.inspect(|_| _ = TAKEN.fetch_sub(1, Ordering::Relaxed))
}

/// The slots that no other thread is looking at.
fn open_slots() -> impl Iterator<Item = (usize, MutexGuard<'static, Option<Idle>>)> {
    let open = |(number, slot): (usize, &'static Mutex<_>)| Some((number, slot.try_lock().ok()?));
    SLOTS.iter().enumerate().filter_map(open)
}

impl Idle {
    /// Whether no pause that was given up on is still about to let go of it.
    fn is_free(&self) -> bool {
        Arc::strong_count(&self.instance) == 1
    }
}
