//! Contention on tokio: the protocol's future alternates between a thread of the pool, which polls
//! it until it has to park, and the task, which awaits that pause.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::pool::{LeftToPool, on_pool};
use crate::error::Error;
use crate::holder::Obstacle;
use crate::lock::Lock;
use crate::model::context::Context;
use crate::protocol::tenure::Tenure;
use crate::sys::wake_fd::WakeFd;
use crate::wait::limit::WaitLimit;
use crate::wait::yielding::{Pause, Yielding};

/// A wait limit that can move between threads.
pub(super) type AsyncWaitLimit = WaitLimit<'static, dyn FnMut(&Obstacle) -> Duration + Send>;

/// Contends for the lock until it is acquired or the limit is reached. If dropped, leaves nothing
/// behind.
pub(super) async fn contend(lock: &Arc<Lock>, limit: AsyncWaitLimit) -> Result<Tenure, Error> {
    let contender = lock.clone();
    let acquisition = lock.begin_acquisition();
    let contention = |parker: Arc<Yielding>| async move {
        contender.contend(acquisition, limit, &*parker).await
    };
    drive(&lock.context, contention).await
}

/// Runs a contention that parks in the given parker. If dropped, leaves nothing behind.
pub(super) async fn drive<T, F>(
    context: &Context,
    contention: impl FnOnce(Arc<Yielding>) -> F,
) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let yielding = Arc::<Yielding>::default();
    let mut contention = LeftToPool::new(Box::pin(contention(yielding.clone())));
    loop {
        let (moved_on, polled) = on_pool(context.lock_path(), move || {
            let mut contention = contention.into_inner();
            let polled = contention.as_mut().poll(&mut task::Context::from_waker(Waker::noop()));
            (contention, polled)
        })
        .await?;
        if let Poll::Ready(acquired) = polled {
            return acquired;
        }
        contention = LeftToPool::new(moved_on);
        spend(&yielding, context).await;
    }
}

/// Awaits the pause that the protocol has asked for.
async fn spend(yielding: &Yielding, context: &Context) {
    let Pause { wake_fds, time } = yielding.asked();
    let machine = &context.machine;
    let heard = if !wake_fds.is_empty() {
        listen(wake_fds, time).await
    } else if machine.can_wake {
        sleep(time).await;
        None
    } else {
        // A clock of the lock's own, which can only block. If the runtime shuts down, so will the
        // next turn on the pool.
        let clock = machine.clock.clone();
        let _ = on_pool(context.lock_path(), move || clock.sleep(time)).await;
        None
    };
    yielding.end(heard);
}

/// Registers the descriptors for each pause separately. A registration also reports earlier events,
/// so no wake-up is missed, and no registration is left behind.
async fn listen(wake_fds: Vec<WakeFd>, time: Duration) -> Option<usize> {
    let mut registered = Vec::with_capacity(wake_fds.len());
    for wake_fd in wake_fds {
        // The method that replaces this one is `unsafe`, for descriptors that are closed or replaced
        // meanwhile, which a `WakeFd`'s is not; and tokio has it only since 1.53.3.
        #[allow(deprecated)]
        let Ok(one) = AsyncFd::with_interest(wake_fd, Interest::READABLE) else {
            sleep(time).await; // no room to register it: recheck after the pause, as if woken
            return Some(0);
        };
        registered.push(one);
    }
    let one_is_ready = poll_fn(|task| {
        let ready = registered.iter().position(|one| one.poll_read_ready(task).is_ready());
        ready.map_or(Poll::Pending, Poll::Ready)
    });
    timeout(time, one_is_ready).await.ok()
}
