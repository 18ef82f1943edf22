//! Access to the directory, which blocks: in a limited number of threads, and for a limited time. A
//! directory that hangs, as one on a file server that is out of reach does, holds up no request for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{error::Elapsed, timeout};

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The directory does not answer, or all threads wait for it.
    TimedOut,
    /// The work panicked, or the server is stopping.
    Broken,
}

/// The work goes on.
const WORKING: u8 = 0;
/// The work has ended, with a result for the caller.
const DONE: u8 = 1;
/// The caller expects no result any more.
const GIVEN_UP: u8 = 2;

#[derive(Debug)]
pub(crate) struct Access {
    threads: Arc<Semaphore>,
    limit: Duration,
}

impl Access {
    /// With so many threads, and so much time for each piece of work.
    pub(crate) fn new(threads: usize, limit: Duration) -> Access {
        Access { threads: Arc::new(Semaphore::new(threads)), limit }
    }

    /// Does a piece of work that blocks. It ends by itself even if its caller goes away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failed> {
        self.run_or_undo(work, |_| {}).await
    }

    /// The same, and undoes the work if it ends only after its time is up, or its caller has gone
    /// away: a client that has hung up.
    pub(crate) async fn run_or_undo<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        undo: impl FnOnce(T) + Send + 'static,
    ) -> Result<T, Failed> {
        let timed_out = |_: Elapsed| Failed::TimedOut;
        let thread = timeout(self.limit, self.threads.clone().acquire_owned()).await;
        let thread = thread.map_err(timed_out)?.map_err(|_| Failed::Broken)?;
        let state = Arc::new(AtomicU8::new(WORKING));
        let _attention = Attention(state.clone());
        let own = state.clone();
        let mut work = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            let done = work();
            if moves_on(&own, DONE) {
                return Some(done);
            }
            undo(done);
            None
        });
        let ended = match timeout(self.limit, &mut work).await {
            Err(_) if moves_on(&state, GIVEN_UP) => return Err(Failed::TimedOut),
            Err(_) => work.await, // it has ended just now
            Ok(ended) => ended,
        };
        ended.ok().flatten().ok_or(Failed::Broken)
    }
}

/// Gives some work up when its caller goes away.
struct Attention(Arc<AtomicU8>);

impl Drop for Attention {
    fn drop(&mut self) {
        moves_on(&self.0, GIVEN_UP); // unless the work has ended
    }
}

/// Whether this is what becomes of the work: either its end or its caller comes first.
fn moves_on(state: &AtomicU8, to: u8) -> bool {
    state.compare_exchange(WORKING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(120);

    fn in_runtime<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn work_has_a_result() {
        in_runtime(async {
            let access = Access::new(1, LONG);
            assert_eq!(access.run(|| 1).await, Ok(1));
            assert_eq!(access.run(|| 2).await, Ok(2), "the thread is free again");
        });
    }

    #[test]
    fn what_hangs_holds_up_its_caller_for_a_while_and_no_other() {
        in_runtime(async {
            let access = Access::new(2, SOON);
            let (undone, told) = mpsc::channel();
            let (hang, hangs) = mpsc::channel::<()>();
            let hanging = move || hangs.recv();
            let undo = move |_| undone.send(()).unwrap();
            assert_eq!(access.run_or_undo(hanging, undo).await, Err(Failed::TimedOut));
            while access.run(|| 1).await != Ok(1) {} // however long a busy machine takes for a thread
            assert!(told.try_recv().is_err(), "it is still at work");
            hang.send(()).unwrap();
            told.recv_timeout(LONG).expect("what comes too late is undone");
        });
    }

    #[test]
    fn what_a_caller_that_goes_away_has_begun_is_undone() {
        in_runtime(async {
            let access = Access::new(1, LONG);
            let (undone, told) = mpsc::channel();
            let (go_on, goes_on) = mpsc::channel::<()>();
            let work = access
                .run_or_undo(move || goes_on.recv().unwrap(), move |()| undone.send(()).unwrap());
            assert!(timeout(SOON, work).await.is_err());
            go_on.send(()).unwrap();
            told.recv_timeout(LONG).expect("it is undone");
        });
    }

    #[test]
    fn no_more_hang_than_there_are_threads() {
        in_runtime(async {
            let access = Access::new(1, SOON);
            let (hang, hangs) = mpsc::channel::<()>();
            assert_eq!(access.run(move || hangs.recv()).await, Err(Failed::TimedOut));
            assert_eq!(access.run(|| 1).await, Err(Failed::TimedOut));
            hang.send(()).unwrap();
            while access.run(|| 1).await.is_err() {} // until the thread is free
        });
    }

    #[test]
    fn a_panic_is_no_result() {
        in_runtime(async {
            let access = Access::new(1, LONG);
            assert_eq!(access.run(|| panic!("as it should")).await, Err::<(), _>(Failed::Broken));
            assert_eq!(access.run(|| 1).await, Ok(1));
        });
    }
}
