//! What a handle remembers from one step to the next.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use crate::model::fairness::Fairness;
use crate::model::server_clock::ServerClock;

/// The memory of one handle and its clones: empty at first. The slots of a set share some of it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) server: ServerClock,
    /// The queue of this host's waiters, once it is known.
    pub(crate) queue: OnceLock<Option<u64>>,
    /// This machine's address for wake-up hints, once it is known.
    pub(crate) wake_address: Arc<OnceLock<Option<Ipv4Addr>>>,
    /// Decides when this handle, or the set that it is in, lets other waiters go first.
    pub(crate) fairness: Arc<Fairness>,
    /// Whether the file system was seen to do what a lock needs.
    pub(crate) is_tried: Arc<AtomicBool>,
    /// Whether this handle has swept already.
    pub(crate) has_swept: AtomicBool,
}

impl Memory {
    /// The memory of another handle in the same directory, which knows no more than the file system.
    pub(crate) fn of_file_system(&self) -> Memory {
        Memory {
            is_tried: self.is_tried.clone(),
            wake_address: self.wake_address.clone(),
            ..Memory::default()
        }
    }
}
