//! More than one holder at a time: slots beside one lock, and many readers beside one.

use std::time::Duration;

use linklock_bench::ways::{SLOTS, Way};

use crate::chapters::Chapters;
use crate::crowd::{Setup, measure};
use crate::goals::Goal;
use crate::workers::Peer;

/// Long enough that a machine with few cores has time for the contenders of all slots.
const HOLD: Duration = Duration::from_millis(5);

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
        let readers: Vec<_> = [1, 16].map(|number| show(Way::Read, number, reader)).into();
        let share = slots / f64::from(SLOTS);
        self.goals.extend([
            Goal::at_least("slots, 10 contenders each: turns / one lock's", share, 0.9, 0.45),
            Goal::at_least("16 readers / one", readers[1], 1.0, 0.5),
        ]);
    }
}
