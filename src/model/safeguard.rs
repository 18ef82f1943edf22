//! The protocol's safeguards, by name.
//!
//! All of them stand, always. The simulator takes one at a time away, to see that something goes
//! wrong without it: a checker that finds nothing to complain of proves nothing.

/// What keeps two processes from holding the lock at once, or one from being told a falsehood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safeguard {
    /// The right to end an incarnation is won by a link.
    Seat,
    /// A process in a seat looks again whether the lock file is still what it was.
    SecondLook,
    /// A process touches its claim before it takes a seat.
    TouchBeforeSeat,
    /// A process that finds its time in a seat over does not come back to that seat.
    ForfeitedSeat,
    /// The seats of those who died in theirs stay for as long as the lock file is what it was.
    SeatsOfTheDead,
    /// A holder whose lease is over takes a seat too.
    LateHolderTakesSeat,
    /// A waiter keeps its claim's lease ahead.
    FreshWhileWaiting,
    /// The truth is the inode, whatever link(2) said.
    TruthIsInode,
    /// Only a claim that has not expired is linked a second time.
    FreshFromShelf,
    /// What the rename caught is looked at, and put back if it was another's.
    LookAtCatch,
    /// Leases are judged by the server's time, not by the machine's date.
    ServersTime,
    /// On a network a dead holder's last request is given time.
    RestForTheDead,
    /// A holder whose claim was swept looks whether the lock file is still its own.
    SweptClaim,
    /// A process that has drawn a fencing token looks whether it still holds the lock.
    TokenIsVerified,
    /// The claim is removed, and the clock looked at, before the lock file is taken away: what may
    /// hang is done to a name that nobody else has.
    ClaimFirst,
    /// A process that has won a seat sees that those before it are there.
    SeatsBefore,
    /// Nobody acts in a seat whose own short lease is over.
    SeatLease,
    /// A claim that was ever late is not linked again.
    NeverLateAgain,
    /// A holder believes the lesser lease from before it is written.
    LesserLease,
    /// Where the content says nothing, the claim beside the lock file says who holds it.
    DirectoryTells,
    /// A holder that is provably alive is succeeded only after its lease, as it was observed.
    ObservedAlive,
    /// After a jump of the server's clock, what was observed counts.
    ObservedAfterJump,
    /// A lock file that was observed unchanged for as long as its lease has a lease that is over.
    ObservedUnchanged,
    /// A holder that finds its claim gone when it releases takes a seat, however long its lease is.
    ClaimGoneTakesSeat,
    /// The right to adopt a lock is won by a seat.
    AdoptionTakesSeat,
}

#[cfg(not(test))]
impl Safeguard {
    #[allow(clippy::unused_self)] // in tests it matters
    pub(crate) const fn stands(self) -> bool {
        true
    }
}

#[cfg(test)]
thread_local! {
    static REMOVED: std::cell::Cell<&'static [Safeguard]> = const { std::cell::Cell::new(&[]) };
}

#[cfg(test)]
impl Safeguard {
    pub(crate) fn stands(self) -> bool {
        !REMOVED.get().contains(&self)
    }

    /// Does something without these safeguards, on this thread.
    pub(crate) fn without<T>(removed: &'static [Safeguard], act: impl FnOnce() -> T) -> T {
        REMOVED.set(removed);
        let done = act();
        REMOVED.set(&[]);
        done
    }
}
