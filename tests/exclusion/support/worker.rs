//! What a worker does: it contends for every lock, holds it, and meets the mishaps of its setup.

use std::env;
use std::io;
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use crate::kit::clock::now;
use crate::kit::process::Process;
use crate::support::contender::Contender;
use crate::support::history::{History, Outcome, READER, Record};
use crate::support::nemesis::{Nemesis, NemesisClock};
use crate::support::setup::Setup;
use crate::support::witness::{Other, Witness};
use crate::support::workdir::Workdir;
use crate::support::workers::{PLACE, SETUP, WORKDIR};

/// Does what the environment says; nothing if it says nothing, as when all ignored tests are run.
pub(crate) fn run(setups: &[&Setup]) {
    let Ok(name) = env::var(SETUP) else { return };
    let mut named = setups.iter().filter(|setup| setup.name == name);
    let setup = named.next().expect("a setup of this name");
    assert!(named.next().is_none(), "two setups are called {name}");
    let nemesis = Arc::new(begin());
    thread::scope(|scope| {
        for lock in 0..setup.locks {
            let worker = Worker::new(setup, lock, nemesis.clone());
            scope.spawn(move || worker.contend());
        }
    });
}

/// A process that has been started by [`run`](super::workers::run) begins.
pub(crate) fn begin() -> Nemesis {
    let workdir = Workdir::at(Path::new(&env::var_os(WORKDIR).expect("a workdir")));
    let place = env::var(PLACE).ok().and_then(|place| place.parse().ok()).expect("a place");
    let history = History::open(&workdir.history(place));
    history.write(&Record::Begun);
    thread::spawn(end_with_parent);
    Nemesis { workdir, history }
}

/// A test that is interrupted must leave no processes: their stdin ends with it.
fn end_with_parent() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    exit(1);
}

/// One thread, which contends for one lock, or for a slot of a set.
struct Worker<'a> {
    setup: &'a Setup,
    lock: usize,
    nemesis: Arc<Nemesis>,
    clock: Arc<NemesisClock>,
    contender: Contender,
    tenures: usize,
}

/// A tenure that has not ended.
struct Tenure {
    /// The number of the lock, or of the slot.
    lock: usize,
    token: String,
    lease_ends: Duration,
    /// `None` for a reader.
    witness: Option<Witness>,
}

/// How a tenure is to end.
enum Fate {
    Killed,
    Stalled,
    Released,
}

impl<'a> Worker<'a> {
    fn new(setup: &'a Setup, lock: usize, nemesis: Arc<Nemesis>) -> Worker<'a> {
        let clock = Arc::new(NemesisClock::new(nemesis.clone(), setup, lock));
        let contender = Contender::new(setup, &nemesis.workdir, lock, clock.clone());
        Worker { setup, lock, nemesis, clock, contender, tenures: 0 }
    }

    fn contend(mut self) {
        while !self.nemesis.workdir.is_closed() {
            if let Err(why) = self.take_a_turn() {
                self.record(&Record::Failed { why });
                return;
            }
            if rand::random() {
                sleep(self.setup.rest.mul_f64(rand::random()));
            }
        }
    }

    fn take_a_turn(&mut self) -> Result<(), String> {
        let began = now();
        let lease_ends = self.clock.watch(|| self.contender.acquire());
        let since = now();
        let mut tenure = self.begin(since, lease_ends?, since.saturating_sub(began));
        loop {
            let (least, most) = self.setup.hold;
            sleep(rand::random_range(least..=most));
            match self.fate() {
                Fate::Killed => self.nemesis.die(),
                Fate::Released => return self.release(tenure),
                Fate::Stalled => self.stall(tenure.lease_ends),
            }
            if rand::random() {
                return self.release(tenure);
            }
            match self.renew(tenure)? {
                Some(renewed) => tenure = renewed,
                None => return self.contender.release().map(drop),
            }
        }
    }

    fn begin(&mut self, since: Duration, lease_ends: Duration, waited: Duration) -> Tenure {
        self.tenures += 1;
        let reads = self.contender.reads();
        let kind = if reads { READER } else { "" };
        let token = format!("{}-{}-{}", Process::this(), self.lock, self.tenures);
        let token = format!("{kind}{token}").replace('/', "-");
        let lock = self.contender.slot().unwrap_or(self.lock);
        let held = token.clone();
        self.record(&Record::Held { lock, token: held, since, lease_ends, waited });
        let path = self.nemesis.workdir.witness(lock);
        let rule = self.setup.rule();
        let stand = || Witness::stand(&path, rule, &token, since, lease_ends);
        let (witness, verdict) = if reads {
            (None, self.clock.watch(|| Witness::of_another(&path, rule, since, lease_ends)))
        } else {
            let (witness, verdict) = self.clock.watch(stand);
            (Some(witness), verdict)
        };
        self.report(lock, &token, verdict);
        Tenure { lock, token, lease_ends, witness }
    }

    fn fate(&self) -> Fate {
        let (killed, stalled) = (self.setup.mishaps.killed_holding, self.setup.mishaps.stalled);
        let drawn: f64 = rand::random();
        if self.nemesis.workdir.is_closed() || drawn >= killed + stalled {
            Fate::Released
        } else if drawn < killed {
            Fate::Killed
        } else {
            Fate::Stalled
        }
    }

    /// Sleeps until the lease is over and the lock may be taken over, or just has been.
    fn stall(&self, lease_ends: Duration) {
        let awake = lease_ends + self.setup.slop.mul_f64(2.0 * rand::random::<f64>());
        sleep(awake.saturating_sub(now()));
    }

    fn release(&mut self, tenure: Tenure) -> Result<(), String> {
        self.record(&Record::Ending { token: tenure.token.clone(), at: now() });
        let leave = || tenure.witness.map_or(Ok(()), Witness::leave);
        let verdict = self.clock.watch(leave);
        self.report(tenure.lock, &tenure.token, verdict);
        let outcome = match self.clock.watch(|| self.contender.release())? {
            true => Outcome::Released,
            // Read after the release: the lock was gone while the lease ran.
            false if now() < tenure.lease_ends => Outcome::Lost,
            false => Outcome::TakenOver,
        };
        self.record(&Record::Ended { token: tenure.token, outcome });
        Ok(())
    }

    fn renew(&mut self, tenure: Tenure) -> Result<Option<Tenure>, String> {
        let began = now();
        self.record(&Record::Ending { token: tenure.token.clone(), at: began });
        let renewed = self.clock.watch(|| self.contender.renew())?;
        let since = now();
        let outcome = if renewed.is_some() { Outcome::Renewed } else { Outcome::TakenOver };
        self.record(&Record::Ended { token: tenure.token, outcome });
        let waited = since.saturating_sub(began);
        Ok(renewed.map(|lease_ends| self.begin(since, lease_ends, waited)))
    }

    fn report(&self, lock: usize, token: &str, verdict: Result<(), Other>) {
        if let Err(found) = verdict {
            let by = token.to_owned();
            self.record(&Record::Clash { lock, at: now(), found, by });
        }
    }

    fn record(&self, record: &Record) {
        self.nemesis.history.write(record);
    }
}
