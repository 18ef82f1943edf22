//! One run: processes that execute the real protocol, each on a stack of its own, moved on one
//! step at a time by a [`Schedule`].

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use generator::{Generator, Gn};

use super::client::SimFs;
use super::schedule::{Choice, Schedule};
use super::world::{
    Caching, Client, Process, ProcessState, SimClock, SimProcesses, Waiting, World,
};
use super::world::{random, seed_random};
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::StalePolicy;
use crate::lock::Lock;
use crate::options::Machine;

/// The lock's file in every run.
pub(super) const PATH: &str = "/sim/L";
pub(super) const LIFETIME: Duration = Duration::from_secs(15);
pub(super) const SLOP: Duration = Duration::from_secs(10);

/// Words of a stack: the protocol needs far less.
const STACK: usize = 0x4000;
/// A run that goes on for so long never ends.
const STEPS: usize = 4000;

/// What a process does.
pub(super) type Script = fn(&Actor);

/// What is run.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) processes: Vec<(&'static str, usize, Script)>,
    /// Each client's uptime when the run begins, and how far its date is off, in seconds.
    pub(super) clients: Vec<(u64, i64)>,
    pub(super) policy: StalePolicy,
    /// A local file system: no caches, nothing lost.
    pub(super) local: bool,
    pub(super) faults: Faults,
    pub(super) caching: Caching,
}

/// What may go wrong in one run, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) crashes: usize,
    /// A request is executed, its reply is lost, and so is the server's reply cache: it is executed
    /// again, at once or later, and the second reply counts.
    pub(super) repeats: usize,
    /// EIO, whether the request was executed or not.
    pub(super) errors: usize,
}

/// A process, as its script sees it.
pub(super) struct Actor {
    pub(super) process: Process,
    pub(super) lock: Lock,
    pub(super) fs: SimFs,
    may_be_caught: bool,
}

impl Actor {
    fn new(process: Process, scenario: &Scenario) -> Actor {
        let fs = SimFs { process: process.clone(), local: scenario.local, claims: Arc::default() };
        let host = format!("host{}", process.world().processes[process.id].client);
        let lock = Lock::options(PATH)
            .host_name(host)
            .lifetime(LIFETIME)
            .clock_slop(SLOP)
            .stale(scenario.policy)
            .polling(Duration::from_secs(1), Duration::from_secs(4))
            .build_on(Machine {
                fs: Arc::new(fs.clone()),
                clock: Arc::new(SimClock(process.clone())),
                processes: Arc::new(SimProcesses(process.clone())),
                random,
                hears: false,
            })
            .expect("the options are right");
        let may_be_caught = scenario.faults.repeats > 0;
        Actor { process, lock, fs, may_be_caught }
    }

    pub(super) fn sleep(&self, seconds: u64) {
        crate::fs::Clock::sleep(&SimClock(self.process.clone()), Duration::from_secs(seconds));
    }

    /// Acquires the lock, for as long as it takes.
    pub(super) fn lock(&self) -> Option<LockGuard> {
        loop {
            match self.lock.lock() {
                Ok(guard) => {
                    self.holds(guard.remaining());
                    return Some(guard);
                }
                Err(Error::AlreadyLocked { .. }) => {
                    let falsehood =
                        format!("process {} is told that it holds a lock already", self.process.id);
                    self.process.world().monitor.violation = Some(falsehood);
                    return None;
                }
                Err(error) if self.process.has_crashed() => {
                    drop(error);
                    return None;
                }
                Err(error) => self.process.note(&format!("is told: {error}")),
            }
        }
    }

    /// Says that this process was given the lock, or that its lease was prolonged.
    fn holds(&self, left: Duration) {
        self.process.note(&format!("HOLDS the lock for {left:?}"));
        let mut world = self.process.world();
        let (now, client) = (world.now, world.processes[self.process.id].client);
        let dead_wait = if self.fs.local { Duration::ZERO } else { SLOP };
        world.monitor.holds(self.process.id, client, now, left, dead_wait);
    }

    /// Refreshes the lock, and says whether it is not lost.
    pub(super) fn refresh(&self, guard: &LockGuard) -> bool {
        match guard.refresh() {
            Ok(()) if !guard.remaining().is_zero() => {
                self.assures(self.has_lock(guard));
                self.holds(guard.remaining());
                true
            }
            Err(error) if error.is_lost() => {
                self.process.note("is told that it LOST the lock");
                self.process.world().monitor.ends(self.process.id);
                false
            }
            _ => true, // the lease goes on as it was
        }
    }

    pub(super) fn unlock(&self, guard: LockGuard) {
        self.process.note("begins to unlock");
        self.process.world().monitor.ends(self.process.id);
        let has_lock = self.has_lock(&guard);
        if guard.unlock().is_ok() {
            self.assures(has_lock);
        }
    }

    /// Dies, whatever it holds.
    pub(super) fn die(&self) {
        let mut world = self.process.world();
        world.processes[self.process.id].waiting = Waiting::Crashed;
        let now = world.now;
        world.monitor.dies(self.process.id, now);
    }

    /// Whether the lock file is this process's, in truth.
    fn has_lock(&self, guard: &LockGuard) -> bool {
        let claim = self.fs.claims.lock().unwrap().get(guard.claim_path()).copied();
        match self.process.world().server.find(Path::new(PATH)) {
            Some(lock) => claim == Some(lock),
            // A rename that is executed twice catches another's lock file, and puts it back.
            None => self.may_be_caught,
        }
    }

    /// Whoever is told that all is well with its lock must have it.
    fn assures(&self, has_lock: bool) {
        if !has_lock {
            let falsehood = format!("process {} was not told that it lost it", self.process.id);
            self.process.world().monitor.violation = Some(falsehood);
        }
    }
}

/// What a run has shown.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) violation: Option<String>,
    pub(super) trace: Vec<String>,
    pub(super) tenures: usize,
}

/// Runs a scenario by a schedule.
pub(super) fn run(scenario: &Scenario, schedule: &mut dyn Schedule, trace: bool) -> Outcome {
    silence_crashes();
    seed_random();
    let mut run = Run::new(scenario, trace);
    for &(name, client, script) in &scenario.processes {
        run.spawn(name, client, script);
    }
    let mut violation = run.go_on(schedule);
    if violation.is_none() {
        violation = run.clean_up();
    }
    let mut world = run.world();
    let (tenures, trace) = (world.monitor.tenures(), world.trace.take().unwrap_or_default());
    drop(world);
    Outcome { violation, trace, tenures }
}

/// A crash unwinds a stack by a panic that nobody should hear of.
fn silence_crashes() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<generator::Error>().is_none() {
                usual(panic);
            }
        }));
    });
}

struct Run<'a> {
    scenario: &'a Scenario,
    world: Arc<Mutex<World>>,
    stacks: Vec<Option<Generator<'static, (), ()>>>,
    faults: Faults,
    last: usize,
    steps: usize,
}

/// What the scheduler may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Execute(usize),
    Resume(usize),
    PassTime(Duration),
    Crash(usize),
    Repeat(usize),
    FailBefore(usize),
    FailAfter(usize),
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, trace: bool) -> Run<'a> {
        let client = |&(uptime, wall_error): &(u64, i64)| Client {
            uptime: Duration::from_secs(uptime),
            wall_error,
            ..Client::default()
        };
        let mut clients: Vec<Client> = scenario.clients.iter().map(client).collect();
        clients.push(Client::default()); // for whoever comes when all is over
        let mut world = World::new(clients, scenario.caching, trace);
        let on = |client| scenario.processes.iter().filter(|(_, on, _)| *on == client).count();
        let all = 0..scenario.clients.len();
        world.monitor.shared_clients = all.filter(|client| on(*client) > 1).collect();
        Run {
            scenario,
            world: Arc::new(Mutex::new(world)),
            stacks: Vec::new(),
            faults: scenario.faults,
            last: 0,
            steps: 0,
        }
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn spawn(&mut self, name: &'static str, client: usize, script: Script) {
        let id = self.stacks.len();
        let waiting = Waiting::Time(Duration::ZERO);
        self.world().processes.push(ProcessState { name, client, waiting });
        let process = Process { world: self.world.clone(), id };
        let actor = Actor::new(process, self.scenario);
        let stack = Gn::new_opt(STACK, move || {
            script(&actor);
            let ended = actor.process.clone();
            drop(actor);
            if !ended.has_crashed() {
                ended.world().processes[id].waiting = Waiting::Ended;
            }
        });
        self.stacks.push(Some(stack));
    }

    /// Moves the processes on until all have ended, or until something is wrong.
    fn go_on(&mut self, schedule: &mut dyn Schedule) -> Option<String> {
        loop {
            let steps = self.possible_steps();
            if steps.is_empty() {
                return None;
            }
            let choices: Vec<Choice> = steps.iter().map(|step| step.choice()).collect();
            let chosen = schedule.choose(&choices);
            self.take(steps[chosen]);
            if let Some(violation) = self.world().monitor.violation.take() {
                return Some(violation);
            }
            self.steps += 1;
            if self.steps > STEPS {
                return Some("the processes never come to an end".to_owned());
            }
        }
    }

    fn possible_steps(&self) -> Vec<Step> {
        let world = self.world();
        let count = world.processes.len();
        let mut steps = Vec::new();
        let mut sleepers = None::<Duration>;
        let mut deadline = Duration::MAX; // for what must be executed by then
        // The process that moved last comes first: anything else preempts it.
        for id in (0..count).map(|offset| (self.last + offset) % count) {
            match &world.processes[id].waiting {
                Waiting::Execution { issued, .. } => {
                    steps.push(Step::Execute(id));
                    deadline = deadline.min(*issued + SLOP);
                }
                Waiting::Answer(_) => steps.push(Step::Resume(id)),
                Waiting::Time(until) if *until <= world.now => steps.push(Step::Resume(id)),
                Waiting::Time(until) => {
                    sleepers = Some(sleepers.map_or(*until, |least| least.min(*until)));
                }
                Waiting::Ended | Waiting::Crashed => {}
            }
        }
        if let Some(until) = sleepers.filter(|until| *until < deadline) {
            steps.push(Step::PassTime(until));
        }
        for id in 0..count {
            let waiting = &world.processes[id].waiting;
            let asks = matches!(waiting, Waiting::Execution { .. });
            if self.faults.crashes > 0 && !matches!(waiting, Waiting::Ended | Waiting::Crashed) {
                steps.push(Step::Crash(id));
            }
            if self.faults.repeats > 0 && asks {
                steps.push(Step::Repeat(id));
            }
            if self.faults.errors > 0 && asks {
                steps.extend([Step::FailBefore(id), Step::FailAfter(id)]);
            }
        }
        let all_done = steps.iter().all(|step| matches!(step, Step::Crash(_)));
        if all_done && sleepers.is_none() { Vec::new() } else { steps }
    }

    fn take(&mut self, step: Step) {
        let mut world = self.world();
        match step {
            Step::PassTime(until) => world.now = until,
            Step::Execute(id) => {
                if let Waiting::Execution { request, .. } = world.processes[id].waiting.clone() {
                    world.now += Duration::from_millis(1);
                    let answer = world.execute(id, &request);
                    world.processes[id].waiting = Waiting::Answer(answer);
                }
            }
            Step::Repeat(id) => {
                if let Waiting::Execution { request, .. } = world.processes[id].waiting.clone() {
                    world.note(id, || {
                        "FAULT: the reply is lost, the request will be repeated".into()
                    });
                    let _ = world.execute(id, &request);
                }
            }
            Step::FailBefore(id) | Step::FailAfter(id) => {
                if let Waiting::Execution { request, .. } = world.processes[id].waiting.clone() {
                    let executed = step == Step::FailAfter(id);
                    world.note(id, || format!("FAULT: EIO, executed: {executed}"));
                    if executed {
                        let _ = world.execute(id, &request);
                    }
                    world.processes[id].waiting = Waiting::Answer(Err(libc::EIO));
                }
            }
            Step::Resume(_) | Step::Crash(_) => {}
        }
        drop(world);
        match step {
            Step::Resume(id) => {
                if let Some(stack) = &mut self.stacks[id] {
                    stack.resume();
                }
            }
            Step::Crash(id) => {
                self.crash(id);
                self.faults.crashes -= 1;
            }
            Step::Repeat(_) => self.faults.repeats -= 1,
            Step::FailBefore(_) | Step::FailAfter(_) => self.faults.errors -= 1,
            Step::Execute(_) | Step::PassTime(_) => {}
        }
        if let Step::Execute(id) | Step::Resume(id) = step {
            self.last = id;
        }
    }

    fn crash(&mut self, id: usize) {
        let mut world = self.world();
        world.note(id, || "FAULT: crashes".into());
        world.processes[id].waiting = Waiting::Crashed;
        let now = world.now;
        world.monitor.dies(id, now);
        drop(world);
        self.stacks[id] = None; // unwinds it, while the world knows it as dead
    }

    /// When all is over, whoever comes next gets the lock and leaves the directory empty.
    fn clean_up(&mut self) -> Option<String> {
        self.world().now += Duration::from_secs(3600);
        self.faults = Faults::default();
        let client = self.scenario.clients.len();
        self.spawn("after", client, |actor| {
            if let Some(guard) = actor.lock() {
                actor.unlock(guard);
                let _ = actor.lock.sweep();
            }
        });
        let expected = self.world().monitor.tenures() + 1;
        self.go_on(&mut Undisturbed).or_else(|| {
            let world = self.world();
            if world.monitor.tenures() != expected {
                return Some("nobody gets the lock any more".to_owned());
            }
            let left: Vec<String> =
                world.server.names().map(|name| name.display().to_string()).collect();
            (!left.is_empty()).then(|| format!("files are left: {}", left.join(", ")))
        })
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for id in 0..self.stacks.len() {
            if !matches!(self.world().processes[id].waiting, Waiting::Ended) {
                self.crash(id);
            }
        }
    }
}

impl Step {
    fn choice(self) -> Choice {
        match self {
            Step::Execute(id) | Step::Resume(id) => Choice::Process(id),
            Step::PassTime(_) => Choice::Time,
            Step::Crash(_) | Step::Repeat(_) | Step::FailBefore(_) | Step::FailAfter(_) => {
                Choice::Fault
            }
        }
    }
}

/// The schedule in which nothing happens but what must.
struct Undisturbed;

impl Schedule for Undisturbed {
    fn choose(&mut self, _options: &[Choice]) -> usize {
        0
    }
}
