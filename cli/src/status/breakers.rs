//! The programs that would break an abandoned lock, and when.
//!
//! Several programs may use the same file as their lock: a mailbox's dotlock, for example. Each has
//! its own rule for when a lock is stale, and goes by its own host's clock.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::time;

/// The facts that the rules are based on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// When the lease ends, for a lock in our format or flufl.lock's.
    pub(crate) lease_ends: Option<SystemTime>,
    pub(crate) holder_is_dead: bool,
    pub(crate) modified: SystemTime,
    pub(crate) changed: SystemTime,
    pub(crate) size: u64,
    pub(crate) clock_slop: Duration,
    /// The server's time.
    pub(crate) now: SystemTime,
}

/// A program that would break the lock, if the lock is not touched until then.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Breaker {
    pub(crate) peer: &'static str,
    /// The rule that determines the time.
    pub(crate) rule: String,
    pub(crate) at: Option<String>,
    /// Negative if it would break the lock at once.
    pub(crate) in_seconds: f64,
}

const FLUFL_SLOP: Duration = Duration::from_secs(10);
/// The largest file that procmail regards as a lock.
const PROCMAIL_SIZE: u64 = 16;

/// The programs that would break the lock, soonest first. mutt_dotlock never does so by itself, and
/// lockfile(1) only with the option for it.
pub(crate) fn breakers(facts: &Facts) -> Vec<Breaker> {
    let Facts { modified, changed, .. } = *facts;
    let seconds = Duration::from_secs;
    let mut breakers = Vec::new();
    let mut add = |peer, from: SystemTime, after, rule: String| {
        let Some(at) = from.checked_add(after) else { return };
        let in_seconds = time::signed_seconds(at, facts.now);
        breakers.push(Breaker { peer, rule, at: time::date(at), in_seconds });
    };
    if let Some(ends) = facts.lease_ends {
        if facts.holder_is_dead {
            add("linklock", facts.now, Duration::ZERO, "its holder is dead".to_owned());
        } else {
            let slop = time::show(facts.clock_slop);
            add("linklock", ends, facts.clock_slop, format!("{slop} after the lease"));
        }
        add("flufl.lock", ends, FLUFL_SLOP, "10s after the lease, by its own clock".to_owned());
    }
    let unchanged = |time: &str| format!("once unchanged for {time}, if it uses this lock");
    let unmodified = |time: &str| format!("{time} after its mtime, if it uses this lock");
    add("dovecot", changed, seconds(120), unchanged("120s"));
    add("dotlockfile", modified, seconds(300), unmodified("300s"));
    add("postfix", changed, seconds(500), unchanged("500s"));
    if facts.size <= PROCMAIL_SIZE {
        add("procmail", modified, seconds(1024), unmodified("1024s"));
    }
    add("exim", changed, seconds(1800), unchanged("30m"));
    breakers.sort_by(|one, other| one.in_seconds.total_cmp(&other.in_seconds));
    breakers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |seconds| now - Duration::from_secs(seconds);
        Facts {
            lease_ends: Some(now + Duration::from_secs(15)),
            holder_is_dead: false,
            modified: now + Duration::from_secs(15),
            changed: ago(20),
            size: 40,
            clock_slop: Duration::from_secs(10),
            now,
        }
    }

    fn peers(facts: &Facts) -> Vec<(&'static str, f64)> {
        breakers(facts).iter().map(|breaker| (breaker.peer, breaker.in_seconds)).collect()
    }

    #[test]
    fn each_program_follows_its_own_rule() {
        let expected = [
            ("linklock", 25.0),
            ("flufl.lock", 25.0),
            ("dovecot", 100.0),
            ("dotlockfile", 315.0),
            ("postfix", 480.0),
            ("exim", 1780.0),
        ];
        assert_eq!(peers(&facts()), expected);
    }

    #[test]
    fn a_dead_holders_lock_is_taken_over_at_once() {
        let dead = Facts { holder_is_dead: true, ..facts() };
        assert_eq!(peers(&dead)[0], ("linklock", 0.0));
    }

    #[test]
    fn a_dotlock_is_left_alone_by_programs_that_use_leases() {
        let modified = facts().now;
        let dotlock = Facts { lease_ends: None, size: 2, modified, ..facts() };
        let peers: Vec<_> = peers(&dotlock).iter().map(|(peer, _)| *peer).collect();
        assert_eq!(peers, ["dovecot", "dotlockfile", "postfix", "procmail", "exim"]);
    }
}
