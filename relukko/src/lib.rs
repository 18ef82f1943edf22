//! linklock's locks over HTTP.

#![deny(missing_docs)]

#[cfg(feature = "client")]
mod client;
mod info;
#[cfg(feature = "server")]
mod server;
mod timestamp;

#[cfg(feature = "client")]
pub use client::{Client, ClientError, ClientOptions, RelukkoGuard};
pub use info::{InvalidId, LockId, LockInfo};
#[cfg(feature = "server")]
pub use server::{Server, ServerError, ServerOptions};
