//! The client, from the top down:
//!
//! - `blocking` and `tokio`: its two faces, of the same verbs;
//! - `acquisition`, `holding` and `session`: what they do, written once as futures over a
//!   `Transport`;
//! - `transport`: what those futures need of the world. For the blocking face every wait blocks the
//!   thread, so that a future is done in one go; for tokio's nothing blocks.

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
