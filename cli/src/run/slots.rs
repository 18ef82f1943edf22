//! `linklock run --slots`: one slot of a set in place of a lock.

use linklock::{SlotGuard, Slots};

use super::args::Args;
use super::auto;
use crate::contend;
use crate::events::Events;
use crate::exit::{self, Failure};
use crate::output::{printable, say};

/// Makes the set that the arguments name.
pub(super) fn build(args: &Args, slots: u32) -> Result<Slots, Failure> {
    let auto = args.auto.as_ref().map(|dir| auto::lock(dir, &args.command)).transpose()?;
    let mut paths = args.locks.iter().chain(&auto);
    let (Some(path), None) = (paths.next(), paths.next()) else {
        return Err(Failure::new(exit::USAGE, "--slots goes with one LOCK"));
    };
    args.contention.check_mount(path)?;
    let options = args.contention.apply_to(args.lock.lock(path));
    Ok(options.lifetime(args.lifetime).fencing(args.fence).slots(slots)?)
}

/// Acquires a slot. Warns if its other holders have another number of slots in mind.
pub(super) fn acquire(slots: &Slots, args: &Args, events: &Events) -> Result<SlotGuard, Failure> {
    let limit = &args.contention.limit;
    let guard = contend::acquire_slot(slots, limit, events)?;
    if !limit.quiet {
        warn_of_another_number(slots);
    }
    Ok(guard)
}

fn warn_of_another_number(slots: &Slots) {
    let ours = slots.locks().len();
    let Ok(holders) = slots.holders() else { return };
    let other = holders.iter().find_map(|(slot, holder)| {
        let theirs = holder.slots().filter(|theirs| *theirs as usize != ours)?;
        Some((slot, holder, theirs))
    });
    if let Some((slot, holder, theirs)) = other {
        say(format_args!(
            "warning: process {} on {} holds slot {slot} of {theirs}, and this command asks for one of \
             {ours}: up to {} commands may run at once",
            holder.pid(),
            printable(&holder.host().to_string_lossy()),
            ours.max(theirs as usize),
        ));
    }
}
