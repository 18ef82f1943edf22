//! What may go wrong in a run, and how often.

/// Which cached data clients may use after it has changed on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Caching {
    #[default]
    Nothing,
    Names,
    /// Attributes and contents too: no read is forced to go to the server.
    Everything,
}

/// What may go wrong in one run, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// A process is killed at any point. Its last request may be executed after its death.
    pub(super) crashes: usize,
    /// A process stalls for longer than its lease and the slop.
    pub(super) stalls: usize,
    /// A machine reboots: its processes and its cache are gone.
    pub(super) reboots: usize,
    /// A request is executed, but its reply and the server's reply cache are lost: it is executed
    /// again, at once or later, and the second reply counts.
    pub(super) repeats: usize,
    /// The server restarts: every request whose reply is under way is repeated.
    pub(super) restarts: usize,
    /// A request fails with EIO or ESTALE, whether it was executed or not.
    pub(super) errors: usize,
    /// A machine's date is set, hours forward or back.
    pub(super) clock_steps: usize,
    /// The server has given a dead client a read delegation of an inode. A request that would
    /// change the inode waits until the server revokes it, which may take far longer than the clock
    /// slop.
    pub(super) delegations: usize,
    /// The server's clock is set: back by minutes, or forward by [`SERVER_STEP`].
    pub(super) server_steps: usize,
    /// The server's clock is set forward by an hour.
    pub(super) server_jumps: usize,
    /// A copy of a SETATTR, LINK or CREATE is executed after the original was answered.
    pub(super) late_copies: usize,
    /// The same for a WRITE.
    pub(super) late_writes: usize,
    /// The same for a RENAME or REMOVE.
    pub(super) late_removals: usize,
    /// The server loses power: contents that have not reached the disk are lost, while names stay.
    /// On a local file system all processes die with it, and the latest names may be lost too.
    pub(super) power_cuts: usize,
    /// A listing shows all of the names that were made or removed while it ran, or none of them.
    pub(super) listings: usize,
    /// A wake-up hint is lost, delivered twice, or forged.
    pub(super) hints: usize,
}

/// How far the server's clock may be set forward while locks are in use: see
/// [the assumptions](crate::guide::safety#the-assumptions-one-by-one).
pub(super) const SERVER_STEP: i64 = 2;

/// No faults.
pub(super) const NOTHING: Faults = Faults {
    crashes: 0,
    stalls: 0,
    reboots: 0,
    repeats: 0,
    restarts: 0,
    errors: 0,
    clock_steps: 0,
    delegations: 0,
    server_steps: 0,
    server_jumps: 0,
    late_copies: 0,
    late_writes: 0,
    late_removals: 0,
    power_cuts: 0,
    listings: 0,
    hints: 0,
};
/// The faults of machines, on any file system.
pub(super) const ACCIDENTS: Faults = Faults { crashes: 2, stalls: 1, clock_steps: 1, ..NOTHING };
