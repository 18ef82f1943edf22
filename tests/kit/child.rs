//! A forked child of the test's process.

use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use super::wait::LIMIT;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// A forked child.
#[derive(Debug)]
pub(crate) struct Child(Pid);

impl Child {
    /// Does some work in a forked child, which ends without returning to the test harness. Its
    /// status is 0 if the work was completed.
    pub(crate) fn fork(work: impl FnOnce()) -> Child {
        // SAFETY: the child has only this thread, and mutexes that others held stay locked in it.
        // It does only what is tested; the C library's allocator may be used after a fork.
        #[allow(unsafe_code)]
        let forked = unsafe { fork() }.unwrap();
        match forked {
            ForkResult::Parent { child } => Child(child),
            ForkResult::Child => {
                let done = catch_unwind(AssertUnwindSafe(work));
                if let Err(Some(why)) = done.as_ref().map_err(|why| why.downcast_ref::<String>()) {
                    let _ = writeln!(stderr(), "forked child: {why}"); // past the test harness
                }
                // SAFETY: it ends the process, without running what the parent has set up to run.
                #[allow(unsafe_code)]
                unsafe {
                    nix::libc::_exit(i32::from(done.is_err()))
                }
            }
        }
    }

    /// The child's exit status, unless it hangs.
    pub(crate) fn status(&self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)).unwrap() {
                WaitStatus::Exited(_, status) => return Some(status),
                WaitStatus::StillAlive => thread::sleep(Duration::from_micros(100)),
                other => panic!("{other:?}"),
            }
        }
        self.kill();
        None
    }

    pub(crate) fn kill(&self) {
        kill(self.0, Signal::SIGKILL).unwrap();
        waitpid(self.0, None).unwrap();
    }
}
