//! Records: what is known about a lock beyond its lock file, in one small file per lock, named by
//! its id.
//!
//! A record is written before the lock is taken, and replaced as a whole, so that a server may die
//! at any moment: a lock of ours that is held always has a record, which is always complete. A
//! record whose lock is not held has no effect, and is removed in time. Only a power failure leaves
//! locks without a valid record, none of which was ever answered (see `durable`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::durable::sync;
use super::names::{self, BadName};
use crate::info::{Access, LockId, LockInfo};
use crate::server::secret::Digest;

/// The directory of records, inside that of the locks: no lock file's name begins with a dot.
const DIR: &str = ".relukko";
/// The suffix of records that are not complete yet.
pub(super) const HALF: &str = ".new";

/// How often to read a record that is replaced meanwhile.
const READS: usize = 10;

/// What is known about a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) info: LockInfo,
    /// The name of the key that it was created with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// How many slots its set has, if it was acquired as one of a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<u32>,
    /// Whether it was acquired to read or to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<Access>,
    /// Of a lock that was created through `/v2/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenure: Option<Tenure>,
}

/// What the creator of a lock of `/v2/` chooses.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) secret: Digest,
    pub(crate) lifetime: Duration,
    pub(crate) note: Option<String>,
}

/// What Relukko's locks lack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tenure {
    /// Of the secret that its holder knows.
    pub(crate) secret: Digest,
    /// The fencing token, once the lock is taken.
    pub(crate) token: Option<u64>,
    /// Whether its client has asked for it again: it may know of the lock even if the request that created it
    /// has no client any more.
    #[serde(default)]
    pub(crate) is_confirmed: bool,
    /// In seconds: how long it lasts from each refresh.
    pub(crate) lifetime: f64,
    pub(crate) note: Option<String>,
}

impl Record {
    /// Whether this is the lock of the client that knows the secret.
    pub(crate) fn is_of(&self, secret: &Digest) -> bool {
        self.tenure.as_ref().is_some_and(|tenure| tenure.secret.matches(secret))
    }

    /// Whether the lock is taken for good. One of `/v2/` is not before it has its token: the request that creates
    /// it is at work, or its server was killed.
    pub(crate) fn is_complete(&self) -> bool {
        self.tenure.as_ref().is_none_or(|tenure| tenure.token.is_some())
    }

    /// The lock file that it is the record of.
    pub(crate) fn file(&self) -> Result<String, BadName> {
        let secret = self.tenure.as_ref().map(|tenure| &tenure.secret);
        names::file_of(&self.info.lock_name, reader(self.access, secret))
    }
}

/// The number of the client's lock beside the lock file, if it reads.
pub(super) fn reader(access: Option<Access>, secret: Option<&Digest>) -> Option<u64> {
    secret.filter(|_| access == Some(Access::Read)).map(Digest::number)
}

impl Tenure {
    /// For how long a refresh prolongs it.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::try_from_secs_f64(self.lifetime).unwrap_or_default()
    }
}

impl From<Terms> for Tenure {
    fn from(terms: Terms) -> Tenure {
        let Terms { secret, lifetime, note } = terms;
        Tenure { secret, token: None, is_confirmed: false, lifetime: lifetime.as_secs_f64(), note }
    }
}

#[derive(Debug)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(crate) fn open(locks: &Path) -> io::Result<Records> {
        let records = Records { dir: locks.join(DIR) };
        records.ensure()?;
        Ok(records)
    }

    /// Creates the records' directory if it is gone, but not the locks': that may be the mount
    /// point of a file system that is not mounted.
    pub(crate) fn ensure(&self) -> io::Result<()> {
        match fs::create_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether a record could be written.
    pub(crate) fn probe(&self) -> io::Result<()> {
        self.ensure()?;
        let path = self.dir.join(format!("{}{HALF}", uuid::Uuid::new_v4().simple()));
        let written = write_new(&path, &[b' '; 4096]).and_then(|file| file.sync_data());
        let _ = fs::remove_file(path); // if this fails, it is swept
        written
    }

    /// The lock to hold while changing a lock's record.
    pub(crate) fn turn(&self, id: LockId) -> PathBuf {
        self.dir.join(format!("{id}.turn"))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a record, in full or not at all unless the power fails.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        self.put(record, |_| Ok(()))
    }

    /// Replaces a durable record, in full or not at all even if the power fails.
    pub(crate) fn replace(&self, record: &Record) -> io::Result<()> {
        self.put(record, File::sync_data)
    }

    /// Makes a record's content durable.
    pub(crate) fn sync(&self, id: LockId) -> io::Result<()> {
        sync(&self.path(id))
    }

    fn put(&self, record: &Record, finish: fn(&File) -> io::Result<()>) -> io::Result<()> {
        match self.try_put(record, finish) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ensure()?;
                self.try_put(record, finish)
            }
            written => written,
        }
    }

    fn try_put(&self, record: &Record, finish: fn(&File) -> io::Result<()>) -> io::Result<()> {
        let id = record.info.id;
        let temporary = self.dir.join(format!("{id}.{}{HALF}", uuid::Uuid::new_v4().simple()));
        let written = write_new(&temporary, &serde_json::to_vec(record)?)
            .and_then(|file| finish(&file))
            .and_then(|()| fs::rename(&temporary, self.path(id)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary); // the first error is the one to report
        }
        written
    }

    /// `None` if there is no valid record: it was removed or edited, or a power failure came before it
    /// was durable.
    pub(crate) fn read(&self, id: LockId) -> io::Result<Option<Record>> {
        let text = match read(&self.path(id)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Record>(&text) {
            Ok(record) if record.info.id == id => return Ok(Some(record)),
            Ok(_) => tracing::error!(%id, "a record contains another id"),
            Err(error) => tracing::error!(%id, %error, "a record is invalid"),
        }
        Ok(None)
    }

    pub(crate) fn remove(&self, id: LockId) {
        if let Err(error) = fs::remove_file(self.path(id)) {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%id, %error, "a record was left behind, and will be swept");
            }
        }
    }

    /// The records, and incomplete records, that have not been touched for this long, by the file
    /// server's time.
    pub(crate) fn older_than(&self, age: Duration, now: SystemTime) -> io::Result<Vec<Leftover>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let leftover = match name.parse() {
                Ok(id) => Leftover::Record(id),
                Err(_) if name.ends_with(HALF) => Leftover::Half(entry.path()),
                Err(_) => continue,
            };
            let touched = entry.metadata().and_then(|metadata| metadata.modified());
            let rested = touched.map(|at| now.duration_since(at).unwrap_or_default());
            if rested.is_ok_and(|rested| rested > age) {
                old.push(leftover);
            }
        }
        Ok(old)
    }

    fn path(&self, id: LockId) -> PathBuf {
        self.dir.join(id.to_string())
    }
}

/// What remains after a server was interrupted, or after a lock ended without being deleted.
#[derive(Debug)]
pub(crate) enum Leftover {
    Record(LockId),
    Half(PathBuf),
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Reads a file that another server may replace meanwhile: then some file systems have lost the old one.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    for _ in 1..READS {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => {}
            content => return content,
        }
    }
    fs::read(path)
}
