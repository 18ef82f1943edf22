//! The simulator: the real protocol over a simulated NFS, every step decided by a schedule.
//!
//! - [`server`]: inodes, names, and the server's clock; each request is one step.
//! - [`client`]: a machine's caches, and the file system of its processes.
//! - [`world`]: what each process waits for; clocks; who is dead.
//! - [`monitor`]: what must hold.
//! - [`schedule`]: all schedules with few deviations, or random ones.
//! - [`run`]: one run; faults.

mod client;
mod monitor;
mod run;
mod schedule;
mod server;
mod tests;
mod world;
