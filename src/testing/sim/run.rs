//! One run: processes that execute the real protocol, each on its own stack, moved on one step at a
//! time by a [`Schedule`].

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use generator::{Generator, Gn};

use super::actor::Actor;
use super::constants::{LIFETIME, MAILBOX, PATH, POLL, STEPS};
use super::faults::Faults;
use super::hint_sockets::SimNetwork;
use super::host::{SimClock, SimProcesses, random, seed_random};
use super::network::Network;
use super::nfs_client::SimFs;
use super::safety_checker::{Rules, SafetyChecker};
use super::scenario::{Participant, Scenario};
use super::schedule::{Choice, Schedule};
use super::server::Server;
use super::step::possible;
use super::world::{Client, Process, ProcessState, Waiting, World};
use crate::lock::Lock;
use crate::model::machine::Machine;
use crate::policy::StalePolicy;
use crate::sys::mutex::contention;

/// The words of a stack, which is far more than the protocol needs.
const STACK: usize = 0x4000;

type Stack = Generator<'static, (), ()>;

thread_local! {
    /// Stacks are reused: getting a new one from the system takes as long as half a run.
    static STACKS: RefCell<Vec<Stack>> = const { RefCell::new(Vec::new()) };
}

fn stack(code: impl FnOnce() + Send + 'static) -> Stack {
    match STACKS.with_borrow_mut(Vec::pop) {
        Some(mut used) => {
            used.init_code(code);
            used
        }
        None => Gn::new_opt(STACK, code),
    }
}

/// Files beside the lock that do not belong to it, however similar their names.
pub(super) const STRANGERS: [&str; 4] =
    ["/sim/K", "/sim/L2|host0|100|x0000000000000001", "/sim/L|aside|none|x", "/sim/L|host0|1"];

/// The result of a run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) violation: Option<String>,
    pub(super) trace: Vec<String>,
    pub(super) tenures: usize,
    /// Whether a peer has broken the rules, so that nothing was promised.
    pub(super) excused: bool,
}

/// Runs a scenario by a schedule.
pub(super) fn run(scenario: &Scenario, schedule: &mut dyn Schedule, trace: bool) -> Outcome {
    seed_random();
    let mut run = Run::new(scenario, trace);
    for &part in &scenario.parts {
        run.spawn(part);
    }
    let violation = run
        .play_prefix()
        .or_else(|| run.go_on(schedule))
        .or_else(|| match scenario {
            Scenario { mailbox: Some(_), .. } => run.next_mail_program(),
            Scenario { readers: true, .. } => run.next_writer(),
            _ => run.next_comer(),
        })
        .or_else(|| run.clean_up());
    let mut world = run.world();
    Outcome {
        violation,
        trace: world.trace.take().unwrap_or_default(),
        tenures: world.safety.tenures(),
        excused: world.safety.excuse.is_some(),
    }
}

pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    world: Arc<Mutex<World>>,
    stacks: Vec<Stack>,
    pub(super) faults: Faults,
    /// The process that moved last.
    pub(super) last: usize,
    steps: usize,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, trace: bool) -> Run<'a> {
        let client = |&(uptime, wall_error): &(u64, i64)| Client {
            uptime: Duration::from_secs(uptime),
            wall_error,
            ..Client::default()
        };
        let mut clients: Vec<Client> = scenario.clients.iter().map(client).collect();
        clients.push(Client::default()); // for the next contender, when all is over
        let rules = Rules {
            local: scenario.local,
            dead_wait: if scenario.local { Duration::ZERO } else { scenario.shortest_slop() },
            never: scenario.policy == StalePolicy::Never,
            fencing: scenario.fencing,
            slots: scenario.slots,
            readers: scenario.readers,
            may_be_caught: scenario.faults.repeats
                + scenario.faults.restarts
                + scenario.faults.late_removals
                > 0,
            mailbox: scenario.mailbox,
        };
        let mut server = Server::new(scenario.resolution);
        server.add_strangers(&STRANGERS);
        if scenario.mailbox.is_some_and(|mailbox| mailbox.exists) {
            server.add_strangers(&[MAILBOX]);
        }
        let has_journal = scenario.local && scenario.faults.power_cuts > 0;
        let journal = has_journal.then(|| (Duration::ZERO, server.clone()));
        let world = World {
            now: Duration::ZERO,
            server,
            clients,
            processes: Vec::new(),
            running: 0,
            resumed: 0,
            inherited: None,
            handle: None,
            turn: None,
            tenure: None,
            strays: Vec::new(),
            safety: SafetyChecker::new(rules),
            delay: scenario.delay,
            delegations: Vec::new(),
            revoked: Vec::new(),
            may_delegate: scenario.faults.delegations > 0,
            delegates_late: scenario.delegates_late,
            caching: scenario.caching,
            stale_lists: scenario.stale_lists,
            partial_lists: scenario.faults.listings > 0,
            journal,
            handed_over: None,
            network: Network::default(),
            opened: 0,
            attached_unlock: false,
            trace: trace.then(Vec::new),
        };
        let world = Arc::new(Mutex::new(world));
        wait_for_mutexes_in(&world);
        Run { scenario, world, stacks: Vec::new(), faults: scenario.faults, last: 0, steps: 0 }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spawn(&mut self, (name, client, script): Participant) {
        let id = self.stacks.len();
        let of = self.scenario.threads.iter().find(|(thread, _)| *thread == name);
        let mut world = self.world();
        let main = of.map_or(id, |(_, of)| world.named(of));
        let boot = world.clients[client].boot;
        let there = world.processes.iter().filter(|it| (it.client, it.boot) == (client, boot));
        let new_pid = 100 + u32::try_from(there.count()).unwrap_or_default();
        let pid = if main == id { new_pid } else { world.processes[main].pid };
        world.processes.push(ProcessState {
            name,
            client,
            boot,
            pid,
            main,
            waiting: Waiting::Time(Duration::ZERO),
            changed: Default::default(),
            stalled_until: Duration::ZERO,
        });
        world.safety.joins((main == id).then_some((client, boot)));
        drop(world);
        let actor = self.actor(Process { world: self.world.clone(), id: main }, client);
        self.stacks.push(stack(move || {
            if actor.process.has_crashed() {
                return; // before it began
            }
            script(&actor);
            let ended = actor.process.clone();
            drop(actor);
            if !ended.has_crashed() {
                let mut world = ended.world();
                world.processes[id].waiting = Waiting::Ended;
                let now = world.now;
                world.safety.dies(id, now);
            }
        }));
    }

    /// A process on that machine, with a handle of the lock.
    fn actor(&self, process: Process, client: usize) -> Actor {
        let scenario = self.scenario;
        let may_fail = scenario.faults.errors > 0;
        let fs = SimFs { process: process.clone(), local: scenario.local, may_fail };
        let clock = SimClock(process.clone());
        let host = if scenario.one_name { "clone".into() } else { format!("host{client}") };
        let lock = Lock::options(PATH)
            .host_name(host)
            .lifetime(LIFETIME)
            .clock_slop(scenario.slop_on(client))
            .stale(scenario.policy_on(client))
            .keep_claim(scenario.keep_claim)
            .fencing(scenario.fencing)
            .wake_hints(scenario.wake_hints)
            .polling(Duration::from_secs(1), POLL)
            .build_on(Machine {
                fs: Arc::new(fs.clone()),
                clock: Arc::new(clock.clone()),
                processes: Arc::new(SimProcesses(process.clone())),
                random,
                network: Arc::new(SimNetwork(process.clone())),
                can_wake: false,
            })
            .expect("the options are valid");
        let may_be_caught = process.world().safety.rules.may_be_caught;
        Actor { process, lock: Arc::new(lock), fs, clock, may_be_caught, may_fail }
    }

    pub(super) fn resume(&mut self, id: usize) {
        let mut world = self.world();
        world.running = id;
        if !matches!(world.processes[id].waiting, Waiting::Mutex(_)) {
            world.resumed += 1;
        }
        drop(world);
        self.stacks[id].resume();
    }

    pub(super) fn crash(&mut self, id: usize, request_survives: bool) {
        let mut world = self.world();
        world.note(id, || "FAULT: crashes".into());
        let threads = world.threads_of(id);
        for thread in &threads {
            world.crash(*thread, request_survives);
        }
        drop(world);
        for thread in threads {
            self.resume(thread); // it unwinds while it counts as dead
        }
    }

    /// Ends all processes of a machine, and starts those that run after a boot.
    pub(super) fn reboot(&mut self, client: usize) {
        for id in 0..self.stacks.len() {
            let is_there = |world: &World| world.processes[id].client == client && world.runs(id);
            if is_there(&self.world()) {
                let is_local = self.scenario.local;
                self.crash(id, !is_local);
            }
        }
        let mut world = self.world();
        let (now, boot) = (world.now, world.clients[client].boot);
        world.safety.reboots(client, boot, now);
        let wall_error = world.clients[client].wall_error;
        let boot = boot + 1;
        world.clients[client] = Client { booted_at: now, wall_error, boot, ..Client::default() };
        drop(world);
        let parts = self.scenario.after_boot.iter().filter(|part| part.1 == client);
        for &part in parts {
            self.spawn(part);
        }
    }

    /// Moves the processes on until all have ended, or until a violation.
    pub(super) fn go_on(&mut self, schedule: &mut dyn Schedule) -> Option<String> {
        let mut steps = Vec::new();
        let mut choices: Vec<Choice> = Vec::new();
        self.steps = 0;
        loop {
            let world = self.world();
            possible(&world, &self.faults, self.last, &mut steps);
            if steps.is_empty() {
                let is_stuck = |state: &ProcessState| matches!(state.waiting, Waiting::Mutex(_));
                let stuck = world.processes.iter().find(|state| is_stuck(state));
                return stuck.map(|state| format!("{} waits for a mutex for ever", state.name));
            }
            choices.clear();
            choices.extend(steps.iter().map(|step| step.choice(&world)));
            drop(world);
            self.take(steps[schedule.choose(&choices)]);
            if let Some(violation) = self.world().safety.violation() {
                return Some(violation);
            }
            self.steps += 1;
            if self.steps > STEPS {
                return Some("the processes never come to an end".to_owned());
            }
        }
    }
}

/// A thread that waits for a mutex yields to the scheduler.
fn wait_for_mutexes_in(world: &Arc<Mutex<World>>) {
    let world = Arc::downgrade(world);
    contention::wait_by(move || {
        let Some(world) = world.upgrade() else { return };
        let process = Process { world, id: 0 };
        let seen = process.world().resumed;
        process.wait(Waiting::Mutex(seen));
    });
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for id in 0..self.stacks.len() {
            let runs = self.world().runs(id);
            if runs {
                self.crash(id, false);
            }
        }
        let done = self.stacks.drain(..).filter(Stack::is_done);
        STACKS.with_borrow_mut(|stacks| stacks.extend(done));
    }
}
