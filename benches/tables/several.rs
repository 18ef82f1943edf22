//! More than one holder at a time: slots beside one lock, and many readers beside one.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use linklock::RwLock;
use linklock_bench::ways::{SLOTS, Way};

use crate::chapters::Chapters;
use crate::crowd::{Setup, measure};
use crate::goals::Goal;
use crate::workers::Peer;

/// Long enough that a machine with few cores has time for the contenders of all slots.
const HOLD: Duration = Duration::from_millis(5);

const READERS: [usize; 3] = [1, 16, 256];

impl Chapters {
    pub(crate) fn several(&mut self) {
        let place = self.quiet();
        println!("\n## Several holders, {}: held for {} ms\n", place.name, HOLD.as_millis());
        println!("| contenders | | acquisitions/s | x one holder | Jain |");
        println!("|---:|---|---:|---:|---:|");
        let time = self.size.crowd;
        let crowd = |way: Way, contenders| {
            let setup = Setup { contenders, hold: HOLD, think: Duration::ZERO, time };
            measure(&Peer::ours(way), &place.dir, setup)
        };
        let show = |way: Way, contenders, one: f64| {
            let crowd = crowd(way, contenders);
            let (ratio, name) = (crowd.rate / one, way.name());
            println!(
                "| {contenders} | {name} | {:.0} | {ratio:.2} | {:.3} |",
                crowd.rate, crowd.jain
            );
            ratio
        };
        let lock = crowd(Way::Linklock, 10).rate;
        show(Way::Linklock, 10, lock);
        let slots = show(Way::Slot, 10 * SLOTS as usize, lock);
        let reader = crowd(Way::Read, 1).rate;
        let readers = READERS.map(|number| show(Way::Read, number, reader));
        println!("\n| readers | a writer has the lock after the last of them, us |\n|---:|---:|");
        for number in READERS {
            println!("| {number} | {:.0} |", writer_after(number, &place.dir).as_secs_f64() * 1e6);
        }
        let share = slots / f64::from(SLOTS);
        self.goals.extend([
            Goal::at_least("slots, 10 contenders each: turns / one lock's", share, 0.9, 0.6),
            Goal::at_least("16 readers / one", readers[1], 1.0, 0.5),
        ]);
    }
}

/// How long a writer that has waited for so many readers needs from when the last of them has left.
fn writer_after(readers: usize, dir: &Path) -> Duration {
    let lock = RwLock::new(dir.join("shared")).expect("a lock");
    let reading: Vec<_> = (0..readers).map(|_| lock.clone().read().expect("a reader")).collect();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let guard = lock.clone().write().expect("the writer");
            (Instant::now(), guard)
        });
        while lock.writer().expect("a holder").is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        drop(reading);
        let left = Instant::now();
        let (written, _guard) = writer.join().expect("the writer");
        written.saturating_duration_since(left)
    })
}
