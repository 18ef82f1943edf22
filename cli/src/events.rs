//! All events that a run waits for, on one channel: signals, changes of the child, and the loss of
//! the lock.

use std::fmt::Display;
use std::io;
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

/// A signal that we send to ourselves. Hardly any other program does, and nobody minds it: see signal(7).
const MARK: Signal = Signal::SIGURG;

/// Far longer than a signal to ourselves takes to become an event.
const AT_ONCE: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The child has ended, stopped or continued.
    Child,
    /// A signal to pass on.
    Signal(Signal),
    /// Why the lock is lost.
    Lost(String),
    /// What we have sent to ourselves.
    Mark,
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
        let watched = passed_on.chain([Signal::SIGCHLD, MARK]).map(|signal| signal as i32);

        let mut signals = Signals::new(watched)?;
        let handle = signals.handle();
        let (sender, receiver) = channel();
        let signalled = sender.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            // They may have been blocked when we started. For the child, which inherits the main
            // thread's mask, they stay blocked.
            let _ = SigSet::from_iter([Signal::SIGCHLD, MARK]).thread_unblock();
            for signal in signals.forever().filter_map(|number| Signal::try_from(number).ok()) {
                let event = match signal {
                    Signal::SIGCHLD => Event::Child,
                    MARK => Event::Mark,
                    signal => Event::Signal(signal),
                };
                if signalled.send(event).is_err() {
                    return; // the run has ended
                }
            }
        })?;
        Ok(Events { sender, receiver, signals: handle, ignored, journal: Journal::default() })
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
        // What a signal to ourselves becomes comes after them. The thread passes on signals in the order
        // of their numbers, round after round, so the first may overtake one, and the second does not.
        for _ in 0..2 {
            if kill(Pid::this(), MARK).is_err() {
                break;
            }
            while let Some(event) = self.next(AT_ONCE) {
                ended = ended.or(event.ends());
                if event == Event::Mark {
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
    use nix::sys::signal::raise;

    use super::*;

    /// Its thread may come to it only after the command has started.
    #[test]
    fn a_signal_before_the_command_starts_is_never_passed_on() {
        let events = Events::watch().unwrap();
        for _ in 0..200 {
            raise(Signal::SIGUSR1).unwrap();
            assert_eq!(events.ended_by_now(), None);
            // Another test may have a child.
            let next = events.next(Duration::from_millis(1));
            assert!(matches!(next, None | Some(Event::Child)), "{next:?}");
        }
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(events.ended_by_now(), Some(Signal::SIGTERM));
    }
}
