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
        push_hex(&mut nonce, 'x', random, 16);
        if let Some(Proof { world, started, boot }) = proof {
            push_hex(&mut nonce, 'w', world, DIGITS);
            push_hex(&mut nonce, 's', started, 1);
            if let Some(boot) = boot {
                push_hex(&mut nonce, 'k', boot.into(), 8);
            }
        }
        let _ = match role {
            Role::Alone => Ok(()),
            Role::Slot(of) => write!(nonce, "n{of}"), // writing to a String never fails
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

/// Adds a letter and a number in hexadecimal, of at least so many digits. Each acquisition makes a
/// nonce, and for that `write!` takes three times as many instructions.
fn push_hex(nonce: &mut String, letter: char, number: u64, least: usize) {
    nonce.push(letter);
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4) as usize;
    for place in (0..digits.max(least)).rev() {
        let digit = (number.to_le_bytes()[place / 2] >> (4 * (place % 2))) % 16;
        nonce.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_formatter_writes_them() {
        const DIGITS: usize = (WORLD_BITS / 4) as usize;
        for bits in [0, 1, 4, 5, 29, 48] {
            let number = (1_u64 << bits) | 0xF;
            let (random, world) = (number << 15, number >> 1);
            let boot = u32::try_from(number % (1 << 32)).unwrap();
            let proof = Proof { world, started: number, boot: Some(boot) };
            let expected = format!("x{random:016x}w{world:0DIGITS$x}s{number:x}k{boot:08x}n7");
            let nonce = Nonce::new(random, Some(proof), Role::Slot(7));
            assert_eq!(nonce.as_str(), expected);
            assert_eq!(nonce.proof(), Some(proof));
        }
        let proof = Proof { world: 0, started: 0, boot: None };
        let nonce = Nonce::new(0, Some(proof), Role::Alone);
        assert_eq!(nonce.as_str(), "x0000000000000000w000000000000s0");
    }
}
