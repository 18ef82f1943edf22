//! Real NFS: Linux clients and a Linux server, each with a kernel of its own: see README.md beside
//! this file.
//!
//!     LINKLOCK_NFS=1 cargo test --test nfs
#![cfg(unix)]

#[path = "../kit/mod.rs"]
mod kit;

mod contention;
mod cost;
mod delegations;
mod disk;
mod flufl;
mod grace;
mod handover;
mod hints;
mod jobs;
mod lab;
mod late;
mod replies;
mod scene;
mod seats;
mod server;
mod servers;
mod several;
mod shared;
mod successors;
mod takeover;
mod tenure;
mod terms;
mod waiting;

#[test]
#[ignore = "runs in a guest, where the scenarios start it"]
fn worker() {
    let Some(job) = lab::job() else { return };
    jobs::run(&job.iter().map(String::as_str).collect::<Vec<_>>());
}
