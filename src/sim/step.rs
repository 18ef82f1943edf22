//! What may happen next in a run, and what it does to the world.

use std::time::Duration;

use super::run::Run;
use super::scenario::{Faults, SLOP, STALL};
use super::schedule::Choice;
use super::server::Request;
use super::world::{Issued, Waiting, World};

/// What the scheduler may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Execute(usize),
    Resume(usize),
    /// A request is executed whose process is dead.
    ExecuteStray(usize),
    PassTime(Duration),
    Crash(usize),
    /// Its last request will be executed all the same.
    CrashAsking(usize),
    Stall(usize),
    Reboot(usize),
    Repeat(usize),
    Restart,
    Fail(usize, i32, bool),
    SetDate(usize, i64),
}

/// How far a machine's date is set forward or back.
const HOURS: i64 = 3 * 3600;

impl Step {
    /// Who is moved on by it.
    pub(super) fn choice(self, world: &World) -> Choice {
        match self {
            Step::Execute(id) | Step::Resume(id) => Choice::Process(id),
            Step::ExecuteStray(number) => Choice::Process(world.strays[number].0),
            Step::PassTime(_) => Choice::Time,
            _ => Choice::Fault,
        }
    }
}

/// All that may happen next. None of it is what an undisturbed run would go on with but the first;
/// an empty list is the end. The process that has moved last comes first: anything else preempts it.
pub(super) fn possible(world: &World, faults: &Faults, last: usize, steps: &mut Vec<Step>) {
    steps.clear();
    let count = world.processes.len();
    let mut sleepers = None::<Duration>;
    let mut deadline = Duration::MAX; // for what must be executed by then
    for offset in 0..count {
        let id = (last + offset) % count;
        let state = &world.processes[id];
        let until = match &state.waiting {
            Waiting::Execution(issued) => {
                steps.push(Step::Execute(id));
                deadline = deadline.min(issued.at + SLOP);
                continue;
            }
            Waiting::Answer(..) => state.stalled_until,
            Waiting::Time(until) => state.stalled_until.max(*until),
            Waiting::Ended | Waiting::Crashed => continue,
        };
        if until <= world.now {
            steps.push(Step::Resume(id));
        } else {
            sleepers = Some(sleepers.map_or(until, |least| least.min(until)));
        }
    }
    for (number, (_, issued)) in world.strays.iter().enumerate() {
        steps.push(Step::ExecuteStray(number));
        deadline = deadline.min(issued.at + SLOP);
    }
    if let Some(until) = sleepers.filter(|until| *until < deadline) {
        steps.push(Step::PassTime(until));
    }
    if !steps.is_empty() && *faults != Faults::default() {
        add_faults(world, faults, steps);
    }
}

fn add_faults(world: &World, faults: &Faults, steps: &mut Vec<Step>) {
    for (id, state) in world.processes.iter().enumerate() {
        let asks = matches!(state.waiting, Waiting::Execution(_));
        if !world.runs(id) {
            continue;
        }
        if faults.crashes > 0 {
            steps.push(Step::Crash(id));
            if asks && !world.monitor.rules.local {
                steps.push(Step::CrashAsking(id));
            }
        }
        if faults.stalls > 0 && state.stalled_until <= world.now {
            steps.push(Step::Stall(id));
        }
        if faults.repeats > 0 && asks {
            steps.push(Step::Repeat(id));
        }
        if faults.errors > 0 && asks {
            let fail = |errno, executed| Step::Fail(id, errno, executed);
            steps.extend([
                fail(libc::EIO, false),
                fail(libc::EIO, true),
                fail(libc::ESTALE, false),
            ]);
        }
    }
    let answered = |waiting: &Waiting| matches!(waiting, Waiting::Answer(..));
    if faults.restarts > 0 && world.processes.iter().any(|state| answered(&state.waiting)) {
        steps.push(Step::Restart);
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

impl Run<'_> {
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Execute(id) => {
                self.last = id;
                self.execute(id);
            }
            Step::Resume(id) => {
                self.last = id;
                self.resume(id);
            }
            Step::ExecuteStray(number) => {
                let mut world = self.world();
                let (id, Issued { request, .. }) = world.strays.remove(number);
                world.note(id, || "what it has asked for goes on:".into());
                let _ = world.execute(id, &request);
            }
            Step::PassTime(until) => self.world().now = until,
            Step::Crash(id) | Step::CrashAsking(id) => {
                self.faults.crashes -= 1;
                self.crash(id, step == Step::CrashAsking(id));
            }
            Step::Stall(id) => {
                self.faults.stalls -= 1;
                let mut world = self.world();
                world.note(id, || "FAULT: stands still".into());
                world.processes[id].stalled_until = world.now + STALL;
            }
            Step::Reboot(client) => {
                self.faults.reboots -= 1;
                self.reboot(client);
            }
            Step::Repeat(id) => {
                self.faults.repeats -= 1;
                let mut world = self.world();
                if let Some(request) = asked_by(&world, id) {
                    world.note(id, || "FAULT: the reply is lost, it will ask again:".into());
                    let _ = world.execute(id, &request);
                }
            }
            Step::Restart => {
                self.faults.restarts -= 1;
                let mut world = self.world();
                world.note(self.last, || "FAULT: the server is restarted, all ask again".into());
                for state in &mut world.processes {
                    if let Waiting::Answer(issued, _) = &state.waiting {
                        state.waiting = Waiting::Execution(issued.clone());
                    }
                }
            }
            Step::Fail(id, errno, executed) => {
                self.faults.errors -= 1;
                let mut world = self.world();
                if let Some(request) = asked_by(&world, id) {
                    let errno_name = nix::errno::Errno::from_raw(errno);
                    world.note(id, || format!("FAULT: {errno_name}, executed: {executed}"));
                    if executed {
                        let _ = world.execute(id, &request);
                    }
                    answer(&mut world, id, Err(errno));
                }
            }
            Step::SetDate(client, seconds) => {
                self.faults.clock_steps -= 1;
                let mut world = self.world();
                world.note(self.last, || format!("FAULT: host{client} sets its date: {seconds} s"));
                world.clients[client].wall_error += seconds;
            }
        }
    }

    /// Lets the server do what this process has asked for.
    fn execute(&mut self, id: usize) {
        let mut world = self.world();
        if let Some(request) = asked_by(&world, id) {
            world.now += Duration::from_millis(1);
            let done = world.execute(id, &request);
            answer(&mut world, id, done);
        }
    }
}

fn asked_by(world: &World, id: usize) -> Option<Request> {
    match &world.processes[id].waiting {
        Waiting::Execution(issued) => Some(issued.request.clone()),
        _ => None,
    }
}

fn answer(world: &mut World, id: usize, answer: Result<super::server::Answer, i32>) {
    let waiting = &mut world.processes[id].waiting;
    if let Waiting::Execution(issued) = waiting {
        *waiting = Waiting::Answer(issued.clone(), answer);
    }
}
