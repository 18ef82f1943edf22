//! When a worker in a guest held a lock, told so that tenures from different guests can be
//! compared, whatever their clocks say.

use std::{
    fmt::{self, Display},
    fs, io,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::lab;

/// Held from when the lock was known to be ours until just before we began to give it back; as
/// tickets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tenure {
    vm: String,
    from: u64,
    until: u64,
}

/// A tenure that still runs.
pub(crate) struct Running {
    from: u64,
}

impl Tenure {
    pub(crate) fn begin() -> Running {
        Running { from: ticket() }
    }
}

impl Running {
    pub(crate) fn end(self) -> Tenure {
        Tenure { vm: lab::vm(), from: self.from, until: ticket() }
    }
}

/// A number above all that were given out before, to any guest.
///
/// It is the first that isn't yet the name of a directory of the host's. The host makes each for
/// one guest only, and no NFS has a part in it.
fn ticket() -> u64 {
    static MINE: AtomicU64 = AtomicU64::new(0);
    for number in MINE.load(Relaxed) + 1.. {
        match fs::create_dir(lab::shared().join(number.to_string())) {
            Ok(()) => {
                MINE.store(number, Relaxed);
                return number;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(error) => panic!("no ticket: {error}"),
        }
    }
    unreachable!("there are enough numbers")
}

/// Every two tenures that overlap: none, if there was mutual exclusion.
pub(crate) fn overlaps(tenures: &[Tenure]) -> Vec<(Tenure, Tenure)> {
    let mut sorted = tenures.to_vec();
    sorted.sort_by_key(|tenure| tenure.from);
    let mut found = Vec::new();
    for (i, first) in sorted.iter().enumerate() {
        let overlapping = sorted[i + 1..].iter().take_while(|second| second.from < first.until);
        found.extend(overlapping.map(|second| (first.clone(), second.clone())));
    }
    found
}

impl Display for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} {}", self.vm, self.from, self.until)
    }
}

impl FromStr for Tenure {
    type Err = String;

    fn from_str(line: &str) -> Result<Tenure, String> {
        let bad = || format!("not a tenure: {line}");
        let number = |word: &str| word.parse().map_err(|_| bad());
        let words: Vec<&str> = line.split(' ').collect();
        let [vm, from, until] = words[..] else { return Err(bad()) };
        Ok(Tenure { vm: vm.to_owned(), from: number(from)?, until: number(until)? })
    }
}

#[test]
fn the_checker_finds_overlaps_and_nothing_else() {
    let tenures = |lines: &[&str]| -> Vec<Tenure> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    };
    assert_eq!(overlaps(&tenures(&["c1 10 20", "c2 20 30", "c1 31 40"])), []);
    let [late, long, early] = &tenures(&["c1 25 26", "c2 10 30", "c1 12 13"])[..] else { panic!() };
    let found = [(long.clone(), early.clone()), (long.clone(), late.clone())];
    assert_eq!(overlaps(&[late.clone(), long.clone(), early.clone()]), found);
}
