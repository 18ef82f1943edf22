//! What may go wrong in a run, and how often.

/// Of what clients may use what they have cached, although it has changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Caching {
    #[default]
    Nothing,
    Names,
    /// Attributes and contents too: nothing is forced from the server.
    Everything,
}

/// What may go wrong in one run, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// A process is killed, where it stands. Its last request may be executed after its death.
    pub(super) crashes: usize,
    /// A process stands still for longer than its lease and the slop.
    pub(super) stalls: usize,
    /// A machine is rebooted: its processes are gone, and so is what it had cached.
    pub(super) reboots: usize,
    /// A request is executed and its reply is lost, as the server's reply cache is: it is executed
    /// again, at once or later, and the second reply counts.
    pub(super) repeats: usize,
    /// The server is restarted: that happens to all requests whose replies are under way.
    pub(super) restarts: usize,
    /// EIO or ESTALE, whether the request was executed or not.
    pub(super) errors: usize,
    /// A machine's date is set, hours forward or back.
    pub(super) clock_steps: usize,
    /// The server has given a dead client a read delegation of an inode. What would change the inode
    /// waits until the server revokes it, which may take far longer than the clock slop.
    pub(super) delegations: usize,
    /// The server's clock is set: back by minutes, or forward by [`SERVER_STEP`].
    pub(super) server_steps: usize,
    /// The server's clock is set forward by an hour.
    pub(super) server_jumps: usize,
    /// A copy of a SETATTR, LINK or CREATE that was answered is executed later.
    pub(super) late_copies: usize,
    /// The same of a WRITE.
    pub(super) late_writes: usize,
    /// The same of a RENAME or REMOVE.
    pub(super) late_removals: usize,
    /// The server's power is cut: contents that have not reached the disk are lost, the names stay.
    /// On a local file system all processes die with it, and a moment of names may be lost too.
    pub(super) power_cuts: usize,
    /// A listing has none of the names that were made or removed while it was made, or all of them.
    pub(super) listings: usize,
}

/// How far the server's clock may be set forward while locks are in use: see
/// [the assumptions](crate::guide::safety#the-assumptions-one-by-one).
pub(super) const SERVER_STEP: i64 = 2;

/// Nothing goes wrong.
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
};
/// What goes wrong on machines, whatever they share.
pub(super) const ACCIDENTS: Faults = Faults { crashes: 2, stalls: 1, clock_steps: 1, ..NOTHING };
