//! Directories whose old files are removed, by age or when the machine starts.

use std::path::Path;

/// See tmpfiles.d(5) and file-hierarchy(7).
const CLEANED: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

/// Which of them a file is in.
pub(crate) fn cleaned(dir: &Path) -> Option<&'static str> {
    let dir = dir.canonicalize().ok()?;
    CLEANED.into_iter().find(|cleaned| dir.starts_with(cleaned))
}
