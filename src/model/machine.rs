//! The machine that a lock is used on, which may be a simulated one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Operation};
use crate::sys::errno::{is_busy, is_estale, is_gone};
use crate::sys::fs::{Attr, Fs};
use crate::sys::hint_socket::HintNetwork;
use crate::sys::process::Processes;

/// Everything outside the protocol that its steps use.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) processes: Arc<dyn Processes>,
    pub(crate) random: fn() -> u64,
    pub(crate) network: Arc<dyn HintNetwork>,
    /// Whether the kernel can wake a waiter; `false` where time is only simulated.
    pub(crate) can_wake: bool,
}

impl Machine {
    /// The attributes of a file; `None` if it does not exist.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Attr>, Error> {
        match self.retry_estale(|| self.fs.stat(path)) {
            Ok(attr) => Ok(Some(attr)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(Error::io(Operation::Stat, path)(error)),
        }
    }

    /// Removes a file; returns whether it was there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<bool> {
        let mut asked = 0;
        let removed = self.retry_estale(|| {
            asked += 1;
            self.fs.unlink(path)
        });
        match removed {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(asked > 1), // the first request may have removed it
            Err(error) => Err(error),
        }
    }

    /// A random number that the name of a put-aside file has room for.
    pub(crate) fn random_number(&self) -> u32 {
        u32::try_from((self.random)() >> 32).unwrap_or_default()
    }

    /// ESTALE means that the client held a handle of a file that is gone, not that its name does
    /// not exist: ask again. If files come and go it can be returned several times in a row (seen
    /// on NFSv4.2); in the end it is an error like any other.
    pub(crate) fn retry_estale<T>(&self, mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut answer = ask();
        for tries in 0..8 {
            match &answer {
                Err(error) if is_estale(error) => {}
                _ => break,
            }
            if tries > 0 {
                self.clock.sleep(Duration::from_millis(1 << tries));
            }
            answer = ask();
        }
        answer
    }

    /// Linux's SMB client returns EINVAL if a file was used by its other name a moment ago, for up
    /// to a second; creating a file returns EBUSY for the same reason. In the end it is an error
    /// like any other.
    pub(crate) fn retry_busy<T>(&self, mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        for tries in 3..11 {
            match self.retry_estale(&mut ask) {
                Err(error) if is_busy(&error) => {
                    self.clock.sleep(Duration::from_millis(1 << tries));
                }
                answer => return answer,
            }
        }
        self.retry_estale(ask)
    }
}
