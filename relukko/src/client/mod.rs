//! The client, from the top down:
//!
//! - `blocking` and `tokio`: its two APIs, with the same methods;
//! - `acquisition`, `holding` and `session`: the logic, written once as futures over a `Transport`;
//! - `transport`: what those futures need from their environment. In the blocking API every wait
//!   blocks the thread, so that one poll completes a future; in tokio's nothing blocks.

mod acquisition;
mod blocking;
mod endpoint;
mod error;
mod holding;
mod lease;
mod listener;
mod options;
mod request;
mod response;
mod retry;
mod session;
mod subscription;
mod tls;
#[cfg(feature = "tokio")]
pub mod tokio;
mod transport;
mod wait_limit;

pub use self::blocking::{Client, LockGuard};
pub use self::error::ClientError;
pub use self::options::ClientOptions;
