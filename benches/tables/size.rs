//! How much is measured.

use std::time::Duration;

/// The size of each measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Rounds of 100 turns each, alone.
    pub(crate) rounds: usize,
    /// Hand-overs of peers that are woken, and of peers that poll.
    pub(crate) handovers: (usize, usize),
    /// Whether to contend on a disk too, not only in memory.
    pub(crate) everywhere: bool,
    /// How long a crowd contends.
    pub(crate) crowd: Duration,
    /// How many contend, of peers that are woken, and of peers that poll.
    pub(crate) contenders: (&'static [usize], &'static [usize]),
    /// Locks, claims and threads.
    pub(crate) numbers: &'static [usize],
    pub(crate) threads: &'static [usize],
    /// Whether the README's plots are drawn.
    pub(crate) plots: bool,
}

impl Size {
    /// Enough for figures that are worth showing.
    pub(crate) const FULL: Size = Size {
        rounds: 50,
        handovers: (500, 10),
        everywhere: true,
        crowd: Duration::from_secs(3),
        contenders: (&[2, 8, 32, 128], &[2, 8]),
        numbers: &[1, 100, 1_000, 10_000],
        threads: &[10, 100, 1_000],
        plots: true,
    };

    /// Enough to see that nothing is broken.
    pub(crate) const QUICK: Size = Size {
        rounds: 10,
        handovers: (200, 0),
        everywhere: false,
        crowd: Duration::from_secs(2),
        contenders: (&[2, 8], &[]),
        numbers: &[1, 1_000],
        threads: &[100],
        plots: false,
    };
}
