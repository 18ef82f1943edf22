//! The background process of `linklock acquire --keep-alive`, which keeps a lock alive until it is
//! released or its owner has ended.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use linklock::{Life, Lock};

use super::{background, leave};
use crate::exit::{self, Failure};
use crate::options::LockOptions;
use crate::time;

/// A name that no user would type.
pub(crate) const NAME: &str = "__keep";

/// Keeps a lock alive until it is released or its owner has ended
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    lock: PathBuf,
    claim: PathBuf,
    #[arg(long, value_parser = time::parse, allow_hyphen_values = true)]
    lifetime: Duration,
    #[command(flatten)]
    options: LockOptions,
}

/// Starts the keep-alive process for a lock that was detached with this claim, and waits until it
/// is ready.
pub(super) fn start(
    lock: &Path,
    claim: &Path,
    lifetime: Duration,
    options: &LockOptions,
) -> io::Result<()> {
    let lock = std::path::absolute(lock)?;
    background::start(|process| {
        process.arg(NAME).arg("--lifetime").arg(format!("{}ms", lifetime.as_millis()));
        process.args(options.arguments()).arg("--").args([&lock, claim]);
    })
}

pub(crate) fn keep(args: &Args) -> Result<u8, Failure> {
    background::leave_script()?;
    let lock = args.options.lock(&args.lock).lifetime(args.lifetime).build()?;
    let guard = lock.attach(&args.claim)?;
    let (lost, is_lost) = channel();
    guard.keep_alive(move |error| {
        let _ = lost.send(error);
    })?;
    background::say_ready()?;

    let pause = (args.lifetime / 6).clamp(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        if is_lost.recv_timeout(pause).is_ok() {
            leave(guard); // most likely released; at worst broken
            return Ok(exit::LOST);
        }
        if owner_is_dead(&lock, &args.claim) {
            guard.unlock()?;
            return Ok(0);
        }
    }
}

/// An owner of which nothing is known, such as `none`, counts as alive.
fn owner_is_dead(lock: &Lock, claim: &Path) -> bool {
    let holder = lock.holder().ok().flatten();
    holder.is_some_and(|holder| holder.claim_path() == claim && holder.life() == Life::Dead)
}

impl LockOptions {
    /// The equivalent command-line arguments.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![
            "--separator".into(),
            self.separator.to_string().into(),
            "--clock-slop".into(),
            format!("{}ms", self.clock_slop.as_millis()).into(),
        ];
        if let Some(name) = &self.host_name {
            arguments.extend(["--host-name".into(), name.clone()]);
        }
        arguments
    }
}
