//! One of the crowd with linklock, in a process of its own.

use std::env;
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use linklock::{Lock, LockGuard};

use crate::kit::clock::now;
use crate::peers::scene::age;
use crate::support::history::{Outcome, Record};
use crate::support::nemesis::Nemesis;
use crate::support::witness::{Rule, Witness};
use crate::support::worker::begin;

/// Tells a process that it is one of the crowd.
pub(crate) const CROWD: &str = "LINKLOCK_TEST_CROWD";

/// The longest time for which the lock is held.
const HOLD: Duration = Duration::from_millis(2);
/// One tenure in so many ends with the holder's death.
const DEATHS: u32 = 8;

/// What such a process does; nothing if its environment does not say so.
pub(crate) fn work() {
    if env::var_os(CROWD).is_none() {
        return;
    }
    let nemesis = begin();
    // The defaults, but with shorter pauses.
    let options = Lock::options(nemesis.workdir.lock(0));
    let polling = (Duration::from_millis(1), Duration::from_millis(10));
    let lock = options.polling(polling.0, polling.1).build().unwrap();
    while !nemesis.workdir.is_closed() {
        match lock.try_lock_for(Duration::from_millis(200)) {
            Ok(guard) => hold(guard, &nemesis),
            Err(error) => assert!(error.is_contention(), "{error}"),
        }
    }
}

fn hold(guard: LockGuard, nemesis: &Nemesis) {
    let token = guard.claim_path().file_name().unwrap().to_str().unwrap().to_owned();
    let write = |record| nemesis.history.write(&record);
    let since = now();
    let lease_ends = since + guard.remaining();
    let waited = Duration::ZERO;
    write(Record::Held { lock: 0, token: token.clone(), since, lease_ends, waited });
    let path = nemesis.workdir.witness(0);
    let (witness, found) = Witness::stand(&path, Rule::LeaseOrLife, &token, since, lease_ends);
    if let Err(found) = found {
        write(Record::Clash { lock: 0, at: now(), found, by: token.clone() });
    }
    thread::sleep(HOLD.mul_f64(rand::random()));
    let _ = witness.leave(); // after a mistake of flufl.lock another holder has taken it down
    write(Record::Ending { token: token.clone(), at: now() });
    if rand::random_ratio(1, DEATHS) {
        // To be found an hour later, when flufl.lock may break it as well.
        match age(guard.claim_path()) {
            // flufl.lock's break of another lock has removed ours.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            aged => aged.unwrap(),
        }
        write(Record::Ended { token, outcome: Outcome::Abandoned });
        nemesis.die();
    }
    let outcome = match guard.unlock() {
        Ok(()) => Outcome::Released,
        Err(error) if error.is_lost() => Outcome::Lost,
        Err(error) => panic!("{error}"),
    };
    write(Record::Ended { token, outcome });
}
