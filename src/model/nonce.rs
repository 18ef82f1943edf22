//! The nonce of a claim, and what it says about the claim's process.

use std::fmt::Write;
use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::holder::Role;
use crate::model::hint::split_address;
use crate::sys::process::{Proof, WORLD_BITS};

/// The most characters that a nonce can have.
pub(super) const NONCE_MAX: usize = 64;

/// The number that distinguishes one claim, and so one incarnation, from others. flufl.lock's is
/// decimal; ours is `x` and 64 random bits in hexadecimal, then, where they are known, `w` and the
/// hash of the world, `s` and the start time of the process, and `k` and the hash of the boot; `n` and
/// the number of slots, where the lock is one of a set, or `r` where a reader holds it for a moment; and
/// in the end the [address](address_part) for wake-up hints, if it has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Nonce(pub(super) Arc<str>);

impl Nonce {
    pub(crate) fn new(random: u64, proof: Option<Proof>, role: Role) -> Nonce {
        const DIGITS: usize = (WORLD_BITS / 4) as usize;
        let mut nonce = String::with_capacity(NONCE_MAX);
        let _ = write!(nonce, "x{random:016x}"); // writing to a String never fails
        if let Some(Proof { world, started, boot }) = proof {
            let _ = write!(nonce, "w{world:0DIGITS$x}s{started:x}");
            if let Some(boot) = boot {
                let _ = write!(nonce, "k{boot:08x}");
            }
        }
        let _ = match role {
            Role::Alone => Ok(()),
            Role::Slot(of) => write!(nonce, "n{of}"),
            Role::Entrance => write!(nonce, "r"),
        };
        Nonce(nonce.into())
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Nonce> {
        let fits = (1..=NONCE_MAX).contains(&bytes.len());
        let plain = bytes.iter().all(u8::is_ascii_alphanumeric);
        (fits && plain).then(|| Nonce(String::from_utf8_lossy(bytes).into()))
    }

    /// What it says about its process, and the role of its lock.
    fn split_role(&self) -> (&str, Role) {
        let (nonce, _) = split_address(&self.0);
        if let Some(own) = nonce.strip_suffix('r') {
            return (own, Role::Entrance);
        }
        match nonce.rsplit_once('n') {
            Some((own, of)) => (own, of.parse().map_or(Role::Alone, Role::Slot)),
            None => (nonce, Role::Alone),
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.split_role().1
    }

    pub(super) fn proof(&self) -> Option<Proof> {
        let (random, rest) = self.split_role().0.strip_prefix('x')?.split_once('w')?;
        let (world, rest) = rest.split_once('s')?;
        let (started, boot) = match rest.split_once('k') {
            Some((started, boot)) => (started, Some(u32::from_str_radix(boot, 16).ok()?)),
            None => (rest, None),
        };
        u64::from_str_radix(random, 16).ok()?;
        Some(Proof {
            world: u64::from_str_radix(world, 16).ok()?,
            started: u64::from_str_radix(started, 16).ok()?,
            boot,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its claim's process waits for questions, if it says so.
    pub(crate) fn address(&self) -> Option<SocketAddrV4> {
        split_address(&self.0).1.filter(|_| self.0.starts_with('x'))
    }

    /// The nonce as a key: a seat must not look like a claim, whose third field is a number.
    pub(super) fn key(&self) -> Arc<str> {
        if self.is_number() { format!("n{}", self.0).into() } else { self.0.clone() }
    }

    /// Its unique part: for names that are never parsed back.
    pub(super) fn short_key(&self) -> Arc<str> {
        match self.0.find(['w', 'n', 'r', 'u']) {
            Some(end) if self.0.starts_with('x') => self.0[..end].into(),
            _ => self.key(),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        self.0.starts_with(|first: char| first.is_ascii_digit())
    }
}
