//! The possible next steps of a run.

use crate::sys::errno;
use std::time::Duration;

use super::faults::{Faults, SERVER_STEP};
use super::network::Forgery;
use super::schedule::Choice;
use super::server::Request;
use super::world::{ProcessState, Waiting, World};

/// A step that the scheduler may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Execute(usize),
    Resume(usize),
    /// A request of a dead process is executed.
    ExecuteStray(usize),
    PassTime(Duration),
    Crash(usize),
    /// The process dies, and its last request is executed all the same.
    CrashAsking(usize),
    Stall(usize),
    Reboot(usize),
    Repeat(usize),
    Restart,
    Fail(usize, i32, bool),
    SetDate(usize, i64),
    SetServer(i64),
    JumpServer,
    /// A dead client has a delegation of what this process is about to change.
    HoldBack(usize),
    /// The server revokes a delegation, after its limit or before.
    Revoke(usize),
    RevokeEarly(usize),
    LateCopy(usize),
    LateRemoval(usize),
    LateWrite(usize),
    PowerCut(Loss),
    /// A listing shows none of the names that came or went while it ran, or all of them.
    ListLeast(usize),
    ListMost(usize),
    /// A datagram arrives, is lost, or arrives and is under way once more; or one is forged.
    Deliver(usize),
    Lose(usize),
    DeliverTwice(usize),
    Forge(Forgery),
}

/// What a power cut of the server loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// Contents are all zero afterwards, rather than empty.
    pub(super) to_nuls: bool,
    /// All changes since the journal was last committed.
    pub(super) names: bool,
}

/// How far a machine's date is set forward or back, in seconds.
const HOURS: i64 = 3 * 3600;
/// How far the server's clock is set back, in seconds.
const MINUTES_BACK: i64 = -120;

impl Step {
    /// The kind of this step, with the process that it moves on.
    pub(super) fn choice(self, world: &World) -> Choice {
        match self {
            Step::Execute(id) | Step::Resume(id) => Choice::Process(id),
            Step::ExecuteStray(number) => Choice::Process(world.strays[number].0),
            Step::Deliver(number) => Choice::Process(world.network.receiver(number)),
            Step::PassTime(_) | Step::Revoke(_) => Choice::Time,
            Step::Crash(_)
            | Step::CrashAsking(_)
            | Step::Stall(_)
            | Step::Reboot(_)
            | Step::Repeat(_)
            | Step::Restart
            | Step::Fail(..)
            | Step::SetDate(..)
            | Step::SetServer(_)
            | Step::JumpServer
            | Step::HoldBack(_)
            | Step::RevokeEarly(_)
            | Step::LateCopy(_)
            | Step::LateRemoval(_)
            | Step::LateWrite(_)
            | Step::PowerCut(_)
            | Step::ListLeast(_)
            | Step::ListMost(_)
            | Step::Lose(_)
            | Step::DeliverTwice(_)
            | Step::Forge(_) => Choice::Fault,
        }
    }
}

/// All possible steps. The first is what an undisturbed run would do; an empty list ends the run.
/// The process that moved last comes first: anything else preempts it.
pub(super) fn possible(world: &World, faults: &Faults, last: usize, steps: &mut Vec<Step>) {
    steps.clear();
    let count = world.processes.len();
    let mut sleepers = None::<Duration>;
    let mut deadline = Duration::MAX; // when the oldest request must be executed
    for offset in 0..count {
        let id = (last + offset) % count;
        let state = &world.processes[id];
        let until = match &state.waiting {
            Waiting::Execution(issued) => {
                if !world.is_held_back(&issued.request) {
                    steps.push(Step::Execute(id));
                    deadline = deadline.min(issued.at + world.delay);
                }
                continue;
            }
            Waiting::Time(until) => state.stalled_until.max(*until),
            Waiting::Mutex(seen) if *seen == world.resumed => continue,
            Waiting::Answer(..) | Waiting::Mutex(_) => state.stalled_until,
            Waiting::Ended | Waiting::Crashed => continue,
        };
        if until <= world.now {
            steps.push(Step::Resume(id));
        } else {
            sleepers = Some(sleepers.map_or(until, |least| least.min(until)));
        }
    }
    for (number, (_, issued)) in world.strays.iter().enumerate() {
        if !world.is_held_back(&issued.request) {
            steps.push(Step::ExecuteStray(number));
            deadline = deadline.min(issued.at + world.delay);
        }
    }
    steps.extend((0..world.network.datagrams.len()).map(Step::Deliver));
    for (number, held) in world.delegations.iter().enumerate() {
        if held.until <= world.now {
            steps.push(Step::Revoke(number));
            deadline = world.now;
        } else {
            sleepers = Some(sleepers.map_or(held.until, |least| least.min(held.until)));
        }
    }
    if let Some(until) = sleepers.filter(|until| *until < deadline) {
        steps.push(Step::PassTime(until));
    }
    let is_disturbed = *faults != Faults::default() || !world.delegations.is_empty();
    if !steps.is_empty() && is_disturbed {
        add_faults(world, faults, steps);
    }
}

fn add_faults(world: &World, faults: &Faults, steps: &mut Vec<Step>) {
    for (id, state) in world.processes.iter().enumerate() {
        if world.runs(id) {
            add_faults_of(id, world, faults, steps);
        }
        match &state.waiting {
            Waiting::Execution(issued) => add_faults_to(id, &issued.request, world, faults, steps),
            // Like all requests, copies are executed within the delay.
            Waiting::Answer(issued, _) if issued.at + world.delay >= world.now => {
                match &issued.request {
                    Request::SetMtime(..) | Request::Link(..) | Request::Create(..)
                        if faults.late_copies > 0 =>
                    {
                        steps.push(Step::LateCopy(id));
                    }
                    Request::Write(..) if faults.late_writes > 0 => steps.push(Step::LateWrite(id)),
                    Request::Rename(..) | Request::Remove(..) if faults.late_removals > 0 => {
                        steps.push(Step::LateRemoval(id));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    add_faults_of_server(world, faults, steps);
    if faults.hints > 0 {
        add_faults_of_network(world, steps);
    }
    for client in 0..world.clients.len() {
        let is_there = |id: usize| world.processes[id].client == client && world.runs(id);
        if faults.reboots > 0 && (0..world.processes.len()).any(is_there) {
            steps.push(Step::Reboot(client));
        }
        if faults.clock_steps > 0 {
            steps.extend([Step::SetDate(client, HOURS), Step::SetDate(client, -HOURS)]);
        }
    }
}

fn add_faults_of_network(world: &World, steps: &mut Vec<Step>) {
    for number in 0..world.network.datagrams.len() {
        steps.extend([Step::Lose(number), Step::DeliverTwice(number)]);
    }
    if world.network.can_forge() {
        steps.extend([Forgery::Turn, Forgery::Kept, Forgery::Question].map(Step::Forge));
    }
}

/// Faults of a process.
fn add_faults_of(id: usize, world: &World, faults: &Faults, steps: &mut Vec<Step>) {
    let state = &world.processes[id];
    if faults.crashes > 0 {
        steps.push(Step::Crash(id));
        if matches!(state.waiting, Waiting::Execution(_)) && !world.safety.rules.local {
            steps.push(Step::CrashAsking(id));
        }
    }
    if faults.stalls > 0 && state.stalled_until <= world.now {
        steps.push(Step::Stall(id));
    }
}

/// Faults of a request that was not executed yet.
fn add_faults_to(
    id: usize,
    request: &Request,
    world: &World,
    faults: &Faults,
    steps: &mut Vec<Step>,
) {
    if faults.repeats > 0 && !world.is_held_back(request) {
        steps.push(Step::Repeat(id));
    }
    if faults.errors > 0 && !world.is_held_back(request) {
        let fail = |errno, executed| Step::Fail(id, errno, executed);
        steps.extend([fail(errno::EIO, false), fail(errno::EIO, true), fail(errno::ESTALE, false)]);
    }
    if faults.delegations > 0 && world.can_be_delegated(id, request).is_some() {
        steps.push(Step::HoldBack(id));
    }
    if faults.listings > 0 && matches!(request, Request::List(_)) {
        steps.extend([Step::ListLeast(id), Step::ListMost(id)]);
    }
}

fn add_faults_of_server(world: &World, faults: &Faults, steps: &mut Vec<Step>) {
    let is_answered = |state: &ProcessState| matches!(state.waiting, Waiting::Answer(..));
    if faults.restarts > 0 && world.processes.iter().any(is_answered) {
        steps.push(Step::Restart);
    }
    if faults.server_steps > 0 {
        steps.extend([Step::SetServer(MINUTES_BACK), Step::SetServer(SERVER_STEP)]);
    }
    if faults.server_jumps > 0 {
        steps.push(Step::JumpServer);
    }
    steps.extend((0..world.delegations.len()).map(Step::RevokeEarly));
    if faults.power_cuts > 0 {
        for to_nuls in [false, true] {
            steps.push(Step::PowerCut(Loss { to_nuls, names: false }));
            if world.journal.is_some() {
                steps.push(Step::PowerCut(Loss { to_nuls, names: true }));
            }
        }
    }
}
