//! What a crew may leave behind: nothing that cannot be swept.

use std::thread::sleep;
use std::time::{Duration, Instant};

use linklock::Lock;

use crate::kit::wait::LIMIT;
use crate::support::contender::options;
use crate::support::setup::{Setup, Shape};
use crate::support::witness::Rule;
use crate::support::workdir::Workdir;

/// The last locks can be acquired, and whatever the dead have left can be swept.
pub(crate) fn assert_nothing_is_left(setup: &Setup, workdir: &Workdir) {
    let sets = if matches!(setup.shape, Shape::Slots(_)) { 1 } else { setup.locks };
    for number in 0..sets {
        let options = options(setup, &workdir.lock(number));
        let sweep: Box<dyn Fn()> = match setup.shape {
            Shape::RwLocks => {
                let lock = options.rw_lock().unwrap();
                lock.try_write_for(LIMIT).unwrap().unlock().unwrap();
                Box::new(move || lock.sweep().map(drop).unwrap())
            }
            Shape::Slots(slots) => sweep_after_use(options.slots(slots).unwrap().locks().to_vec()),
            Shape::Locks => sweep_after_use(vec![options.build().unwrap()]),
        };
        let mut left = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            sweep();
            left = workdir.files_of(number);
            if setup.rule() == Rule::LeaseOrLife {
                // What a dead breaker leaves does not say whose it is, and goes by its lease: not
                // in this test's time.
                let names = ["|break|", "|aside|"];
                left.retain(|file| !names.iter().any(|it| file.display().to_string().contains(it)));
            }
            left.retain(|file| !file.ends_with("lock.fence")); // which is to stay
            if left.is_empty() {
                break;
            }
            sleep(Duration::from_millis(5));
        }
        assert!(left.is_empty(), "never swept: {left:?}");
    }
}

fn sweep_after_use(locks: Vec<Lock>) -> Box<dyn Fn()> {
    for lock in &locks {
        lock.try_lock_for(LIMIT).unwrap().unlock().unwrap();
    }
    Box::new(move || locks.iter().for_each(|lock| lock.sweep().map(drop).unwrap()))
}
