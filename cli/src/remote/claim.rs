//! The claim of a server's lock: its id and its secret, which pass from one command of a script to the next
//! in the environment, where other users cannot read them.

use std::env;

use linklock_relukko::v2::Secret;
use linklock_relukko::{ClientError, LockId};

use super::{Target, failure, usage};
use crate::exit::{self, Failure};
use crate::script::Held;

pub(super) const VARIABLE: &str = "LINKLOCK_CLAIM";

pub(super) struct Claim {
    pub(super) id: LockId,
    pub(super) secret: Secret,
}

impl Claim {
    /// As `acquire` prints it.
    pub(super) fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret.expose())
    }

    fn parse(text: &str) -> Option<Claim> {
        let (id, secret) = text.split_once('.')?;
        Some(Claim { id: id.parse().ok()?, secret: secret.parse().ok()? })
    }

    /// The claim in the environment: that of the linklock around this command, or what a script has set.
    pub(super) fn around() -> Option<Claim> {
        Claim::parse(&env::var(VARIABLE).ok()?)
    }

    /// The claim of the lock that a command is about.
    pub(super) fn of(held: &Held) -> Result<Claim, Failure> {
        if held.claim.is_some() {
            return Err(usage(format_args!(
                "the claim of a server's lock is a secret, and every user can read a command's arguments: \
                 set {VARIABLE} to it, and leave CLAIM out"
            )));
        }
        let missing = format!("set {VARIABLE} to the claim that `linklock acquire` printed");
        Claim::around().ok_or_else(|| usage(missing))
    }

    /// Fails if the claim is of a lock with another name.
    pub(super) fn check(target: &Target, name: &str) -> Result<(), Failure> {
        if name == target.url.name() {
            return Ok(());
        }
        let asked = target.url.name();
        Err(usage(format_args!("the claim in {VARIABLE} is of lock {name:?}, not of {asked:?}")))
    }

    /// A lock that the server does not have any more was lost.
    pub(super) fn failure(&self, target: &Target, error: ClientError) -> Failure {
        if matches!(error, ClientError::NotFound(_)) {
            let why = format!(
                "lock {} was lost: the server has ended the tenure {}",
                target.url, self.id
            );
            return Failure::new(exit::LOST, why);
        }
        failure(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_is_written() {
        let text = "950daa20-a814-451e-9407-ec496cf9c136.a.secret.with.dots";
        assert_eq!(Claim::parse(text).unwrap().text(), text);
        for other in
            ["", "/shared/report.lock|host|1|x0", "950daa20-a814-451e-9407-ec496cf9c136.short"]
        {
            assert!(Claim::parse(other).is_none(), "{other}");
        }
    }
}
