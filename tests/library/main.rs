//! What each public method promises, one promise a test.
//!
//! All these tests share a process, and run at the same time. A test that changes its process, or
//! counts in it, has one of its own: see [`kit::again`].

#[path = "../kit/mod.rs"]
mod kit;

mod api;
mod death;
mod examples;
mod fencing;
mod filesystems;
mod forks;
mod format;
mod hostile;
mod mailbox;
mod names;
mod states;
#[cfg(target_os = "linux")]
mod waiting;

/// Not a test: the other process, for tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    kit::worker::work();
}
