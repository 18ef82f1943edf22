//! All events that a run waits for, on one channel: signals, changes of the child, and the loss of
//! the lock.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use signal_hook::iterator::{Handle, Signals};

use crate::journal::{Happening, Journal, Note};

/// Signals that end us while there is no child.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// Signals that are passed on to the child but do not end us. Without a child, they are ignored.
const MERE_NEWS: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// Signals that stop and continue a child. Without a child, they stop and continue us.
const JOB_CONTROL: [Signal; 2] = [Signal::SIGTSTP, Signal::SIGCONT];

/// Wakes the thread that turns signals into events. Nobody else minds it: see signal(7).
const WAKE_UP: Signal = Signal::SIGURG;

/// Far longer than that thread takes to catch up.
const LONG: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The child has ended, stopped or continued.
    Child,
    /// A signal to pass on.
    Signal(Signal),
    /// Why the lock is lost.
    Lost(String),
    /// The signals that came before this call of [`Events::ended_by_now`] have become events.
    CaughtUp(u64),
}

impl Event {
    /// The signal, if it is one that ends us while there is no child.
    pub(crate) fn ends(&self) -> Option<Signal> {
        match self {
            Event::Signal(signal) if ENDING.contains(signal) => Some(*signal),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    signals: Handle,
    /// How many calls have asked the thread to catch up.
    asked: Arc<AtomicU64>,
    /// A bit for each signal that was ignored when we started.
    ignored: u64,
    /// What is written about the run.
    pub(crate) journal: Journal,
}

impl Events {
    /// Turns signals into events from now on, instead of ending this process.
    ///
    /// Signals that were ignored at the start stay ignored, for the child too: nohup(1) ignores
    /// HUP, and shells make background jobs ignore INT and QUIT.
    pub(crate) fn watch() -> io::Result<Events> {
        let ignored = ignored_signals();
        let passed_on = ENDING.into_iter().chain(MERE_NEWS).filter(|s| !contains(ignored, *s));
        let watched = passed_on.chain([Signal::SIGCHLD, WAKE_UP]).map(|signal| signal as i32);

        let mut signals = Signals::new(watched)?;
        let handle = signals.handle();
        let (sender, receiver) = channel();
        let (signalled, asked) = (sender.clone(), Arc::<AtomicU64>::default());
        let asks = asked.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            // They may have been blocked when we started. For the child, which inherits the main
            // thread's mask, they stay blocked.
            let _ = SigSet::from_iter([Signal::SIGCHLD, WAKE_UP]).thread_unblock();
            let mut caught_up = 0;
            loop {
                let pending = signals.wait();
                // Asked for before we go through all signals, so all that came before that are among them.
                let asked = asks.load(Ordering::SeqCst);
                let numbers = pending.filter_map(|number| Signal::try_from(number).ok());
                let events =
                    numbers.filter(|signal| *signal != WAKE_UP).map(|signal| match signal {
                        Signal::SIGCHLD => Event::Child,
                        signal => Event::Signal(signal),
                    });
                let caught = (asked > caught_up).then_some(Event::CaughtUp(asked));
                caught_up = asked;
                if events.chain(caught).any(|event| signalled.send(event).is_err()) {
                    return; // the run has ended
                }
            }
        })?;
        Ok(Events {
            sender,
            receiver,
            signals: handle,
            asked,
            ignored,
            journal: Journal::default(),
        })
    }

    /// From now on, the signals that stop and continue a job are events too.
    pub(crate) fn watch_job_control(&self) -> io::Result<()> {
        let mut watched = JOB_CONTROL.into_iter().filter(|signal| !contains(self.ignored, *signal));
        watched.try_for_each(|signal| self.signals.add_signal(signal as i32))
    }

    /// Returns a callback that reports the loss of the lock.
    pub(crate) fn on_lost<E: Display>(&self) -> impl FnOnce(E) + Send + use<E> {
        let sender = self.sender.clone();
        move |error| {
            let _ = sender.send(Event::Lost(error.to_string())); // fails if the run has ended
        }
    }

    /// Notes that a lock was lost.
    pub(crate) fn note_loss(&self, why: &dyn Display) {
        self.journal.note(|| Note { reason: Some(why.to_string()), ..Note::of(Happening::Lost) });
    }

    /// The next event, if one arrives in time.
    pub(crate) fn next(&self, time: Duration) -> Option<Event> {
        self.receiver.recv_timeout(time).ok()
    }

    /// The signal that ends us while there is no child, if one has arrived.
    pub(crate) fn ended_by(&self) -> Option<Signal> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) if event.ends().is_some() => return event.ends(),
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }

    /// The same among all signals that this process has received so far, also those that its thread has
    /// not yet turned into events. The others are dropped: they came before there was a child.
    pub(crate) fn ended_by_now(&self) -> Option<Signal> {
        let mut ended = None;
        let ask = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if kill(Pid::this(), WAKE_UP).is_ok() {
            while let Some(event) = self.next(LONG) {
                ended = ended.or(event.ends());
                if event == Event::CaughtUp(ask) {
                    break;
                }
            }
        }
        ended.or_else(|| self.ended_by())
    }
}

fn contains(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal as u32 - 1)) != 0
}

/// A bit for each ignored signal, starting from the lowest, see proc(5); zero without a /proc.
/// sigaction(2) would provide this too, but needs unsafe code.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use nix::sys::signal::raise;

    use super::*;

    /// Its thread may come to it only after the command has started, and may be woken by others.
    #[test]
    fn a_signal_before_the_command_starts_is_never_passed_on() {
        let events = Events::watch().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    raise(Signal::SIGURG).unwrap();
                }
            });
            let passed_on = (0..200).find_map(|_| {
                raise(Signal::SIGUSR1).unwrap();
                assert_eq!(events.ended_by_now(), None);
                events
                    .next(Duration::from_millis(1))
                    .filter(|event| matches!(event, Event::Signal(_)))
            });
            done.store(true, Ordering::Relaxed);
            assert_eq!(passed_on, None);
        });
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(events.ended_by_now(), Some(Signal::SIGTERM));
    }
}
