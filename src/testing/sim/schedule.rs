//! The decisions of a run: each is one number.

use std::collections::BTreeMap;
use std::fmt;

/// Chooses between the options of a step. Option 0 is what an undisturbed run would do.
pub(super) trait Schedule {
    fn choose(&mut self, options: &[Choice]) -> usize;
}

/// The kind of an option: what it costs, and which process it moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A process goes on.
    Process(usize),
    /// Time passes, although a process could go on.
    Time,
    /// A fault.
    Fault,
}

/// All runs in which at most a given number of decisions differ from option 0, one after the other.
#[derive(Debug)]
pub(super) struct Exhaustive {
    budget: usize,
    /// The decisions of this run, each with the number of its options.
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Exhaustive {
    pub(super) fn new(budget: usize) -> Exhaustive {
        Exhaustive { budget, path: Vec::new(), at: 0 }
    }

    /// Goes on to the next run; false when there is none left.
    pub(super) fn next_run(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, options)) = self.path.pop() {
            let differing = self.path.iter().filter(|(chosen, _)| *chosen != 0).count();
            if chosen + 1 < options && differing < self.budget {
                self.path.push((chosen + 1, options));
                return true;
            }
        }
        false
    }
}

impl Exhaustive {
    /// The decisions in which this run deviates.
    pub(super) fn deviations(&self) -> Deviations {
        let path = self.path.iter().enumerate();
        let deviations = path.filter(|(_, (chosen, _))| *chosen != 0);
        Deviations { at: 0, chosen: deviations.map(|(at, (chosen, _))| (at, *chosen)).collect() }
    }
}

impl Schedule for Exhaustive {
    fn choose(&mut self, options: &[Choice]) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, options.len()));
        }
        let (chosen, _) = self.path[self.at];
        self.at += 1;
        chosen
    }
}

/// One run, by the steps at which it deviates from option 0, and the options it takes there.
#[derive(Debug)]
pub(super) struct Deviations {
    at: usize,
    chosen: BTreeMap<usize, usize>,
}

impl Deviations {
    /// Parses steps and options, as [`Display`](fmt::Display) writes them.
    pub(super) fn parse(text: &str) -> Option<Deviations> {
        let deviations = text.split(',').filter(|part| !part.is_empty()).map(|part| {
            let (at, chosen) = part.split_once(':')?;
            Some((at.parse().ok()?, chosen.parse().ok()?))
        });
        Some(Deviations { at: 0, chosen: deviations.collect::<Option<_>>()? })
    }
}

impl fmt::Display for Deviations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.chosen.iter().map(|(at, chosen)| format!("{at}:{chosen}")).collect();
        write!(f, "{}", parts.join(","))
    }
}

impl Schedule for Deviations {
    fn choose(&mut self, options: &[Choice]) -> usize {
        let chosen = self.chosen.get(&self.at).copied().unwrap_or(0);
        self.at += 1;
        chosen.min(options.len() - 1)
    }
}

/// Runs processes by random priorities that change at a few random steps, which finds bugs of few
/// ordering constraints with a known probability (Burckhardt et al., "A Randomized Scheduler with
/// Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). Faults are injected at random.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
    /// The priorities of each process and of time: a process with a lower priority than time is
    /// stalled while time passes.
    priorities: Vec<u64>,
    /// One in this many decisions may inject a fault.
    rarity: u64,
}

impl Random {
    pub(super) fn new(seed: u64, processes: usize) -> Random {
        let mut random = Random { state: seed, priorities: Vec::new(), rarity: 1 };
        random.priorities = (0..=processes).map(|_| random.next()).collect();
        random.rarity = [8, 20, 50, 100][random.below(4)];
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap_or_default()
    }
}

impl Schedule for Random {
    fn choose(&mut self, options: &[Choice]) -> usize {
        if options.len() == 1 {
            return 0;
        }
        if self.next() % self.rarity == 0 {
            return self.below(options.len());
        }
        if self.next() % 30 == 0 {
            let lowered = self.below(self.priorities.len());
            self.priorities[lowered] = self.next();
        }
        let priority = |choice: &Choice| match choice {
            Choice::Process(id) => Some(self.priorities[*id]),
            Choice::Time => self.priorities.last().copied(),
            Choice::Fault => None,
        };
        let processes = options.iter().enumerate().filter_map(|(at, it)| Some((at, priority(it)?)));
        processes.max_by_key(|(_, priority)| *priority).map_or(0, |(at, _)| at)
    }
}

pub(super) fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
