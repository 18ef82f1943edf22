//! Acquiring without blocking.
//!
//! A caller may drop the future at any moment. So the acquisition runs as a task, which continues
//! until the last request is answered, and releases the lock if the caller no longer waits for it.

use std::panic::resume_unwind;
use std::sync::Arc;

use super::transport::Tokio;
use super::wake::Count;
use crate::client::error::ClientError;
use crate::client::transport::{Bell, Transport};

/// Runs an acquisition, which is called off by its bell if the future is dropped. If no caller takes the
/// guard from the task, it is dropped with the task and releases its lock.
pub(super) async fn in_task<G: Send + 'static, F>(
    transport: &Tokio,
    acquire: impl FnOnce(Arc<Bell<Count>>) -> F,
) -> Result<G, ClientError>
where
    F: Future<Output = Result<G, ClientError>> + Send + 'static,
{
    let bell = Arc::new(Bell::default());
    let _call_off = CallOff(bell.clone());
    let task = ::tokio::spawn(acquire(bell));
    match task.await.map_err(::tokio::task::JoinError::try_into_panic) {
        Ok(acquired) => acquired,
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => {
            let reason = "the runtime has ended the request".into();
            Err(ClientError::NoAnswer { url: transport.endpoint().url(""), reason })
        }
    }
}

/// Calls a wait off when dropped.
struct CallOff(Arc<Bell<Count>>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.end();
    }
}
