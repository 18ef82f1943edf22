//! A program that appends to a ledger to which programs on other machines append, too.
//!
//!     cargo run --example embed -- /shared/ledger "a line"

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use linklock::Lock;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let ledger = PathBuf::from(args.next().ok_or("usage: embed LEDGER LINE")?);
    let line = args.next().ok_or("usage: embed LEDGER LINE")?.to_string_lossy().into_owned();

    let mut beside = ledger.clone().into_os_string();
    beside.push(".lock");
    let lock = Lock::options(beside).timeout(Duration::from_secs(30)).build()?;

    let guard = lock.lock()?;
    let mut file = OpenOptions::new().append(true).create(true).open(&ledger)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    // Returns an error if the lock was lost meanwhile, unlike dropping the guard.
    guard.unlock()?;
    Ok(())
}
