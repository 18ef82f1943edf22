//! The file system in memory, with each of its faults.

use crate::kit::fuse::{Changes, Dates, Faults, Request};
use crate::kit::this_test;
use crate::scene;

use nix::libc;

/// Each name is that of a row in docs/filesystems.md.
macro_rules! faults {
    ($($test:ident $name:literal { $($fault:ident: $value:expr),* };)*) => {
        pub(crate) const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                #[allow(clippy::needless_update)]
                let faults = Faults { $($fault: $value,)* ..Faults::default() };
                scene::try_fault(this_test!(), $name, faults);
            }
        )*
    };
}

faults! {
    none "nothing" {};
    one_date_alone "drops a date that is set without the other" { dates: Dates::NeedBoth };
    dates_ignored "ignores dates that are set" { dates: Dates::Ignored };
    dates_to_two_seconds "rounds dates to two seconds" { dates: Dates::Coarse(2) };
    dates_to_an_hour "rounds dates to an hour" { dates: Dates::Coarse(3600) };
    dates_until_2001 "has no date after 2001" { dates: Dates::Until(1_000_000_000) };
    dates_lost_at_close "sets dates when a file is closed" { dates: Dates::LostAtClose };
    dates_refused "refuses to set dates" { refuses: Some((Request::SetAttributes, libc::EPERM)) };
    changes_to_a_second "shows the date of the last change in whole seconds" { changes: Changes::Coarse(1) };
    changes_as_mtime "shows the date that is set as that of the last change" { changes: Changes::AsMtime };
    changes_at_creation "shows when a file was made as the date of the last change" { changes: Changes::AtCreation };
    inodes_change "shows another inode number each time" { inodes_change: true };
    two_inodes "shows an inode number for each name" { two_inodes: true };
    links_not_counted "does not count links" { counts_no_links: true };
    links_refused "has no hard links" { refuses: Some((Request::Link, libc::EPERM)) };
    links_fail "fails to link with EIO" { refuses: Some((Request::Link, libc::EIO)) };
    renames_refused "does not rename" { refuses: Some((Request::Rename, libc::EXDEV)) };
    old_names_kept "keeps the old name of a renamed file" { keeps_old_names: true };
    dates_truncated "cuts the date of a renamed file to whole seconds" { renames_truncate_dates: true };
    lock_files_pinned "does not rename the lock file" { pins_lock_file: true };
    short_names "takes names of 143 bytes" { name_max: Some((143, 143)) };
    short_names_unsaid "takes names of 143 bytes, and says 255" { name_max: Some((143, 255)) };
    no_bars "takes no vertical bar in a name" { bad_byte: Some(b'|') };
    folded_case "folds case" { folds_case: true };
    busy_files "says EINVAL after a file's other name was used" { is_busy_after_other_name: true };
    no_statfs "has no statfs(2)" { refuses: Some((Request::StatFs, libc::ENOSYS)) };
}
