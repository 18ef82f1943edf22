//! What a crew may leave behind: nothing that cannot be swept.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::kit::wait::LIMIT;
use crate::support::contender::options;
use crate::support::setup::Setup;
use crate::support::witness::Rule;
use crate::support::workdir::Workdir;

/// The last locks can be acquired, and whatever the dead have left can be swept.
pub(crate) fn assert_nothing_is_left(setup: &Setup, workdir: &Workdir) {
    let sets = if setup.slots.is_some() { 1 } else { setup.locks };
    for number in 0..sets {
        let options = options(setup, &workdir.lock(number));
        let locks = match setup.slots {
            Some(slots) => options.slots(slots).unwrap().locks().to_vec(),
            None => vec![options.build().unwrap()],
        };
        for lock in &locks {
            lock.try_lock_for(LIMIT).unwrap().unlock().unwrap();
        }
        let mut left = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            for lock in &locks {
                lock.sweep().unwrap();
            }
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
