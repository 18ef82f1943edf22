//! One holder at a time, whatever happens to the processes: they are killed, stopped, given wrong
//! clocks, meet other programs, and lose power.
#![cfg(target_os = "linux")]

#[path = "../kit/mod.rs"]
mod kit;

mod deliveries;
mod peers;
mod power_cuts;
mod queues;
mod races;
mod readers;
mod slots;
mod support;

/// Not a test: the other processes, each of which does what its environment says.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    support::worker::run(&[
        &races::stale::DEAD,
        &races::stale::EXPIRED,
        &races::stale::FLUFL,
        &queues::long::LINKLOCK,
        &queues::long::FLUFL,
        &slots::DEAD_HOLDERS,
        &slots::LATE_HOLDERS,
        &readers::DEAD_ONES,
        &readers::LATE_ONES,
    ]);
    races::wrong_date::contend();
    peers::crowd::worker::work();
    peers::ours::hold();
    power_cuts::users::work();
}
