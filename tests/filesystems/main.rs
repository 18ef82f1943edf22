//! One battery over many file systems: a lock works there, or is refused before it is held.
//!
//!     LINKLOCK_FILESYSTEMS=1 cargo test --test filesystems
//!
//! [`mounts`] says how each is mounted, [`faults`] what a file system in memory does otherwise than it
//! should, [`battery`] what is tried, and [`scene`] prepares the process in which it is. What must come
//! of it is read in the tables of docs/filesystems.md, by [`table`].
#![cfg(target_os = "linux")]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "../exclusion/support/mod.rs"]
#[allow(dead_code)] // what the races need
mod support;

mod battery;
mod faults;
mod mounts;
mod scene;
mod table;

/// Not a test: what the other processes do, each as its environment says.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    support::worker::run(&battery::SETUPS);
    kit::worker::work();
}
