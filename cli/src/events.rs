//! All that a run waits for, on one channel: signals, which tell of the child's end too, and the
//! loss of the lock.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use linklock::Error;
use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;

/// What ends us while there is no child yet.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// What is passed on to the child without being our end. Without a child, nobody wants them.
const MERE_NEWS: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

#[derive(Debug)]
pub(crate) enum Event {
    /// The child has ended, or stopped, or goes on.
    Child,
    /// To be passed on.
    Signal(Signal),
    Lost(Error),
}

#[derive(Debug)]
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    /// From now on signals don't end this process: they are events.
    ///
    /// What was ignored when it started stays so, for the child too: nohup(1) ignores HUP, and
    /// shells have jobs in the background ignore INT and QUIT.
    pub(crate) fn watch() -> io::Result<Events> {
        let ignored = ignored_signals();
        let is_ignored = |signal: &Signal| ignored & (1 << (*signal as u32 - 1)) != 0;
        let passed_on = ENDING.into_iter().chain(MERE_NEWS).filter(|signal| !is_ignored(signal));
        let watched = passed_on.chain([Signal::SIGCHLD]).map(|signal| signal as i32);

        let mut signals = Signals::new(watched)?;
        let (sender, receiver) = channel();
        let signalled = sender.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
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
        Ok(Events { sender, receiver })
    }

    /// To be called when the lock is lost.
    pub(crate) fn on_lost(&self) -> impl FnOnce(Error) + Send + 'static {
        let sender = self.sender.clone();
        move |error| {
            let _ = sender.send(Event::Lost(error)); // unless the run is over
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
                Ok(Event::Signal(signal)) if ENDING.contains(&signal) => return Some(signal),
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }
}

/// A bit for each signal that is ignored, from the lowest, as proc(5) has it; none where there is
/// no /proc. sigaction(2), which would tell as well, is not to be had without unsafe code.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
