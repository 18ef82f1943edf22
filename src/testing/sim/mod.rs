//! The simulator runs the real protocol, not a model of it, over a simulated NFS. A schedule
//! decides every step.
//!
//! A step is atomic for the file server: it executes a request, an answer reaches a process, or
//! time passes. Between any two steps a schedule may resume another process, stall one for longer
//! than its lease, kill it (with its last request under way, or not), reboot its machine, set a
//! date, lose a reply, restart the server so that requests are repeated, or make a request fail. It
//! may delay requests for minutes, execute a copy of one after its reply, set the server's clock,
//! cut the server's power, list a directory in part, and lose, repeat or forge a wake-up hint: see
//! [`faults`]. Inode numbers are reused
//! at once, the machines' dates differ by hours, and client caches go out of date. Time is
//! simulated: a run of minutes takes some hundred microseconds.
//!
//! Every run must satisfy (see [`safety_checker`], [`actor`] and [`liveness_checker`]):
//!
//! - No process acquires the lock, or takes its file away, while another's lease runs.
//! - A process holds the lock if its call says so, and does not if its call says that it is lost.
//! - The next contender gets the lock in time: once the lease has been over for the clock slop, or
//!   once the holder has been seen dead.
//! - In the end no file is left, and only the lock's own files were touched.
//! - Every process comes to an end.
//!
//! The only assumption is the library's own: a request is executed within a scenario's `delay` of
//! being issued, and that delay plus twice the error of the server's clock is at most the clock
//! slop. Delegations are the exception: a request to change an inode that is delegated to a dead
//! client waits until the server revokes the delegation; from then on the assumption holds again.
//! Threads of one process share a guard or a handle: a thread that waits for its mutex yields to
//! the scheduler.
//! In runs with flufl.lock as a peer nothing more is promised once the peer has broken a lock.
//!
//! # Running it
//!
//! ```sh
//! cargo test --release --lib sim -- --nocapture      # some 100,000 schedules
//! LINKLOCK_SCHEDULES=1000000 cargo test --release --lib sim::safety -- --nocapture   # for hours
//! ```
//!
//! `LINKLOCK_SCHEDULES` is the number of random schedules of each scenario. With
//! `LINKLOCK_EXHAUSTIVE` every schedule with up to two deviations is explored, otherwise with one. The same seed makes the same run. A violation is shown as a trace, one line
//! per request, followed by the command that replays it (`LINKLOCK_SEED=...` for a random schedule,
//! `LINKLOCK_DEVIATIONS=...` for an exhaustive one).
//!
//! # Its parts
//!
//! - [`server`]: inodes, names, and the server's clock.
//! - [`cache`]: what a machine has cached; [`nfs_client`]: the file system that its processes use;
//!   [`open_file`]: an open file of one of them.
//! - [`host`]: clocks and processes, as a machine shows them; [`network`] and
//!   [`hint_sockets`]: what wake-up hints take.
//! - [`world`]: all of these, and what each process is waiting for.
//! - [`faults`]: what may go wrong; [`step`]: what may happen next, faults included; [`take`]: what
//!   a step does to the world; [`run`]: one run, from its [`prefix`] to its [`liveness_checker`];
//!   [`trace`]: its record.
//! - [`schedule`]: makes the decisions: all schedules with few deviations, random ones, or a given
//!   one.
//! - [`actor`]: a process, with checks of the answers that it gets; [`safety_checker`]: the checks
//!   that concern all processes.
//! - [`scenario`], [`workloads`], [`handles`], [`scenarios`], [`situations`], [`several`]: which
//!   process does what; [`slots`]: contenders for a set of slots; [`readers`]: readers and writers;
//!   [`flufl`]: a peer with another protocol; [`mail_programs`]: programs that lock a mailbox in
//!   place of the lock.
//! - [`explore`]: many runs.
//! - [`safety`]: the scenarios that must be safe. [`mutants`]: the violations that a missing
//!   safeguard must cause.

mod actor;
mod cache;
mod constants;
mod explore;
mod faults;
mod flufl;
mod handles;
mod hint_sockets;
mod host;
mod liveness_checker;
mod mail_programs;
mod mutants;
mod network;
mod nfs_client;
mod open_file;
mod prefix;
mod readers;
mod run;
mod safety;
mod safety_checker;
mod scenario;
mod scenarios;
mod schedule;
mod server;
mod several;
mod situations;
mod slots;
mod step;
mod take;
mod trace;
mod workloads;
mod world;
