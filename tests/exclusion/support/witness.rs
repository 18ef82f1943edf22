//! The witness: a name that only one holder of a lock can have at a time.
//!
//! It is made exclusively, as `O_EXCL` would make it, but by symlink(2): that is one step, so a
//! holder that is killed at any moment leaves a witness that names it, or none. `O_EXCL` and a
//! write are two, and leave an empty file in between that says nothing.
//!
//! A dead holder leaves its witness behind. The next one may take it down only if the death is proven (by
//! pid and start time), or if the lease was over before its own tenure began.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kit::clock::now;
use crate::kit::process::Process;

/// When the lock of a holder that did not release it may be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Once its lease is over, alive or dead.
    Lease,
    /// Once its lease is over or it is dead.
    LeaseOrLife,
}

/// The token of the holder whose witness was found.
pub(crate) type Other = String;

/// The witness of a holder.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    testimony: String,
    lease_ends: Duration,
}

impl Witness {
    /// Makes the witness of a process that has had the lock since `since`. If another holds the lock too, says
    /// which; that one's witness is taken down then, so that each fault counts once.
    pub(crate) fn stand(
        path: &Path,
        rule: Rule,
        token: &str,
        since: Duration,
        lease_ends: Duration,
    ) -> (Witness, Result<(), Other>) {
        let testimony = format!("{} {token} {}", Process::this(), lease_ends.as_nanos());
        let mut verdict = Ok(());
        // A holder that stalled until its lease was over holds nothing, and may meet its successor.
        while now() < lease_ends {
            match symlink(&testimony, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => {
                    made.expect("a witness can be made");
                    break;
                }
            }
            let Some(other) = read(path) else { continue };
            // It was there while our lease ran: else it is our successor's, and we are late.
            if now() < lease_ends && holds(&other, rule, since) {
                verdict = Err(token_of(&other));
            }
            if now() >= lease_ends {
                break;
            }
            // Of two that take over from one, each learns which witness it took down.
            let taken = take_down(path, token).filter(|taken| *taken != other);
            if let Some(taken) = taken.filter(|_| now() < lease_ends) {
                verdict = Err(token_of(&taken));
            }
        }
        (Witness { path: path.to_owned(), testimony, lease_ends }, verdict)
    }

    /// Looks for the witness of a process that may not hold the lock while a reader has had it since
    /// `since`.
    pub(crate) fn of_another(
        path: &Path,
        rule: Rule,
        since: Duration,
        lease_ends: Duration,
    ) -> Result<(), Other> {
        match read(path) {
            Some(other) if holds(&other, rule, since) && now() < lease_ends => {
                Err(token_of(&other))
            }
            _ => Ok(()),
        }
    }

    /// Takes our own witness down, before the lock is released. It must still be there, unless the
    /// lease has ended: then it is left to the next holder.
    pub(crate) fn leave(self) -> Result<(), Other> {
        let found = read(&self.path);
        if now() >= self.lease_ends {
            return Ok(());
        }
        if found.as_ref() != Some(&self.testimony) {
            return Err(found.map_or("nobody".to_owned(), |found| token_of(&found)));
        }
        fs::remove_file(&self.path).map_err(|error| error.kind().to_string().replace(' ', "-"))
    }
}

fn read(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.into_os_string().into_string().expect("a witness is text"))
}

/// Whether this witness's process holds the lock while another has had it since `since`.
fn holds(testimony: &str, rule: Rule, since: Duration) -> bool {
    let mut words = testimony.split(' ');
    let mut next = || words.next().expect("a witness has three words");
    let process: Process = next().parse().expect("the first is a process");
    let _token = next();
    let lease_ends = Duration::from_nanos(next().parse().expect("the last is a number"));
    // Asked after `since`: a process that is alive now was alive then.
    since < lease_ends && (rule == Rule::Lease || process.is_alive())
}

fn token_of(testimony: &str) -> String {
    testimony.split(' ').nth(1).expect("a witness has three words").to_owned()
}

/// Takes a witness down, by a rename: of two processes that do so at once each learns which one it
/// took.
fn take_down(path: &Path, token: &str) -> Option<String> {
    let aside = path.with_extension(token);
    fs::rename(path, &aside).ok()?;
    let taken = read(&aside);
    fs::remove_file(&aside).expect("it is ours alone");
    taken
}
