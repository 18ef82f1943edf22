//! The protocol's safeguards, by name.
//!
//! All of them are always in place. The simulator removes one at a time, to show that something
//! goes wrong without it: a checker that never finds anything proves nothing.

/// A step that keeps two processes from holding the lock at once, or one from getting a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safeguard {
    /// The right to end an incarnation is won by a link.
    Seat,
    /// A process in a seat rechecks that the lock file has not changed.
    Recheck,
    /// A process touches its claim before it takes a seat.
    TouchBeforeSeat,
    /// A process whose time in a seat has expired does not come back to that seat.
    ForfeitedSeat,
    /// The seats of processes that died in them stay for as long as the lock file is the same
    /// incarnation.
    SeatsOfTheDead,
    /// A holder whose lease has expired takes a seat too.
    LateHolderTakesSeat,
    /// A waiter renews its claim before the claim's lease expires.
    RenewedWhileWaiting,
    /// The inode decides, whatever link(2) returned.
    TruthIsInode,
    /// Only a claim that has not expired is linked a second time.
    UnexpiredFromCache,
    /// The file that the rename caught is checked, and put back if it is another holder's.
    CatchIsChecked,
    /// Leases are checked against the server's time, not the machine's date.
    ServersTime,
    /// On a network, a dead holder's last request is given time.
    RestForTheDead,
    /// A holder whose claim was swept checks whether the lock file is still its own.
    SweptClaim,
    /// A process that has drawn a fencing token checks whether it still holds the lock.
    TokenIsVerified,
    /// The claim is removed, and the clock checked, before the lock file is taken away: the request
    /// that may hang concerns a name that no other process has.
    ClaimFirst,
    /// A process that has won a seat checks that the seats before it exist.
    SeatsBefore,
    /// No process acts in a seat whose own short lease has expired.
    SeatLease,
    /// A claim that was ever late is not linked again.
    NeverLateAgain,
    /// A holder believes the shorter lease from before it is written.
    LesserLease,
    /// If the content says nothing, the claim beside the lock file shows who holds it.
    DirectoryDecides,
    /// The lock of a holder that is provably alive is taken over only after its lease, as it was
    /// observed.
    ObservedAlive,
    /// After a jump of the server's clock, observations count instead of dates.
    ObservedAfterJump,
    /// A lock file that was observed unchanged for as long as its lease has an expired lease.
    ObservedUnchanged,
    /// A holder that finds its claim gone when it releases takes a seat, however long its lease is.
    ClaimGoneTakesSeat,
    /// The right to adopt a lock is won by a seat.
    AdoptionTakesSeat,
    /// A reader's lock counts only if the lock file was still the reader's after it was made.
    EntranceIsHeld,
    /// A writer waits for the readers that are in.
    WriterWaits,
}

#[cfg(not(test))]
impl Safeguard {
    #[allow(clippy::unused_self)] // tests use it
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

    /// Calls `act` without these safeguards, on this thread.
    pub(crate) fn without<T>(removed: &'static [Safeguard], act: impl FnOnce() -> T) -> T {
        REMOVED.set(removed);
        let done = act();
        REMOVED.set(&[]);
        done
    }
}
