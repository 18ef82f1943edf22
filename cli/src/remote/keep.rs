//! The background process of `linklock acquire --keep-alive URL`, which keeps a server's lock alive until it
//! is released or its owner has ended. The server does not know the owner: to it the lock belongs to those
//! that have its secret.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use linklock_relukko::v2::LockGuard;

use super::claim::{Claim, VARIABLE};
use super::owner::Owner;
use super::{Target, failure, usage};
use crate::exit::{self, Failure};
use crate::script::background;

/// A name that no user would type.
pub(crate) const NAME: &str = "__keep-url";

/// How often to look whether the owner lives.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps a server's lock alive until it is released or its owner has ended
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    url: PathBuf,
    #[arg(long)]
    owner: Option<Owner>,
}

/// Starts the process for a lock with this claim, and waits until it is ready.
pub(super) fn start(target: &Target, claim: &Claim, owner: Option<&Owner>) -> io::Result<()> {
    background::start(|process| {
        process.arg(NAME).env(VARIABLE, claim.text());
        process.args(owner.map(|owner| format!("--owner={owner}")));
        process.arg("--").arg(target.url.to_string());
    })
}

pub(crate) fn keep(args: &Args) -> Result<u8, Failure> {
    background::leave_script()?;
    let target = Target::of(&args.url, None)?;
    let claim = Claim::around().ok_or_else(|| usage("the claim is missing"))?;
    let guard = target.client.adopt(claim.id, &claim.secret).map_err(failure)?;
    let (lost, is_lost) = channel();
    let kept = guard.keep_alive(move |error| {
        let _ = lost.send(error);
    });
    kept.map_err(failure)?;
    background::say_ready()?;
    loop {
        if is_lost.recv_timeout(LOOK).is_ok() {
            leave(guard); // most likely released; at worst broken
            return Ok(exit::LOST);
        }
        if args.owner.as_ref().is_some_and(Owner::has_ended) {
            guard.unlock().map_err(failure)?;
            return Ok(0);
        }
    }
}

/// Leaves the lock to those that have its secret.
fn leave(guard: LockGuard) {
    let _ = guard.detach();
}
