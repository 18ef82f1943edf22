//! linklock's locks over HTTP.

#![deny(missing_docs)]

mod info;
#[cfg(feature = "server")]
mod server;
mod timestamp;

pub use info::{InvalidId, LockId, LockInfo};
#[cfg(feature = "server")]
pub use server::{Server, ServerError, ServerOptions};
