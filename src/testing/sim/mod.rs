//! The simulator: the real protocol, not a model of it, over a simulated NFS, with every step decided
//! by a schedule.
//!
//! A step is what a file server does at once: a request is executed, an answer reaches a process, time
//! passes. Between any two of them a schedule may let another process go on, stop one for longer than
//! its lease, kill it (with its last request under way, or not), boot its machine, set a date, lose a
//! reply, restart the server so that what it was asked for is asked again, or let a request fail. It
//! may hold requests back for minutes, execute a copy of one after its reply, set the server's clock
//! and cut its power, and show a directory in part: see [`faults`]. Inode numbers are used again at once, machines' dates are hours apart, and what clients have cached
//! goes stale. Time is simulated: a run of minutes takes some hundred microseconds.
//!
//! What must hold in every run, see [`safety_checker`], [`actor`] and [`liveness_checker`]:
//!
//! - Nobody gets the lock, or takes its file away, while another's lease runs.
//! - A process whose call says that it holds the lock holds it; one whose call says that it lost it does not.
//! - The next contender gets the lock in time: once the lease has been over for the clock slop, or
//!   once the holder has been seen dead.
//! - No file is left when all is over, and none but the lock's own was touched.
//! - Every process comes to an end.
//!
//! One assumption is made, the library's own: a request is executed within a scenario's `delay` of
//! being issued, which with twice the error of the server's clock is no more than the clock slop.
//! Delegations are the exception: what would change an inode of which a dead client has one waits
//! for as long as it takes until the server revokes it, and then the same assumption holds again.
//! Threads of one process share a guard: a thread that waits for its mutex lets the scheduler go on.
//! In runs with flufl.lock for a neighbour nothing more is promised once that has broken a lock.
//!
//! # Running it
//!
//! ```sh
//! cargo test --release --lib sim -- --nocapture      # some 400,000 schedules
//! LINKLOCK_SCHEDULES=1000000 cargo test --release --lib sim::safety -- --nocapture   # for hours
//! ```
//!
//! `LINKLOCK_SCHEDULES` is the number of random schedules of each scenario; those that are explored
//! in every order are explored in full each time. The same seed makes the same run. What is found to be
//! wrong is shown as a trace, one line a request, followed by the command that replays it
//! (`LINKLOCK_SEED=...` for a random schedule, `LINKLOCK_DEVIATIONS=...` for another).
//!
//! # Its parts
//!
//! - [`server`]: inodes, names, and the server's clock.
//! - [`cache`]: what a machine has cached; [`nfs_client`]: the file system of its processes;
//!   [`open_file`]: a file that one of them has open.
//! - [`host`]: clocks and processes, as a machine shows them.
//! - [`world`]: all of these, and what each process waits for.
//! - [`faults`]: what may go wrong; [`step`]: what may happen next, faults included; [`take`]: what
//!   a step does to the world; [`run`]: one run, from its [`prefix`] to its [`liveness_checker`];
//!   [`trace`]: its record.
//! - [`schedule`]: who decides: all schedules with few deviations, random ones, or one that is given.
//! - [`actor`]: a process, and what must be true of the answers that it gets; [`safety_checker`]: what must be true
//!   of all.
//! - [`scenario`], [`workloads`], [`scenarios`], [`situations`]: who does what; [`flufl`]: a neighbour
//!   with another protocol; [`mail_programs`]: those that lock a mailbox in place of the lock.
//! - [`explore`]: many runs.
//! - [`safety`]: what is explored. [`mutants`]: what must be found when a safeguard is missing.

mod actor;
mod cache;
mod constants;
mod explore;
mod faults;
mod flufl;
mod host;
mod liveness_checker;
mod mail_programs;
mod mutants;
mod nfs_client;
mod open_file;
mod prefix;
mod run;
mod safety;
mod safety_checker;
mod scenario;
mod scenarios;
mod schedule;
mod server;
mod situations;
mod step;
mod take;
mod trace;
mod workloads;
mod world;
