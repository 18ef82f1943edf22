//! Lists of all locks. One is made at a time, and all requests that have come before it began get the same:
//! however many clients ask, a large directory is read by one thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::OnceCell;

use super::error_response::ErrorResponse;

/// A list as it is sent.
pub(crate) type List = Result<Bytes, ErrorResponse>;

#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// The list that has not begun, if anybody waits for one.
    next: Mutex<Option<Arc<OnceCell<List>>>>,
    /// The request that makes a list has it.
    turn: tokio::sync::Mutex<()>,
}

impl Lists {
    /// A list that begins after the call.
    pub(crate) async fn get<F: Future<Output = List>>(&self, make: impl FnOnce() -> F) -> List {
        let list = self.next().get_or_insert_default().clone();
        // If the request that makes it goes away, another does.
        let made = list.get_or_init(|| async {
            let _turn = self.turn.lock().await;
            *self.next() = None; // what changes from now on may be missing
            make().await
        });
        made.await.clone()
    }

    fn next(&self) -> MutexGuard<'_, Option<Arc<OnceCell<List>>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(5);

    #[test]
    fn many_requests_share_a_list_and_none_gets_one_that_began_before_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (lists, begun) = (Arc::new(Lists::default()), Arc::new(AtomicUsize::new(0)));
        let ask = |lists: Arc<Lists>, begun: Arc<AtomicUsize>| async move {
            let before = begun.load(Ordering::SeqCst);
            let make = || async {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(A_MOMENT).await;
                Ok(number.to_string().into())
            };
            let list = lists.get(make).await.unwrap();
            let number: usize = std::str::from_utf8(&list).unwrap().parse().unwrap();
            assert!(number > before, "list {number}, which began before");
        };
        runtime.block_on(async {
            let requests = (0..64).map(|_| tokio::spawn(ask(lists.clone(), begun.clone())));
            for request in requests.collect::<Vec<_>>() {
                request.await.unwrap();
            }
        });
        // Most come while the first is made.
        assert!(begun.load(Ordering::SeqCst) < 32, "{begun:?}");
    }

    #[test]
    fn a_request_that_goes_away_takes_no_list_with_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let lists = Lists::default();
        runtime.block_on(async {
            let hanging = lists.get(std::future::pending);
            assert!(tokio::time::timeout(A_MOMENT, hanging).await.is_err());
            let list = lists.get(|| async { Ok(Bytes::from_static(b"[]")) }).await.unwrap();
            assert_eq!(&*list, b"[]");
        });
    }
}
