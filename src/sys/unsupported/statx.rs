//! There is no statx(2): the call fails as it does on a kernel that lacks it.

use std::io;
use std::path::Path;

use crate::sys::fs::Attr;

pub(super) fn attributes(_path: &Path) -> io::Result<Attr> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

pub(super) fn is_append_only(_dir: &Path) -> bool {
    false
}
