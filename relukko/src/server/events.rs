//! What has happened to locks, numbered: a client that was away asks for what came after the last event
//! that it knows.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::shown::Shown;
use super::store::Record;

/// How many events are kept for clients that come back.
const KEPT: usize = 4096;
/// How many events are sent at once.
const AT_ONCE: usize = 1000;

/// What has happened to a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// It was created, or seen for the first time.
    Created,
    Prolonged,
    /// It was deleted, it expired, or another program ended it.
    Ended,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Created => "created",
            Kind::Prolonged => "prolonged",
            Kind::Ended => "ended",
        }
    }
}

/// The events between two places. A place is `RUN.NUMBER`, after the event with that number.
#[derive(Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Value>,
    pub(crate) next: String,
}

/// The place is that of another run of the server, or too far back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forgotten;

#[derive(Debug)]
pub(crate) struct Events {
    /// Distinguishes the numbers of this run from those of earlier ones and of other servers.
    run: String,
    kept: Mutex<VecDeque<Value>>,
    /// The number of the last event.
    last: watch::Sender<u64>,
}

impl Events {
    pub(crate) fn new() -> Events {
        let run = uuid::Uuid::new_v4().simple().to_string();
        Events { run, kept: Mutex::default(), last: watch::channel(0).0 }
    }

    pub(crate) fn push(&self, kind: Kind, record: &Record) {
        let mut kept = self.kept();
        let number = *self.last.borrow() + 1;
        let lock = Shown::of(record);
        kept.push_back(json!({ "number": number, "kind": kind.name(), "lock": lock }));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        self.last.send_replace(number);
    }

    /// The events after a place, or those to come. Waits until there is one, but not for longer than
    /// this.
    pub(crate) async fn after(
        &self,
        place: Option<&str>,
        wait: Duration,
    ) -> Result<Batch, Forgotten> {
        let mut last = self.last.subscribe();
        let known = match place {
            Some(place) => self.number(place).ok_or(Forgotten)?,
            None => *last.borrow(),
        };
        let _ = timeout(wait, last.wait_for(|last| *last > known)).await; // or there is none yet
        let kept = self.kept();
        let end = *self.last.borrow();
        let first = end - kept.len() as u64; // the number before the first that is kept
        let skip = usize::try_from(known.checked_sub(first).ok_or(Forgotten)?);
        let events = kept.iter().skip(skip.unwrap_or(usize::MAX)).take(AT_ONCE).cloned();
        let events: Vec<_> = events.collect();
        let next = format!("{}.{}", self.run, known + events.len() as u64);
        Ok(Batch { events, next })
    }

    fn number(&self, place: &str) -> Option<u64> {
        let (run, number) = place.split_once('.')?;
        let number = number.parse().ok()?;
        (run == self.run && number <= *self.last.borrow()).then_some(number)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
