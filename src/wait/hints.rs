//! Wake-up hints, as a waiter sees them: it asks the holder for one, and polls on.
//!
//! The socket belongs to a claim, whose nonce says its address, for as long as the claim exists. A
//! waiter hears answers on it; once it holds the lock, the questions of others wait there until its
//! release.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use crate::holder::Role;
use crate::model::context::Context;
use crate::model::hint::{Asker, Hint, is_reachable};
use crate::model::nonce::Nonce;
use crate::sys::hint_socket::HintSocket;
use crate::sys::wake_fd::WakeFd;

/// How long a waiter relies on a question that is not answered: it may have been lost.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// The same for a question that is answered, which the holder forgets after a while.
const ASK_ANSWERED_AGAIN: Duration = Duration::from_secs(30);
/// The longest pause between two observations of a holder that answers.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(10);
/// How many datagrams are read at once: a flood must not keep a waiter from polling.
const AT_ONCE: u32 = 64;

/// The hints of one claim.
pub(crate) struct Hints {
    pub(crate) socket: Box<dyn HintSocket>,
    /// The random number of all its questions.
    cookie: u64,
    /// The holder that is asked.
    holder: Option<Asked>,
    /// The waiters on other machines that come after this one, in order of arrival.
    pub(crate) next: Vec<Asker>,
    /// The waiters that are to hear so many times more that the lease is renewed.
    pub(crate) kept: Vec<(Asker, usize)>,
    /// Whether it was this waiter's turn, and still is if it came too late: it leaves the lock to no
    /// other.
    pub(crate) has_turn: bool,
    /// Whether an answer has arrived since it was last noticed.
    has_heard: bool,
}

struct Asked {
    address: SocketAddrV4,
    nonce: Nonce,
    at: Duration,
    /// Whether an answer has already made the waiter try, and whether one has made it look: a copy
    /// does neither.
    has_tried: bool,
    has_looked: bool,
    /// Until when the holder's word counts that it renews its lease, and how long to rest then.
    kept: Option<(Duration, Duration)>,
    /// Whether its word that it renews its lease changes nothing: it runs on this host, where an
    /// observation also shows whether it is dead; or it holds a slot, and the waiter that it wakes
    /// may have got another slot by then.
    is_polled: bool,
}

impl Hints {
    /// A socket for a new claim. `None` if the options do not ask for hints, or if there is no
    /// address for them.
    pub(crate) fn open(context: &Context) -> Option<Hints> {
        let socket = context.machine.network.open(context.wake_address()?)?;
        let cookie = (context.machine.random)();
        let (next, kept) = (Vec::new(), Vec::new());
        let (holder, has_turn, has_heard) = (None, false, false);
        Some(Hints { socket, cookie, holder, next, kept, has_turn, has_heard })
    }

    /// Becomes readable when an answer may have arrived.
    pub(crate) fn wake_fd(&self) -> Option<WakeFd> {
        self.socket.wake_fd()
    }

    /// Meets another holder, by its claim, and asks it.
    pub(crate) fn meet(&mut self, context: &Context, claim: &Path) {
        let holder = context.names.parse_content(claim.as_os_str().as_encoded_bytes());
        self.holder = holder.and_then(|holder| {
            let address = holder.nonce.address()?;
            let is_polled = *holder.host == *context.names.host()
                || matches!(holder.nonce.role(), Role::Slot(_));
            let (nonce, at) = (holder.nonce, context.now());
            let (has_tried, has_looked, kept) = (false, false, None);
            Some(Asked { address, nonce, at, has_tried, has_looked, kept, is_polled })
        });
        self.ask();
    }

    /// Asks the same holder again, if it was asked long ago.
    pub(crate) fn ask_again(&mut self, now: Duration) {
        let is_answered = self.rest(now).is_some();
        if let Some(asked) = &mut self.holder {
            let interval = if is_answered { ASK_ANSWERED_AGAIN } else { ASK_AGAIN };
            if now.saturating_sub(asked.at) >= interval {
                (asked.at, asked.has_tried, asked.has_looked) = (now, false, false);
                self.ask();
            }
        }
    }

    fn ask(&self) {
        if let Some(Asked { address, nonce, .. }) = &self.holder {
            let nonce = nonce.as_str().to_owned();
            let next = if self.has_turn { self.next.clone() } else { Vec::new() };
            let question = Hint::Ask { cookie: self.cookie, nonce, next };
            self.socket.send(*address, &question.encode());
        }
    }

    /// How long to wait until the next observation, if the holder has said that it renews its lease.
    pub(crate) fn rest(&self, now: Duration) -> Option<Duration> {
        let (until, rest) = self.holder.as_ref().filter(|asked| !asked.is_polled)?.kept?;
        (now < until).then_some(rest)
    }

    /// Reads what has arrived. Returns after what time to look, if an answer says so: zero if it is
    /// this waiter's turn.
    pub(crate) fn hear(&mut self, context: &Context) -> Option<Duration> {
        let turn = self.read(context.now());
        if self.has_heard {
            self.has_heard = false;
            context.memory.fairness.heard_hint(context.now());
        }
        turn
    }

    fn read(&mut self, now: Duration) -> Option<Duration> {
        let mut turn: Option<Duration> = None;
        for _ in 0..AT_ONCE {
            let Some((_, datagram)) = self.socket.receive() else { break };
            let Some(asked) = &mut self.holder else { continue };
            match Hint::decode(&datagram) {
                Some(Hint::Kept { cookie, period }) if cookie == self.cookie => {
                    self.has_heard = true;
                    let rest = period.min(LONGEST_REST);
                    asked.kept = Some((now.saturating_add(rest), rest));
                }
                Some(Hint::Turn { cookie, after, next }) if cookie == self.cookie => {
                    self.has_heard = true;
                    let is_first = after.is_zero();
                    let done = if is_first { &mut asked.has_tried } else { &mut asked.has_looked };
                    if !std::mem::replace(done, true) {
                        turn = Some(turn.map_or(after, |other| other.min(after)));
                        if is_first {
                            self.has_turn = true;
                            self.next = next;
                            self.next.retain(|asker| is_reachable(asker.address));
                        }
                    }
                }
                _ => {}
            }
        }
        turn
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hints").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A socket whose datagrams the test reads and writes.
    #[derive(Clone, Debug, Default)]
    struct Wire {
        sent: Arc<Mutex<Vec<Vec<u8>>>>,
        arrives: Arc<Mutex<VecDeque<Vec<u8>>>>,
    }

    fn at(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    impl HintSocket for Wire {
        fn address(&self) -> SocketAddrV4 {
            at(1)
        }

        fn send(&self, _to: SocketAddrV4, datagram: &[u8]) {
            self.sent.lock().unwrap().push(datagram.to_vec());
        }

        fn receive(&self) -> Option<(SocketAddrV4, Vec<u8>)> {
            Some((at(2), self.arrives.lock().unwrap().pop_front()?))
        }

        fn wake_fd(&self) -> Option<WakeFd> {
            None
        }
    }

    impl Wire {
        fn has_sent(&self) -> usize {
            std::mem::take(&mut *self.sent.lock().unwrap()).len()
        }

        fn bring(&self, hint: &Hint) {
            self.arrives.lock().unwrap().push_back(hint.encode());
        }
    }

    const COOKIE: u64 = 7;

    fn turn(cookie: u64, after: Duration) -> Hint {
        let next = vec![Asker { address: at(9), cookie: 9 }, Asker { address: at(0), cookie: 8 }];
        Hint::Turn { cookie, after, next }
    }

    const HOLDER: &str = "/srv/lock|host2|1|x0123456789abcdefu7f0000010002";

    /// A waiter on `host1` that has met the holder with this claim.
    fn waiter(claim: &str) -> (Hints, Wire, Arc<Context>) {
        let lock = crate::lock::Lock::options("/srv/lock").host_name("host1").build().unwrap();
        let (wire, context) = (Wire::default(), lock.context.clone());
        let socket = Box::new(wire.clone());
        let (next, kept) = (Vec::new(), Vec::new());
        let (holder, has_turn, has_heard) = (None, false, false);
        let mut hints = Hints { socket, cookie: COOKIE, holder, next, kept, has_turn, has_heard };
        hints.meet(&context, Path::new(claim));
        (hints, wire, context)
    }

    #[test]
    fn a_holder_is_asked_when_it_is_met_and_now_and_then() {
        let (mut hints, wire, context) = waiter(HOLDER);
        let met = context.now();
        let question = Hint::decode(&wire.sent.lock().unwrap()[0]);
        let nonce = "x0123456789abcdefu7f0000010002".to_owned();
        let next = Vec::new();
        assert_eq!(question, Some(Hint::Ask { cookie: COOKIE, nonce, next }));
        assert_eq!(wire.has_sent(), 1);
        hints.ask_again(met);
        assert_eq!(wire.has_sent(), 0);
        hints.ask_again(met + ASK_AGAIN);
        hints.ask_again(met + ASK_AGAIN + s(1));
        assert_eq!(wire.has_sent(), 1);
        let answered = met + ASK_AGAIN * 2;
        wire.bring(&Hint::Kept { cookie: COOKIE, period: LONGEST_REST });
        hints.read(answered);
        hints.ask_again(answered + LONGEST_REST / 2);
        assert_eq!(wire.has_sent(), 0);
        hints.ask_again(answered + LONGEST_REST);
        assert_eq!(wire.has_sent(), 1);
        hints.meet(&context, Path::new("/srv/lock|host2|1|x0123456789abcdef")); // without address
        hints.ask_again(met + s(3600));
        assert_eq!(wire.has_sent(), 0);
    }

    #[test]
    fn an_answer_and_its_copies_make_a_waiter_try_once() {
        let (mut hints, wire, context) = waiter(HOLDER);
        for cookie in [COOKIE + 1, COOKIE, COOKIE] {
            wire.bring(&turn(cookie, Duration::ZERO));
        }
        wire.arrives.lock().unwrap().push_front(b"garbage".to_vec());
        assert_eq!(hints.read(s(1)), Some(Duration::ZERO));
        assert_eq!(hints.next, [Asker { address: at(9), cookie: 9 }], "port 0 is no address");
        wire.bring(&turn(COOKIE, Duration::ZERO));
        assert_eq!(hints.read(s(2)), None);
        wire.has_sent();
        hints.meet(&context, Path::new(HOLDER)); // as another holder, who was quicker
        let passed_on = Hint::decode(&wire.sent.lock().unwrap()[0]);
        let next = vec![Asker { address: at(9), cookie: 9 }];
        let is_list = |hint: &Hint| matches!(hint, Hint::Ask { next: list, .. } if *list == next);
        assert!(passed_on.as_ref().is_some_and(is_list), "{passed_on:?}");
        wire.bring(&turn(COOKIE, Duration::ZERO));
        assert_eq!(hints.read(s(3)), Some(Duration::ZERO));
    }

    #[test]
    fn the_second_in_line_looks_later_and_may_still_be_first() {
        let (mut hints, wire, _context) = waiter(HOLDER);
        let (later, again) = (Duration::from_millis(50), turn(COOKIE, Duration::from_millis(50)));
        wire.bring(&again);
        assert_eq!(hints.read(s(1)), Some(later));
        assert!(hints.next.is_empty());
        wire.bring(&again);
        assert_eq!(hints.read(s(1)), None);
        wire.bring(&turn(COOKIE, Duration::ZERO));
        assert_eq!(hints.read(s(1)), Some(Duration::ZERO));
    }

    #[test]
    fn a_waiter_rests_while_the_holder_says_that_it_renews_its_lease() {
        let (mut hints, wire, _context) = waiter(HOLDER);
        assert_eq!(hints.rest(s(0)), None);
        wire.bring(&Hint::Kept { cookie: COOKIE + 1, period: s(4) });
        assert_eq!((hints.read(s(1)), hints.rest(s(1))), (None, None));
        wire.bring(&Hint::Kept { cookie: COOKIE, period: s(4) });
        assert_eq!(hints.read(s(1)), None);
        assert_eq!((hints.rest(s(4)), hints.rest(s(5))), (Some(s(4)), None));
        wire.bring(&Hint::Kept { cookie: COOKIE, period: s(3600) });
        hints.read(s(10));
        assert_eq!((hints.rest(s(10)), hints.rest(s(20))), (Some(LONGEST_REST), None));
    }

    #[test]
    fn a_waiter_does_not_rest_for_a_holder_on_its_own_host_or_of_a_slot() {
        for holder in [HOLDER.replace("host2", "host1"), HOLDER.replace("u7f", "n2u7f")] {
            let (mut hints, wire, _context) = waiter(&holder);
            assert_eq!(wire.has_sent(), 1);
            wire.bring(&Hint::Kept { cookie: COOKIE, period: s(4) });
            hints.read(s(1));
            assert_eq!(hints.rest(s(1)), None);
        }
    }

    #[test]
    fn a_flood_is_read_a_part_at_a_time() {
        let (mut hints, wire, _context) = waiter(HOLDER);
        for _ in 0..AT_ONCE {
            wire.bring(&turn(COOKIE + 1, Duration::ZERO));
        }
        wire.bring(&turn(COOKIE, Duration::ZERO));
        assert_eq!(hints.read(s(1)), None);
        assert_eq!(hints.read(s(1)), Some(Duration::ZERO));
    }
}
