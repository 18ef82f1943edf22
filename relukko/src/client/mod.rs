//! The client, from the top down:
//!
//! - `blocking` and `tokio`: its two APIs, with the same methods;
//! - `acquisition` (for `/v1/`), `queueing` (for `/v2/`), `holding` and `session`: the logic, written once as futures over a `Transport`;
//! - `transport`: what those futures need from their environment. In the blocking API every wait
//!   blocks the thread, so that one poll completes a future; in tokio's nothing blocks.

mod acquisition;
mod blocking;
mod endpoint;
mod error;
mod event;
mod holding;
mod interface;
mod lease;
mod listener;
mod lock_url;
mod options;
mod percent;
mod queueing;
mod request;
mod response;
mod retry;
mod secret;
mod session;
mod subscription;
mod tenure;
mod tls;
#[cfg(feature = "tokio")]
pub mod tokio;
mod transport;
mod wait_limit;
mod waiter;

pub use self::blocking::{Client, LockGuard, v2};
pub use self::error::ClientError;
pub use self::options::ClientOptions;
