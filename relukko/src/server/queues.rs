//! Who waits for which lock: first come, first served.
//!
//! A client waits in requests that follow each other, each with the date that the first was answered
//! with. That date is its place in the queue. So a place outlives a connection, and the server itself:
//! after a restart, clients come back with their dates, and stand in the same order again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::secret::Digest;

/// How long a place is kept between two requests of its client. For as long after the server's start
/// nobody has a turn: clients with older places may be about to come back.
const KEPT: Duration = Duration::from_secs(3);

/// What clients stand in line for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// The lock with this name.
    Lock(String),
    /// Any slot of the set with this name.
    Slots(String),
}

/// The date at which a client came, and its secret.
type Rank = (SystemTime, Digest);

#[derive(Debug)]
pub(crate) struct Queues {
    started: Instant,
    queues: Mutex<HashMap<Line, Queue>>,
}

#[derive(Debug)]
struct Queue {
    places: BTreeMap<Rank, Presence>,
    /// Changes when a place does, and when the lock is released.
    moved: watch::Sender<()>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { places: BTreeMap::new(), moved: watch::channel(()).0 }
    }
}

/// Whether a client is here.
#[derive(Debug)]
struct Presence {
    requests: usize,
    /// When the last of its requests ended.
    left: Instant,
}

impl Presence {
    /// When the place is given up, if its client is away.
    fn is_kept_until(&self) -> Option<Instant> {
        (self.requests == 0).then_some(self.left + KEPT)
    }
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Ours,
    /// It may become ours at this time without any notice.
    Later(Option<Instant>),
}

impl Default for Queues {
    fn default() -> Queues {
        Queues { started: Instant::now(), queues: Mutex::default() }
    }
}

impl Queues {
    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Whether anybody stands in this line.
    pub(crate) fn has(&self, line: &Line) -> bool {
        self.all().contains_key(line)
    }

    /// Takes a place, or comes back to it, for the time of a request.
    pub(crate) fn enter(
        self: &Arc<Queues>,
        line: &Line,
        since: SystemTime,
        secret: Digest,
    ) -> Place {
        let rank = (since, secret);
        let mut all = self.all();
        let queue = all.entry(line.clone()).or_default();
        let here = Presence { requests: 0, left: Instant::now() };
        queue.places.entry(rank.clone()).or_insert(here).requests += 1;
        let moved = queue.moved.subscribe();
        drop(all);
        Place { queues: self.clone(), line: line.clone(), rank, moved }
    }

    /// What this line waits for was released.
    pub(crate) fn wake(&self, line: &Line) {
        if let Some(queue) = self.all().get(line) {
            queue.moved.send_replace(());
        }
    }

    /// Without the places whose clients have not come back.
    fn all(&self) -> MutexGuard<'_, HashMap<Line, Queue>> {
        let mut all = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.retain(|_, queue| {
            queue.places.retain(|_, place| place.is_kept_until().is_none_or(|until| now < until));
            !queue.places.is_empty()
        });
        all
    }
}

/// A client's place, while a request of its is here.
#[derive(Debug)]
pub(crate) struct Place {
    queues: Arc<Queues>,
    line: Line,
    rank: Rank,
    moved: watch::Receiver<()>,
}

impl Place {
    /// Whose turn it is now. [`moved`](Self::moved) hears of changes after that.
    pub(crate) fn turn(&mut self) -> Turn {
        self.moved.borrow_and_update();
        let may_begin = self.queues.started + KEPT;
        if Instant::now() < may_begin {
            return Turn::Later(Some(may_begin));
        }
        match self.queues.all().get(&self.line).and_then(|queue| queue.places.first_key_value()) {
            Some((first, _)) if *first == self.rank => Turn::Ours,
            first => Turn::Later(first.and_then(|(_, presence)| presence.is_kept_until())),
        }
    }

    /// How many are ahead.
    pub(crate) fn ahead(&self) -> usize {
        let all = self.queues.all();
        all.get(&self.line).map_or(0, |queue| queue.places.range(..&self.rank).count())
    }

    /// Waits until something changes.
    pub(crate) async fn moved(&mut self) {
        let _ = self.moved.changed().await; // the sender lives as long as our place
    }

    /// Gives the place up: its client has the lock, or does not wait.
    pub(crate) fn give_up(self) {
        if let Some(queue) = self.queues.all().get_mut(&self.line) {
            queue.places.remove(&self.rank);
            queue.moved.send_replace(());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.queues.all();
        let Some(queue) = all.get_mut(&self.line) else { return };
        if let Some(here) = queue.places.get_mut(&self.rank) {
            here.requests -= 1;
            here.left = Instant::now();
        }
        queue.moved.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn line(name: &str) -> Line {
        Line::Lock(name.to_owned())
    }

    fn secret(text: &str) -> Digest {
        Digest::of(text)
    }

    /// Of a server that has been running for a while.
    fn queues() -> Arc<Queues> {
        let started =
            Instant::now().checked_sub(2 * KEPT).expect("the machine has just been started");
        Arc::new(Queues { started, ..Queues::default() })
    }

    /// As if a client had been away for longer than its place is kept.
    fn forget(queues: &Queues, name: &str, since: SystemTime) {
        let mut all = queues.all();
        let places = &mut all.get_mut(&line(name)).unwrap().places;
        let place = places.iter_mut().find(|((date, _), _)| *date == since).unwrap();
        place.1.left -= 2 * KEPT;
    }

    #[test]
    fn who_came_first_is_first() {
        let queues = queues();
        let mut late = queues.enter(&line("x"), at(2), secret("late"));
        assert_eq!((late.turn(), late.ahead()), (Turn::Ours, 0));
        let mut early = queues.enter(&line("x"), at(1), secret("early"));
        let mut other = queues.enter(&line("y"), at(3), secret("other"));
        assert_eq!((early.turn(), other.turn()), (Turn::Ours, Turn::Ours));
        assert_eq!((late.turn(), late.ahead()), (Turn::Later(None), 1));
        early.give_up();
        assert_eq!(late.turn(), Turn::Ours);
    }

    #[test]
    fn a_place_is_kept_between_two_requests_and_not_for_ever() {
        let queues = queues();
        let mut late = queues.enter(&line("x"), at(2), secret("late"));
        drop(queues.enter(&line("x"), at(1), secret("early")));
        assert!(matches!(late.turn(), Turn::Later(Some(_))));
        let mut again = queues.enter(&line("x"), at(1), secret("early"));
        assert_eq!(again.turn(), Turn::Ours);
        drop(again);
        forget(&queues, "x", at(1));
        assert_eq!((late.turn(), late.ahead()), (Turn::Ours, 0));
        drop(late);
        assert!(queues.has(&line("x")));
        forget(&queues, "x", at(2));
        assert!(!queues.has(&line("x")) && queues.is_empty());
    }

    #[test]
    fn after_a_start_the_order_of_before_has_time_to_come_back() {
        let queues = Arc::new(Queues::default());
        let mut first_to_come_back = queues.enter(&line("x"), at(2), secret("late"));
        assert!(matches!(first_to_come_back.turn(), Turn::Later(Some(_))));
    }

    #[test]
    fn a_repeated_request_has_the_same_place() {
        let queues = queues();
        let one = queues.enter(&line("x"), at(1), secret("early"));
        let mut two = queues.enter(&line("x"), at(1), secret("early"));
        let mut late = queues.enter(&line("x"), at(2), secret("late"));
        drop(one); // its connection was lost
        assert_eq!((two.turn(), late.turn(), late.ahead()), (Turn::Ours, Turn::Later(None), 1));
    }
}
