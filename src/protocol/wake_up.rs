//! Wake-up hints, as a holder sees them. It reads the questions of waiters on other machines only
//! after its release, or in its keep-alive thread, and wakes one waiter: the one that asked first.
//! That one gets the list of the others, and wakes the next when its own tenure ends.

use std::time::Duration;

use crate::model::hint::{ACKNOWLEDGEMENTS, Asker, Hint, MOST_WAITERS, is_reachable};
use crate::model::nonce::Nonce;
use crate::wait::hints::{Hints, LONGEST_REST};

/// How many datagrams a release reads: what else is in the socket is lost.
const MOST_READ: usize = 1024;
/// How many waiters hear that the lease is renewed; others poll as often as without hints.
const MOST_KEPT: usize = 4096;
/// When the second waiter is to look: the first may have given up, or be dead.
const SECOND: Duration = Duration::from_millis(120);

/// Wakes the waiter that has asked first for the end of the tenure with this nonce. Returns whether
/// there is one.
pub(crate) fn wake_next(hints: &mut Hints, nonce: &Nonce) -> bool {
    read_questions(hints, nonce, |_| {});
    hints.kept.clear();
    hints.has_turn = false;
    pass_on(hints)
}

/// Says to those that have asked for the end of the tenure with this nonce that its lease, of this
/// length, was just renewed and will be again: once in each call, for a number of calls.
pub(crate) fn acknowledge(hints: &mut Hints, nonce: &Nonce, lifetime: Duration) {
    let period = (lifetime * 2 / 3).min(LONGEST_REST);
    let mut fresh = Vec::new();
    read_questions(hints, nonce, |asker| fresh.push(asker));
    let Hints { socket, kept, .. } = hints;
    for asker in fresh {
        kept.retain(|(known, _)| known.cookie != asker.cookie);
        kept.push((asker, ACKNOWLEDGEMENTS));
    }
    kept.truncate(MOST_KEPT);
    for (Asker { address, cookie }, left) in &mut *kept {
        socket.send(*address, &Hint::Kept { cookie: *cookie, period }.encode());
        *left -= 1;
    }
    kept.retain(|(_, left)| *left > 0);
}

/// Wakes the first of the waiters that come after this one, and hands it the list of the others.
pub(crate) fn pass_on(hints: &mut Hints) -> bool {
    let mut next = std::mem::take(&mut hints.next).into_iter();
    let Some(first) = next.next() else { return false };
    let others: Vec<_> = next.collect();
    let second = others.first().copied();
    let turn = Hint::Turn { cookie: first.cookie, after: Duration::ZERO, next: others };
    hints.socket.send(first.address, &turn.encode());
    if let Some(Asker { address, cookie }) = second {
        let turn = Hint::Turn { cookie, after: SECOND, next: Vec::new() };
        hints.socket.send(address, &turn.encode());
    }
    true
}

/// Adds a waiter to the end of the list, unless it is there.
fn add(list: &mut Vec<Asker>, asker: Asker) {
    let is_known = list.iter().any(|known| known.cookie == asker.cookie);
    if !is_known && list.len() <= MOST_WAITERS && is_reachable(asker.address) {
        list.push(asker);
    }
}

/// Reads questions, calls `ask` with the sender of each, and adds it to the list. A question that does
/// not know the nonce is dropped: its sender cannot read the lock's directory.
fn read_questions(hints: &mut Hints, nonce: &Nonce, mut ask: impl FnMut(Asker)) {
    for _ in 0..MOST_READ {
        let Some((address, datagram)) = hints.socket.receive() else { return };
        match Hint::decode(&datagram) {
            Some(Hint::Ask { cookie, nonce: of, next }) if of == nonce.as_str() => {
                let asker = Asker { address, cookie };
                ask(asker);
                [asker].into_iter().chain(next).for_each(|asker| add(&mut hints.next, asker));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::lock::Lock;
    use crate::model::hint::QUESTION;
    use crate::protocol::claim::Claim;
    use crate::sys::hint_socket::{HintNetwork, HintSocket};
    use crate::sys::udp::UdpNetwork;

    const LIFETIME: Duration = Duration::from_secs(15);

    /// A claim with a socket on the loopback interface, and a waiter's socket.
    fn scene(act: impl FnOnce(&mut Hints, &Nonce, &dyn HintSocket)) {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::options(dir.path().join("lock"))
            .wake_hints(true)
            .wake_address(Ipv4Addr::LOCALHOST)
            .build()
            .unwrap();
        let mut claim = Claim::make_to_contend(&Arc::clone(&lock.context), LIFETIME).unwrap();
        let waiter = UdpNetwork.open(Ipv4Addr::LOCALHOST).unwrap();
        let nonce = claim.name.nonce.clone();
        act(claim.hints.as_mut().expect("a socket"), &nonce, &*waiter);
    }

    fn ask(hints: &Hints, waiter: &dyn HintSocket, cookie: u64, nonce: &str) {
        let question = Hint::Ask { cookie, nonce: nonce.to_owned(), next: Vec::new() };
        waiter.send(hints.socket.address(), &question.encode());
    }

    /// What has arrived: on the loopback interface that is all that was sent.
    fn received(waiter: &dyn HintSocket) -> Vec<Hint> {
        let next = || Some(Hint::decode(&waiter.receive()?.1).expect("a hint"));
        std::iter::from_fn(next).collect()
    }

    fn turn(cookie: u64, after: Duration, next: Vec<Asker>) -> Hint {
        Hint::Turn { cookie, after, next }
    }

    #[test]
    fn the_first_gets_the_list_and_the_second_looks_later() {
        scene(|hints, nonce, waiter| {
            for cookie in [1, 2, 1, 3] {
                ask(hints, waiter, cookie, nonce.as_str());
            }
            assert!(wake_next(hints, nonce));
            let asker = |cookie| Asker { address: waiter.address(), cookie };
            let first = turn(1, Duration::ZERO, vec![asker(2), asker(3)]);
            assert_eq!(received(waiter), [first, turn(2, SECOND, Vec::new())]);
            assert!(!wake_next(hints, nonce), "they are woken once");
        });
    }

    #[test]
    fn a_list_that_was_passed_on_too_late_is_kept() {
        scene(|hints, nonce, waiter| {
            let asker = |cookie| Asker { address: waiter.address(), cookie };
            let (nonce_text, next) = (nonce.as_str().to_owned(), vec![asker(2), asker(3)]);
            let question = Hint::Ask { cookie: 1, nonce: nonce_text, next };
            waiter.send(hints.socket.address(), &question.encode());
            assert!(wake_next(hints, nonce));
            let first = turn(1, Duration::ZERO, vec![asker(2), asker(3)]);
            assert_eq!(received(waiter), [first, turn(2, SECOND, Vec::new())]);
        });
    }

    #[test]
    fn a_question_that_knows_no_living_nonce_gets_no_answer() {
        scene(|hints, nonce, waiter| {
            ask(hints, waiter, 1, "x0123456789abcdef");
            let whole = Hint::Ask { cookie: 1, nonce: nonce.as_str().to_owned(), next: Vec::new() };
            waiter.send(hints.socket.address(), &whole.encode()[..QUESTION - 1]);
            waiter.send(hints.socket.address(), b"garbage");
            acknowledge(hints, nonce, LIFETIME);
            assert!(!wake_next(hints, nonce));
            assert_eq!(received(waiter), []);
        });
    }

    #[test]
    fn a_question_is_acknowledged_a_few_times() {
        scene(|hints, nonce, waiter| {
            ask(hints, waiter, 1, nonce.as_str());
            for _ in 0..ACKNOWLEDGEMENTS {
                acknowledge(hints, nonce, Duration::from_secs(6));
                let period = Duration::from_secs(4);
                assert_eq!(received(waiter), [Hint::Kept { cookie: 1, period }]);
            }
            acknowledge(hints, nonce, LIFETIME);
            assert_eq!(received(waiter), []);
            ask(hints, waiter, 1, nonce.as_str());
            acknowledge(hints, nonce, LIFETIME * 1000);
            assert_eq!(received(waiter), [Hint::Kept { cookie: 1, period: LONGEST_REST }]);
            assert!(wake_next(hints, nonce));
            assert_eq!(received(waiter), [turn(1, Duration::ZERO, Vec::new())]);
            acknowledge(hints, nonce, LIFETIME);
            assert_eq!(received(waiter), [], "the tenure is over");
        });
    }

    #[test]
    fn no_more_waiters_are_kept_in_mind_than_an_answer_can_name() {
        scene(|hints, nonce, waiter| {
            for cookie in 0..100 {
                ask(hints, waiter, cookie, nonce.as_str());
            }
            wake_next(hints, nonce);
            let [Hint::Turn { next, .. }, _] = &received(waiter)[..] else { panic!("two answers") };
            let cookies: Vec<_> = next.iter().map(|asker| asker.cookie).collect();
            assert_eq!(cookies, (1..=24).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_claim_that_is_given_up_passes_its_turn_on() {
        let waiter = UdpNetwork.open(Ipv4Addr::LOCALHOST).unwrap();
        let asker = Asker { address: waiter.address(), cookie: 5 };
        scene(|hints, _nonce, _| hints.next.push(asker));
        assert_eq!(received(&*waiter), [turn(5, Duration::ZERO, Vec::new())]);
    }
}
