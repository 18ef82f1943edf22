//! Wake-up hints: the datagrams that a waiter and a holder on another machine exchange, and the
//! address in a claim's nonce to which a waiter sends its own.
//!
//! | datagram | from | to | says |
//! |---|---|---|---|
//! | [`Hint::Ask`] | a waiter | the holder | "wake me after the tenure with this nonce" |
//! | [`Hint::Kept`] | a holder | a waiter that asked | "the lease is renewed every so often" |
//! | [`Hint::Turn`] | a former holder | a waiter that asked | "try now; these waiters come after you" |
//!
//! A hint is never a right: only the hard link acquires the lock. An answer repeats the random
//! number of the waiter's question, which a sender that has not seen it cannot guess.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// How many bytes a question has. It is padded, so that no answer is longer: a forged sender's
/// address would otherwise make holders send more than they receive.
pub(crate) const QUESTION: usize = 512;
/// The most waiters that one answer can name.
pub(crate) const MOST_WAITERS: usize = 24;
/// How often a question is acknowledged. With the other answers, this is shorter than the question.
pub(crate) const ACKNOWLEDGEMENTS: usize = 8;

const MAGIC: &[u8; 4] = b"llh1";
const ASK: u8 = b'?';
const KEPT: u8 = b'=';
const TURN: u8 = b'!';
/// The letter before the address in a nonce: no hexadecimal digit, and none that a nonce uses.
const ADDRESS: char = 'u';
/// An IPv4 address and a port, in hexadecimal digits.
const DIGITS: usize = 12;

/// A waiter that has asked, and where it waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) address: SocketAddrV4,
    /// The random number in its question.
    pub(crate) cookie: u64,
}

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Asks the holder whose claim has this nonce for a wake-up.
    /// If the waiter had been woken before and came too late, it passes on the list that it got.
    Ask { cookie: u64, nonce: String, next: Vec<Asker> },
    /// The holder is alive and will renew its lease: observing it once in this time is enough.
    Kept { cookie: u64, period: Duration },
    /// The lock was released: the waiter is to try after this time, and to wake `next` after its
    /// own tenure.
    Turn { cookie: u64, after: Duration, next: Vec<Asker> },
}

impl Hint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(QUESTION);
        bytes.extend_from_slice(MAGIC);
        match self {
            Hint::Ask { cookie, nonce, next } => {
                bytes.push(ASK);
                bytes.extend_from_slice(&cookie.to_be_bytes());
                bytes.push(u8::try_from(nonce.len()).unwrap_or(0));
                bytes.extend_from_slice(nonce.as_bytes());
                push_askers(&mut bytes, next);
                bytes.resize(QUESTION, 0);
            }
            Hint::Kept { cookie, period } => {
                bytes.push(KEPT);
                bytes.extend_from_slice(&cookie.to_be_bytes());
                let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&period.to_be_bytes());
            }
            Hint::Turn { cookie, after, next } => {
                bytes.push(TURN);
                bytes.extend_from_slice(&cookie.to_be_bytes());
                let after = u16::try_from(after.as_millis()).unwrap_or(u16::MAX);
                bytes.extend_from_slice(&after.to_be_bytes());
                push_askers(&mut bytes, next);
            }
        }
        bytes
    }

    /// `None` for what is no hint. A question that was not padded is none.
    pub(crate) fn decode(datagram: &[u8]) -> Option<Hint> {
        let rest = &mut datagram.strip_prefix(MAGIC)?;
        let [kind] = take(rest)?;
        let cookie = u64::from_be_bytes(take(rest)?);
        match kind {
            ASK if datagram.len() == QUESTION => {
                let [length] = take(rest)?;
                let (nonce, others) = rest.split_at_checked(length.into())?;
                let nonce = std::str::from_utf8(nonce).ok()?.to_owned();
                *rest = others;
                Some(Hint::Ask { cookie, nonce, next: take_askers(rest)? })
            }
            KEPT => {
                let period = Duration::from_millis(u32::from_be_bytes(take(rest)?).into());
                Some(Hint::Kept { cookie, period })
            }
            TURN => {
                let after = Duration::from_millis(u16::from_be_bytes(take(rest)?).into());
                Some(Hint::Turn { cookie, after, next: take_askers(rest)? })
            }
            _ => None,
        }
    }
}

fn push_askers(bytes: &mut Vec<u8>, askers: &[Asker]) {
    let askers = &askers[..askers.len().min(MOST_WAITERS)];
    bytes.push(u8::try_from(askers.len()).unwrap_or(0));
    for Asker { address, cookie } in askers {
        bytes.extend_from_slice(&address.ip().octets());
        bytes.extend_from_slice(&address.port().to_be_bytes());
        bytes.extend_from_slice(&cookie.to_be_bytes());
    }
}

fn take_askers(rest: &mut &[u8]) -> Option<Vec<Asker>> {
    let [count] = take(rest)?;
    (0..usize::from(count).min(MOST_WAITERS)).map(|_| take_asker(rest)).collect()
}

fn take_asker(rest: &mut &[u8]) -> Option<Asker> {
    let ip = Ipv4Addr::from(take::<4>(rest)?);
    let port = u16::from_be_bytes(take(rest)?);
    let cookie = u64::from_be_bytes(take(rest)?);
    Some(Asker { address: SocketAddrV4::new(ip, port), cookie })
}

/// Takes the first bytes away.
fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

/// The part of a nonce that says where its claim's process waits for questions.
pub(crate) fn address_part(address: SocketAddrV4) -> String {
    format!("{ADDRESS}{:08x}{:04x}", u32::from(*address.ip()), address.port())
}

/// A nonce without its address, and the address if it has one that can be reached.
pub(crate) fn split_address(nonce: &str) -> (&str, Option<SocketAddrV4>) {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match nonce.split_once(ADDRESS) {
        Some((rest, digits)) if digits.len() == DIGITS && digits.bytes().all(is_digit) => {
            (rest, parse_address(digits))
        }
        _ => (nonce, None),
    }
}

fn parse_address(digits: &str) -> Option<SocketAddrV4> {
    let (ip, port) = digits.split_at(DIGITS - 4);
    let ip = Ipv4Addr::from(u32::from_str_radix(ip, 16).ok()?);
    let address = SocketAddrV4::new(ip, u16::from_str_radix(port, 16).ok()?);
    is_reachable(address).then_some(address)
}

/// Whether a datagram to this address reaches at most one process.
pub(crate) fn is_reachable(address: SocketAddrV4) -> bool {
    let ip = address.ip();
    address.port() != 0 && !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = SocketAddrV4> {
        (any::<u32>(), any::<u16>())
            .prop_map(|(ip, port)| SocketAddrV4::new(Ipv4Addr::from(ip), port))
    }

    fn hint() -> impl Strategy<Value = Hint> {
        let asker = || {
            let parts = (address(), any::<u64>());
            parts.prop_map(|(address, cookie)| Asker { address, cookie })
        };
        let ms = |count: u64| Duration::from_millis(count);
        prop_oneof![
            (any::<u64>(), "[0-9a-zA-Z]{1,64}", vec(asker(), 0..=MOST_WAITERS))
                .prop_map(|(cookie, nonce, next)| Hint::Ask { cookie, nonce, next }),
            (any::<u64>(), any::<u32>())
                .prop_map(move |(cookie, period)| Hint::Kept { cookie, period: ms(period.into()) }),
            (any::<u64>(), any::<u16>(), vec(asker(), 0..=MOST_WAITERS)).prop_map(
                move |(cookie, after, next)| Hint::Turn { cookie, after: ms(after.into()), next }
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_hint_is_read_as_it_was_sent(hint in hint()) {
            prop_assert_eq!(Hint::decode(&hint.encode()), Some(hint));
        }

        /// A question gets so many acknowledgements, one turn as the first waiter, and one as the
        /// second.
        #[test]
        fn answers_are_shorter_than_the_question(hints in vec(hint(), 200)) {
            let longest = |is_one: fn(&Hint) -> bool| {
                hints.iter().filter(|hint| is_one(hint)).map(|hint| hint.encode().len()).max()
            };
            let turn = longest(|hint| matches!(hint, Hint::Turn { .. })).unwrap_or(0);
            let second = Hint::Turn { cookie: 0, after: Duration::ZERO, next: Vec::new() };
            let kept = longest(|hint| matches!(hint, Hint::Kept { .. })).unwrap_or(0);
            let acknowledged = kept * ACKNOWLEDGEMENTS;
            prop_assert!(turn + second.encode().len() + acknowledged <= QUESTION);
            if let Some(question) = longest(|hint| matches!(hint, Hint::Ask { .. })) {
                prop_assert_eq!(question, QUESTION);
            }
        }

        #[test]
        fn no_datagram_is_misread(mut datagram in vec(any::<u8>(), 0..600), is_ours: bool) {
            if is_ours {
                datagram.splice(0..0, *MAGIC);
            }
            if let Some(hint) = Hint::decode(&datagram) {
                prop_assert!(datagram.starts_with(MAGIC));
                prop_assert!(datagram.starts_with(&hint.encode()[..13]));
            }
        }

        #[test]
        fn an_address_is_read_as_it_was_written(address in address(), nonce in "x[0-9a-f]{16}") {
            let known = is_reachable(address).then_some(address);
            let whole = format!("{nonce}{}", address_part(address));
            prop_assert_eq!(split_address(&whole), (&*nonce, known));
            prop_assert_eq!(split_address(&nonce), (&*nonce, None));
        }
    }

    #[test]
    fn what_is_cut_off_is_no_hint() {
        let asker = Asker { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1), cookie: 2 };
        let hints = [
            Hint::Ask { cookie: 1, nonce: "x1".into(), next: vec![asker] },
            Hint::Kept { cookie: 1, period: Duration::from_secs(1) },
            Hint::Turn { cookie: 1, after: Duration::ZERO, next: vec![asker] },
        ];
        for bytes in hints.map(|hint| hint.encode()) {
            for length in 0..bytes.len() {
                assert_eq!(Hint::decode(&bytes[..length]), None, "{length} of {bytes:?}");
            }
        }
    }

    #[test]
    fn no_datagram_goes_to_a_group() {
        for digits in ["000000000001", "e00000010001", "ffffffff0001", "0a0000010000"] {
            assert_eq!(split_address(&format!("x1u{digits}")), ("x1", None));
        }
    }

    #[test]
    fn a_malformed_address_stays_a_part_of_the_nonce() {
        for nonce in ["x1u", "x1u0a00000100", "x1u0A0000010001", "x1u0a0000010001u", "x1"] {
            assert_eq!(split_address(nonce), (nonce, None));
        }
    }
}
