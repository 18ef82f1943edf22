//! When a lock that another process holds may be taken over.

/// When another process's lock may be taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StalePolicy {
    /// When its lease has been expired for the clock slop, or its holder is provably
    /// [dead](crate::Life::Dead). On a network file system a dead holder's last request may still
    /// be under way, so there the holder must have been seen dead for the clock slop.
    #[default]
    ExpiredOrDead,
    /// Only when its lease has been expired for the clock slop: flufl.lock's rule.
    ///
    /// Under this policy and the one above, a holder that is provably [alive](crate::Life::Alive),
    /// and whose lease only appears to have ended, must also be observed for a whole lease and the
    /// slop without a refresh, since a machine's clock may have been set. A contender that does not
    /// wait finds the lock held.
    Expired,
    /// Never: a lock that its holder does not release stays held.
    Never,
}
