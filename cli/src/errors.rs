//! Messages and exit codes for the library's errors: what failed, on which lock, and what to do.

use std::ffi::OsStr;
use std::io::{Error as IoError, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use linklock::{Error, Operation};
use nix::unistd::{User, geteuid};

use crate::exit::{CANNOT_CREATE, Failure, LOST, SYSTEM, USAGE};

/// Contention is not handled here: its exit code is an option.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Invalid { path, reason, .. } => {
                let reason = reason.replace("`separator`", "--separator");
                Failure::new(USAGE, format_args!("invalid lock {}: {reason}", path.display()))
            }
            Error::NoSuchOwner { .. } => Failure::new(USAGE, error),
            Error::Io { operation: Operation::Create, path, error, .. } => {
                Failure::new(CANNOT_CREATE, cannot_create(path, error))
            }
            Error::Io { path, error, .. } if is_in_no_directory(path, error) => {
                Failure::new(CANNOT_CREATE, cannot_create(path, error))
            }
            Error::NoHardLinks { path, .. } | Error::UnsupportedFileSystem { path, .. } => {
                let dir = parent(path).display();
                Failure::new(CANNOT_CREATE, format!("{error}; see `linklock doctor {dir}`"))
            }
            Error::Denied { .. } => Failure::new(CANNOT_CREATE, error),
            Error::Lost { .. } | Error::Expired { .. } => Failure::new(LOST, error),
            _ => Failure::new(SYSTEM, error),
        }
    }
}

/// Without its directory, a lock cannot be said to be free.
pub(crate) fn require_directory(lock: &Path) -> Result<(), Failure> {
    match parent(lock).metadata() {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(IoError::from(ErrorKind::NotADirectory)),
        Err(error) => Err(error),
    }
    .map_err(|error| {
        Failure::new(CANNOT_CREATE, because(lock, &error, "no access to lock", "searched"))
    })
}

fn is_in_no_directory(file: &Path, error: &IoError) -> bool {
    error.kind() == ErrorKind::NotADirectory && !parent(file).is_dir()
}

/// Why a lock's file could not be created.
fn cannot_create(file: &Path, error: &IoError) -> String {
    because(
        &lock_of_claim(file).unwrap_or_else(|| file.to_owned()),
        error,
        "cannot lock",
        "written",
    )
}

fn because(lock: &Path, error: &IoError, what: &str, access: &str) -> String {
    let dir = parent(lock);
    let reason = match error.kind() {
        ErrorKind::NotFound => format!("the directory {} does not exist", dir.display()),
        ErrorKind::NotADirectory => format!("{} is not a directory", dir.display()),
        ErrorKind::PermissionDenied => {
            format!("the directory {} may not be {access} by {} ({error})", dir.display(), user())
        }
        ErrorKind::ReadOnlyFilesystem => {
            let dir = dir.display();
            format!("the directory {dir} is on a file system that is mounted read-only ({error})")
        }
        _ => format!("the directory {}: {error}", dir.display()),
    };
    format!("{what} {}: {reason}", lock.display())
}

/// The user whose permissions apply to our file operations.
fn user() -> String {
    let uid = geteuid();
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        _ => format!("uid {uid}"),
    }
}

/// The directory of the file that a path names.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The lock that a claim belongs to. After the lock's name, a claim's name consists of a separator,
/// which is not a letter or digit, a host, the same separator, a pid, and so on up to the nonce.
fn lock_of_claim(claim: &Path) -> Option<PathBuf> {
    let name = claim.file_name()?.as_bytes();
    let separator = *name.iter().rfind(|byte| !byte.is_ascii_alphanumeric())?;
    let mut fields = name.rsplitn(4, |byte| *byte == separator);
    let (_nonce, pid, _host) = (fields.next()?, fields.next()?, fields.next()?);
    let is_claim = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
    is_claim.then(|| Some(claim.with_file_name(OsStr::from_bytes(fields.next()?))))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_its_lock() {
        let lock = |claim| lock_of_claim(Path::new(claim));
        assert_eq!(lock("/d/a.lock|my-host|17|x0fw1s2"), Some("/d/a.lock".into()));
        assert_eq!(lock("/d/a.lock#my.host#17#815"), Some("/d/a.lock".into()));
        for other in ["/d/a.lock", "/d/a.lock|break|x0|0", "/d/x", "/d/a-b-c-d", "/"] {
            assert_eq!(lock(other), None, "{other}");
        }
    }
}
