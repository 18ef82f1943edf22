//! What is shown in one line: a set of slots, and the readers of a lock.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use linklock::Lock;

use crate::exit::Failure;
use crate::options::LockOptions;
use crate::output::printable;

/// The longest bar that shows each slot by a sign of its own.
const WIDTH: usize = 32;
const FREE: char = '.';

/// A lock that may be a slot.
pub(crate) struct Slot<'a> {
    pub(crate) lock: &'a str,
    /// How many slots its holder says that its set has.
    pub(crate) of: Option<u32>,
    /// Whether it may be taken over.
    pub(crate) is_stale: bool,
    /// How many processes wait for it.
    pub(crate) waiting: usize,
}

/// The slots of a set that are held. A set of which none is held cannot be found.
pub(crate) struct Set<'a> {
    /// The path that the slots' names begin with.
    pub(crate) path: &'a str,
    /// How many slots there are: as many as the holder says that knows of the most.
    pub(crate) number: usize,
    /// A sign for each, in order.
    signs: Vec<char>,
    /// How many processes wait for one.
    pub(crate) waiting: usize,
}

impl<'a> Set<'a> {
    /// The sets among these locks, and the indices of the locks that are in none.
    pub(crate) fn group(found: &[Slot<'a>]) -> (Vec<Set<'a>>, Vec<usize>) {
        let mut sets: Vec<Set<'a>> = Vec::new();
        for slot in found {
            if let (Some((path, _)), Some(number)) = (split(slot.lock), slot.of) {
                let number = number as usize;
                match sets.iter_mut().find(|set| set.path == path) {
                    Some(set) => set.number = set.number.max(number),
                    None => sets.push(Set { path, number, signs: Vec::new(), waiting: 0 }),
                }
            }
        }
        let mut rest = Vec::new();
        for (index, slot) in found.iter().enumerate() {
            let parts = split(slot.lock);
            let set = parts.and_then(|(path, _)| sets.iter_mut().find(|set| set.path == path));
            match (parts, set) {
                (Some((_, number)), Some(set)) if number < set.number => set.enter(number, slot),
                _ => rest.push(index),
            }
        }
        (sets, rest)
    }

    fn enter(&mut self, number: usize, slot: &Slot<'_>) {
        self.signs.resize(self.number, FREE);
        self.signs[number] = if slot.is_stale { '!' } else { '#' };
        // A process at the head of its host's queue has a claim in each slot.
        self.waiting = self.waiting.max(slot.waiting);
    }

    pub(crate) fn held(&self) -> usize {
        self.signs.iter().filter(|sign| **sign != FREE).count()
    }

    /// A sign for each slot, or fewer if they are very many: `#` is held, `!` may be taken over, `.` is
    /// free.
    pub(crate) fn bar(&self) -> String {
        let signs: String = if self.number <= WIDTH {
            self.signs.iter().collect()
        } else {
            let held = (self.held() * WIDTH).div_ceil(self.number);
            "#".repeat(held) + &".".repeat(WIDTH - held)
        };
        format!("[{signs}]")
    }
}

impl Display for Set<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (path, bar) = (printable(self.path), self.bar());
        writeln!(f, "{path}: {} of {} slots are held  {bar}", self.held(), self.number)
    }
}

/// The path of a set and the number of the slot, if this may be a slot's.
fn split(lock: &str) -> Option<(&str, usize)> {
    let (path, number) = lock.rsplit_once('.')?;
    let slot: usize = number.parse().ok()?;
    (slot.to_string() == number && !path.ends_with('/')).then_some((path, slot))
}

/// The lock that the reader with this lock shares, if it may be a reader's.
pub(crate) fn shared_lock(reader: &str) -> Option<&str> {
    let (lock, number) = reader.rsplit_once(".read.")?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (number.len() == 16 && number.bytes().all(is_digit) && !lock.ends_with('/')).then_some(lock)
}

/// What is said of a lock with so many readers.
pub(crate) fn shared_by(readers: usize) -> String {
    let readers = if readers == 1 { "1 reader".to_owned() } else { format!("{readers} readers") };
    format!("shared by {readers}")
}

/// The locks of the readers that share the lock with this path.
pub(crate) fn readers(path: &Path, options: &LockOptions) -> Vec<Lock> {
    let readers = options.lock(path).rw_lock().and_then(|lock| lock.reader_locks());
    readers.unwrap_or_default()
}

/// The slots that are held of a set.
pub(crate) struct HeldSlots {
    pub(crate) locks: Vec<Lock>,
    /// How many slots the set has.
    pub(crate) number: usize,
}

/// How many slots a set has, of which its holders say this: as many as the one says that knows of the most.
pub(crate) fn number_of_slots(said: impl Iterator<Item = Option<u32>>) -> usize {
    said.flatten().max().unwrap_or(0) as usize
}

/// Those of the set with this path; none if there is no such set.
pub(crate) fn slots(path: &Path, options: &LockOptions) -> Result<HeldSlots, Failure> {
    let holders = options.lock(path).slots(1).and_then(|slots| slots.holders());
    let mut holders = holders.unwrap_or_default();
    let number = number_of_slots(holders.iter().map(|(_, holder)| holder.slots()));
    holders.retain(|(slot, _)| *slot < number);
    let lock = |(slot, _): (usize, _)| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{slot}"));
        Ok(options.lock(&PathBuf::from(name)).build()?)
    };
    let locks = holders.into_iter().map(lock).collect::<Result<_, Failure>>()?;
    Ok(HeldSlots { locks, number })
}
