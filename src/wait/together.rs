//! Contentions that go on at the same time and spend their pauses together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use crate::model::context::Context;
use crate::sys::wake_fd::WakeFd;
use crate::wait::park::Park;
use crate::wait::yielding::{Pause, Yielding};

/// Runs contentions at the same time, until the result of one is final. `begin` begins one with its
/// index and its parker; each gets as far as its first pause before the next one begins, and none
/// begins after a final result. `ended` gets the results, and returns `Some` for a final one; the
/// contentions that are left are dropped then. Returns `None` if all have ended without one.
pub(crate) async fn together<F: Future, R>(
    context: &Context,
    count: usize,
    begin: impl Fn(usize, Arc<Yielding>) -> F,
    mut ended: impl FnMut(usize, F::Output) -> Option<R>,
    parker: &impl Park,
) -> Option<R> {
    let mut parked = Vec::new();
    for index in 0..count {
        let parker = Arc::<Yielding>::default();
        let future = Box::pin(begin(index, parker.clone()));
        let contention = Contention { index, future, parker };
        match contention.proceed(context) {
            Proceeded::To(pause) => parked.push(pause),
            Proceeded::Ended(result) => {
                if let Some(last) = ended(index, result) {
                    return Some(last);
                }
            }
        }
    }
    while let Some(until) = parked.iter().map(|one| one.until).min() {
        let wake_fds = parked.iter().flat_map(|one| one.wake_fds.iter().cloned()).collect();
        let time = until.saturating_sub(context.now());
        let mut heard = parker.park(context, wake_fds, time).await;
        let now = context.now();
        for one in std::mem::take(&mut parked) {
            // The index among all descriptors is one of this contention's, or of a later one's.
            let (own, later) = match heard {
                Some(index) if index < one.wake_fds.len() => (Some(index), None),
                other => (None, other.map(|index| index - one.wake_fds.len())),
            };
            heard = later;
            if own.is_none() && now < one.until {
                parked.push(one);
                continue;
            }
            let index = one.contention.index;
            match one.resume(context, own) {
                Proceeded::To(pause) => parked.push(pause),
                Proceeded::Ended(result) => {
                    if let Some(last) = ended(index, result) {
                        return Some(last);
                    }
                }
            }
        }
    }
    None
}

struct Contention<F> {
    index: usize,
    future: Pin<Box<F>>,
    parker: Arc<Yielding>,
}

/// A contention in a pause.
struct Parked<F> {
    contention: Contention<F>,
    wake_fds: Vec<WakeFd>,
    until: Duration,
}

enum Proceeded<F: Future> {
    To(Parked<F>),
    Ended(F::Output),
}

impl<F: Future> Contention<F> {
    /// Polls the contention, which waits for nothing but its parker.
    fn proceed(mut self, context: &Context) -> Proceeded<F> {
        match self.future.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Proceeded::Ended(result),
            Poll::Pending => {
                let Pause { wake_fds, time } = self.parker.asked();
                let until = context.now().saturating_add(time);
                Proceeded::To(Parked { contention: self, wake_fds, until })
            }
        }
    }
}

impl<F: Future> Parked<F> {
    fn resume(self, context: &Context, heard: Option<usize>) -> Proceeded<F> {
        self.contention.parker.end(heard);
        self.contention.proceed(context)
    }
}
