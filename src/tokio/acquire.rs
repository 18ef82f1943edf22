//! Contention on tokio: the protocol's future alternates between a thread of the pool, which polls
//! it until it has to park, and the task, which awaits that pause.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Polling, Poll, Waker};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::pool::{LeftToPool, on_pool};
use crate::clock::Clock;
use crate::error::Error;
use crate::holder::Obstacle;
use crate::lock::Lock;
use crate::model::context::Context;
use crate::protocol::tenure::Tenure;
use crate::sys::wake_fd::WakeFd;
use crate::wait::limit::WaitLimit;
use crate::wait::park::Park;

/// A wait limit that can move between threads.
pub(super) type AsyncWaitLimit = WaitLimit<'static, dyn FnMut(&Obstacle) -> bool + Send>;

/// Contends for the lock until it is acquired or the limit is reached. If dropped, leaves nothing
/// behind.
pub(super) async fn contend(lock: &Arc<Lock>, limit: AsyncWaitLimit) -> Result<Tenure, Error> {
    let yielding = Arc::<Yielding>::default();
    let (contender, parker) = (lock.clone(), yielding.clone());
    let acquisition = lock.begin_acquisition();
    let contention = async move { contender.contend(acquisition, limit, &*parker).await };
    let mut contention = LeftToPool::new(Box::pin(contention));
    loop {
        let (moved_on, polled) = on_pool(lock.path(), move || {
            let mut contention = contention.into_inner();
            let polled = contention.as_mut().poll(&mut Polling::from_waker(Waker::noop()));
            (contention, polled)
        })
        .await?;
        if let Poll::Ready(acquired) = polled {
            return acquired;
        }
        contention = LeftToPool::new(moved_on);
        yielding.spend(lock).await;
    }
}

/// What ends a pause.
enum Pause {
    /// A wake-up, or this time, whichever comes first.
    WakeFd(WakeFd, Duration),
    Time(Duration),
    /// A time on a clock that can only block.
    TimeBy(Arc<dyn Clock>, Duration),
}

/// The state of the protocol's pause, if it is in one.
enum State {
    Asked(Pause),
    /// The pause has ended; `true` if there may be a wake-up.
    Over(bool),
}

/// Passes pauses to the task that polls the protocol, which awaits them.
#[derive(Default)]
struct Yielding(Mutex<Option<State>>);

impl Park for Yielding {
    async fn park(&self, context: &Context, wake_fd: Option<WakeFd>, time: Duration) -> bool {
        self.set(State::Asked(match wake_fd {
            Some(wake_fd) => Pause::WakeFd(wake_fd, time),
            None if context.machine.can_wake => Pause::Time(time),
            None => Pause::TimeBy(context.machine.clock.clone(), time),
        }));
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
    /// Awaits the pause that the protocol has asked for.
    async fn spend(&self, lock: &Lock) {
        let heard = match self.take() {
            Some(State::Asked(Pause::WakeFd(wake_fd, time))) => listen(wake_fd, time).await,
            Some(State::Asked(Pause::Time(time))) => {
                sleep(time).await;
                false
            }
            Some(State::Asked(Pause::TimeBy(clock, time))) => {
                // If the runtime shuts down, so will the next turn on the pool.
                let _ = on_pool(lock.path(), move || clock.sleep(time)).await;
                false
            }
            _ => unreachable!("the protocol waits only for its parker"),
        };
        self.set(State::Over(heard));
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    fn take(&self) -> Option<State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Registers the descriptor for each pause separately. A registration also reports earlier events,
/// so no wake-up is missed, and no registration is left behind.
async fn listen(wake_fd: WakeFd, time: Duration) -> bool {
    // The method that replaces this one is `unsafe`, for descriptors that are closed or replaced
    // meanwhile, which a `WakeFd`'s is not; and tokio has it only since 1.53.3.
    #[allow(deprecated)]
    let registered = AsyncFd::with_interest(wake_fd, Interest::READABLE);
    let Ok(wake_fd) = registered else {
        sleep(time).await; // no room to register it: recheck after the pause, as if woken
        return true;
    };
    timeout(time, wake_fd.readable()).await.is_ok()
}
