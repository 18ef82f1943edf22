//! The processes that use the locks of a disk until the power cut.

use std::env;
use std::fs::OpenOptions;
use std::io::{Read, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::thread::{scope, sleep};
use std::time::Duration;

use linklock::{LockGuard, LockOptions, Owner};

use super::{LIFETIME, SLOP};
use crate::kit::again::this_program;
use crate::kit::worker::Worker;

const DIR: &str = "LINKLOCK_TEST_DISK";
const HOST: &str = "LINKLOCK_TEST_HOST";

/// The pause between two locks that the same thread acquires and keeps.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a lock is held that is released.
const SHORT: Duration = Duration::from_millis(5);

/// Two processes: one whose death can be proven afterwards, and one that claims to be on another
/// host, whose death can't.
pub(crate) struct Users([Worker; 2]);

impl Users {
    pub(crate) fn of(disk: &Path) -> Users {
        Users([None, Some("elsewhere")].map(|host| {
            let mut command = this_program("worker");
            command.env(DIR, disk);
            if let Some(host) = host {
                command.env(HOST, host);
            }
            let mut worker = Worker::start(&mut command);
            assert_eq!(worker.report().as_deref(), Some("at work"));
            worker
        }))
    }

    pub(crate) fn kill(&mut self) {
        self.0.iter_mut().for_each(Worker::kill_and_reap);
    }
}

/// The process's side: uses locks in all ways at once, until the power cut, or the end of the test.
pub(crate) fn work() {
    let Some(dir) = env::var_os(DIR) else { return }; // started by hand, with `--include-ignored`
    let user = User { dir: dir.into(), host: env::var(HOST).ok() };
    scope(|scope| {
        let user = &user;
        let ways: [fn(&User); 8] = [
            User::hold,
            User::hand_over,
            User::hold_with_token,
            User::release,
            User::contend,
            User::contend,
            User::leave,
            User::break_what_is_left,
        ];
        for way in ways {
            scope.spawn(move || way(user));
        }
        scope.spawn(|| user.sync_something_else());
        println!("\nworker: at work");
        let _ = stdin().read_to_end(&mut Vec::new());
        exit(0);
    });
}

struct User {
    dir: PathBuf,
    host: Option<String>,
}

impl User {
    /// A lock that both processes use.
    fn shared(&self, name: &str) -> LockOptions {
        let options = linklock::Lock::options(self.dir.join(name));
        let options = options.lifetime(LIFETIME).clock_slop(SLOP);
        match &self.host {
            Some(host) => options.host_name(host),
            None => options,
        }
    }

    /// A lock that only this process uses.
    fn own(&self, name: &str) -> LockOptions {
        self.shared(&format!("{name}-{}", self.host.as_deref().unwrap_or("here")))
    }

    /// Takes one lock after the other and keeps them, every second one by a keep-alive.
    fn hold(&self) {
        let mut held = Vec::new();
        for number in 0.. {
            let guard = lock(self.own(&format!("held-{number}")));
            if number % 2 == 0 {
                guard.keep_alive(|_| ()).unwrap();
            }
            held.push(guard);
            sleep(PAUSE);
        }
    }

    /// Locks that are detached to another process, or to none: the lock file is replaced by rename.
    fn hand_over(&self) {
        for number in 0.. {
            let guard = lock(self.own(&format!("handed-over-{number}")));
            let this = Owner::Process(std::process::id());
            // On a busy machine its lease may be over.
            let _ = guard.detach(if number % 2 == 0 { Owner::Lease } else { this });
            sleep(PAUSE);
        }
    }

    /// Locks with the counter of fencing tokens beside them, held and released.
    fn hold_with_token(&self) {
        let mut held = Vec::new();
        for number in 0.. {
            held.push(lock(self.own(&format!("fenced-{number}")).fencing(true)));
            for _ in 0..3 {
                let guard = lock(self.own("fenced-again").fencing(true));
                sleep(SHORT);
                release(guard);
            }
            sleep(PAUSE);
        }
    }

    /// One lock, acquired and released without end.
    fn release(&self) {
        loop {
            release(lock(self.own("released")));
        }
    }

    /// A lock that four threads of two processes wait for.
    fn contend(&self) {
        loop {
            let guard = lock(self.shared("contended"));
            sleep(SHORT);
            release(guard);
        }
    }

    /// A lock that is never released...
    fn leave(&self) {
        loop {
            std::mem::forget(lock(self.shared("left")));
        }
    }

    /// ... but broken: there are seats, and lock files that were put aside.
    fn break_what_is_left(&self) {
        let lock = self.shared("left").build().unwrap();
        loop {
            let _ = lock.break_if(|_| true); // unless the other process has
            sleep(SHORT);
        }
    }

    /// As any program may: on ext4 and XFS the journal is then written, with all names.
    fn sync_something_else(&self) {
        let path = self.dir.join(self.host.as_deref().unwrap_or("here"));
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        loop {
            file.write_all(b"something else\n").unwrap();
            file.sync_data().unwrap();
            sleep(Duration::from_millis(100));
        }
    }
}

fn lock(options: LockOptions) -> LockGuard {
    options.build().unwrap().lock().unwrap()
}

/// On a busy machine its lease may be over.
fn release(guard: LockGuard) {
    guard.unlock_if_held().unwrap();
}
