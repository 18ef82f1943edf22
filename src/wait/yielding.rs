//! Pauses that are spent elsewhere: by a task, or together with the pauses of other contentions.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::model::context::Context;
use crate::sys::wake_fd::WakeFd;
use crate::wait::park::Park;

/// A pause that the protocol has asked for.
#[derive(Debug)]
pub(crate) struct Pause {
    /// The descriptors that may end it.
    pub(crate) wake_fds: Vec<WakeFd>,
    /// How long it lasts at most.
    pub(crate) time: Duration,
}

/// The state of the protocol's pause, if it is in one.
#[derive(Debug)]
enum State {
    Asked(Pause),
    /// The pause has ended, perhaps by one of its descriptors.
    Over(Option<usize>),
}

/// Passes pauses to the code that polls the protocol, which spends them.
#[derive(Debug, Default)]
pub(crate) struct Yielding(Mutex<Option<State>>);

impl Park for Yielding {
    async fn park(&self, _: &Context, wake_fds: Vec<WakeFd>, time: Duration) -> Option<usize> {
        self.set(State::Asked(Pause { wake_fds, time }));
        poll_fn(|_| match self.take() {
            Some(State::Over(heard)) => Poll::Ready(heard),
            Some(asked) => {
                self.set(asked);
                Poll::Pending
            }
            None => unreachable!("a requested pause is over when the protocol continues"),
        })
        .await
    }
}

impl Yielding {
    /// The pause that the protocol has asked for. It waits for nothing else, so there is one whenever
    /// it is pending.
    pub(crate) fn asked(&self) -> Pause {
        match self.take() {
            Some(State::Asked(pause)) => pause,
            _ => unreachable!("the protocol waits only for its parker"),
        }
    }

    /// Ends that pause, by the descriptor with this index or by time.
    pub(crate) fn end(&self, heard: Option<usize>) {
        self.set(State::Over(heard));
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    fn take(&self) -> Option<State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
