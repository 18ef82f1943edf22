//! Power cuts: a disk loses power while its locks are in use, at many moments. After the next mount
//! a contender must acquire every lock within lease and clock slop; or, where a breaker on another host
//! may have died in its seat, within the time of a seat and the slop.
//!
//! A file system's journal has names and dates first, contents much later: ext4, XFS and btrfs all
//! bring back lock files that are empty, or have NULs for content. Each test therefore counts what
//! it has found, and fails if there was no such file, since it has then tested nothing.
//!
//! The disks are those of `kit::disk`.

mod aftermath;
pub(crate) mod users;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use tempfile::tempdir;

use crate::kit::disk::{self, BTRFS, Disk, EXT4, Kind, XFS};
use crate::kit::elsewhere::{arrived, go_with_mount};
use crate::kit::{say, this_test};
use aftermath::Tally;
use users::Users;

/// Short, so that the test can wait for a lease that was written just before the cut.
const LIFETIME: Duration = Duration::from_secs(2);
const SLOP: Duration = Duration::from_secs(1);
/// How long a process may act in a seat.
const SEAT: Duration = Duration::from_secs(15);

/// How many cuts one disk has before it gets a new file system.
const CUTS_OF_ONE: usize = 5;

#[test]
fn after_a_power_cut_every_lock_on_ext4_is_acquired() {
    try_cuts(&EXT4, this_test!());
}

#[test]
fn after_a_power_cut_every_lock_on_xfs_is_acquired() {
    try_cuts(&XFS, this_test!());
}

#[test]
fn after_a_power_cut_every_lock_on_btrfs_is_acquired() {
    try_cuts(&BTRFS, this_test!());
}

fn try_cuts(kind: &Kind, test: &str) {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        go_with_mount(test, dir.path(), &disk::preparation(kind));
        // Its counts, missing if the test was skipped.
        if let Ok(report) = fs::read_to_string(dir.path().join(REPORT)) {
            say::say(report.trim_end());
        }
        return;
    };
    let mut tally = Tally::default();
    let cuts = say::scale("LINKLOCK_CUTS", 2 * CUTS_OF_ONE);
    let disks = (0..cuts).step_by(CUTS_OF_ONE).zip(kind.mount_options.iter().cycle());
    for (done, options) in disks {
        try_disk(&Disk::new(&dir, kind, options), CUTS_OF_ONE.min(cuts - done), &mut tally);
    }
    let report = format!("{}: {tally}", kind.name);
    fs::write(dir.join(REPORT), &report).unwrap();
    let some: Vec<_> = tally.failures.iter().take(10).map(String::as_str).collect();
    assert!(some.is_empty(), "{report}; among them:\n{}", some.join("\n"));
    assert!(tally.without_content() > 0, "nothing was tested: {report}");
}

const REPORT: &str = "report";

/// Has a disk used, cuts it, and examines what every cut has left. The power cut has killed all
/// users of the locks, too.
fn try_disk(disk: &Disk, cuts: usize, tally: &mut Tally) {
    disk.make();
    let mut users = Users::of(&disk.mounted());
    for cut in 0..cuts {
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(200..700)));
        disk.cut(cut);
        if cut == cuts / 3 {
            disk.sync(); // so that some contents have reached the disk, too
        }
    }
    users.kill();
    disk.unmount();
    // The last one first: its leases still run, or have just ended.
    for cut in (0..cuts).rev() {
        disk.come_back(cut, |dir: &Path| {
            let found = tally.count(dir);
            if tally.failures.is_empty() {
                tally.acquire(dir, &found); // each lock that is stuck takes a while
            }
        });
    }
}
