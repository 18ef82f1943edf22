//! The exclusion checker: whether two held one lock at the same time. It has two independent
//! proofs: the times at which the lock was held, and a witness, a name that only one can make.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

/// The pairs of tenures of one lock that overlap: none, if there was mutual exclusion. Of each tenure,
/// `held` tells when it surely held the lock; of a pair, the first began first.
pub(crate) fn overlaps<T, Time: Ord + Copy>(
    tenures: &[T],
    held: impl Fn(&T) -> Range<Time>,
) -> Vec<(&T, &T)> {
    let held = tenures.iter().map(|tenure| (held(tenure), tenure));
    let mut held: Vec<_> = held.filter(|(held, _)| !held.is_empty()).collect();
    held.sort_by_key(|(held, _)| held.start);
    let mut overlaps = Vec::new();
    for (index, (first, one)) in held.iter().enumerate() {
        let others = held[index + 1..].iter().take_while(|(next, _)| next.start < first.end);
        overlaps.extend(others.map(|(_, other)| (*one, *other)));
    }
    overlaps
}

/// Does what only the holder of a lock may do. Returns whether no other did so meanwhile, of those with the
/// same witness: a directory, which is made in one step on every system, by shells and Python too.
pub(crate) fn is_alone(witness: &Path, act: impl FnOnce()) -> bool {
    let is_alone = match fs::create_dir(witness) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => panic!("{}: {error}", witness.display()),
    };
    act();
    if is_alone {
        fs::remove_dir(witness).expect("the witness that was made here");
    }
    is_alone
}
