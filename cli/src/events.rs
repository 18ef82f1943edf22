//! All that a run waits for, on one channel: signals, the child's end among them, and the loss of the
//! lock.

use std::fmt::Display;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::iterator::{Handle, Signals};

/// What ends us while there is no child.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// What is passed on to the child without being our end. Without a child, they are ignored.
const MERE_NEWS: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// What stops a child and lets it go on. Without a child, it does so to us.
const JOB_CONTROL: [Signal; 2] = [Signal::SIGTSTP, Signal::SIGCONT];

#[derive(Debug)]
pub(crate) enum Event {
    /// The child has ended, or stopped, or goes on.
    Child,
    /// To be passed on.
    Signal(Signal),
    /// Why the lock is lost.
    Lost(String),
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
}

impl Events {
    /// From now on signals don't end this process: they are events.
    ///
    /// What was ignored when it started stays so, for the child too: nohup(1) ignores HUP, and
    /// shells have jobs in the background ignore INT and QUIT.
    pub(crate) fn watch() -> io::Result<Events> {
        let ignored = ignored_signals();
        let passed_on = ENDING.into_iter().chain(MERE_NEWS).filter(|s| !contains(ignored, *s));
        let watched = passed_on.chain([Signal::SIGCHLD]).map(|signal| signal as i32);

        let mut signals = Signals::new(watched)?;
        let handle = signals.handle();
        let (sender, receiver) = channel();
        let signalled = sender.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            // It may have been blocked when we started. What was blocked then stays so for the child,
            // which inherits from the main thread.
            let _ = SigSet::from(Signal::SIGCHLD).thread_unblock();
            for signal in signals.forever().filter_map(|number| Signal::try_from(number).ok()) {
                let event = match signal {
                    Signal::SIGCHLD => Event::Child,
                    signal => Event::Signal(signal),
                };
                if signalled.send(event).is_err() {
                    return; // the run is over
                }
            }
        })?;
        Ok(Events { sender, receiver, signals: handle, ignored })
    }

    /// From now on the signals that stop and continue a job are events too.
    pub(crate) fn watch_job_control(&self) -> io::Result<()> {
        let mut watched = JOB_CONTROL.into_iter().filter(|signal| !contains(self.ignored, *signal));
        watched.try_for_each(|signal| self.signals.add_signal(signal as i32))
    }

    /// To be called when the lock is lost.
    pub(crate) fn on_lost<E: Display>(&self) -> impl FnOnce(E) + Send + use<E> {
        let sender = self.sender.clone();
        move |error| {
            let _ = sender.send(Event::Lost(error.to_string())); // unless the run is over
        }
    }

    /// What happens next, if it happens in time.
    pub(crate) fn next(&self, time: Duration) -> Option<Event> {
        self.receiver.recv_timeout(time).ok()
    }

    /// The signal, if any has come, that ends us while there is no child.
    pub(crate) fn ended_by(&self) -> Option<Signal> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) if event.ends().is_some() => return event.ends(),
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }
}

fn contains(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal as u32 - 1)) != 0
}

/// A bit for each signal that is ignored, from the lowest, as proc(5) has it; none where there is
/// no /proc. sigaction(2), which knows as well, takes unsafe code.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
