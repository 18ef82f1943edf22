//! Directories whose old files the system removes, by age or at boot.

use std::path::Path;

/// See tmpfiles.d(5) and file-hierarchy(7).
const CLEANED: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

/// The one of them that contains this directory.
pub(crate) fn cleaned(dir: &Path) -> Option<&'static str> {
    let dir = dir.canonicalize().ok()?;
    CLEANED.into_iter().find(|cleaned| dir.starts_with(cleaned))
}
