//! Records: what is known about a lock beyond its lock file, in one small file per lock, named by
//! its id.
//!
//! A record is written before the lock is taken, and replaced as a whole, so that a server may die
//! at any moment: a lock of ours that is held always has a record, which is always complete. Only the
//! fencing token, which is drawn once the lock is taken, is appended to it, as an object of its own. A
//! record whose lock is not held has no effect, and is removed in time. Only a power failure leaves
//! locks without a valid record, none of which was ever answered (see `durable`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

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

/// What is appended to a record.
#[derive(Serialize, Deserialize)]
struct Drawn {
    token: u64,
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

    /// Writes a record of a lock that does not exist yet, so that nobody reads a half of it.
    pub(crate) fn create(&self, record: &Record) -> io::Result<()> {
        let path = self.path(record.info.id);
        let text = serde_json::to_vec(record)?;
        let written = self.in_dir(|| write_new(&path, &text).map(|_| ()));
        if written.is_err() {
            let _ = fs::remove_file(&path); // the first error is the one to report
        }
        written
    }

    /// Adds its token to a record.
    pub(crate) fn complete(&self, id: LockId, token: u64) -> io::Result<()> {
        let mut text = vec![b'\n'];
        serde_json::to_writer(&mut text, &Drawn { token })?;
        OpenOptions::new().append(true).open(self.path(id))?.write_all(&text)
    }

    pub(crate) fn exists(&self, id: LockId) -> io::Result<bool> {
        self.path(id).try_exists()
    }

    /// Replaces a durable record, in full or not at all even if the power fails.
    pub(crate) fn replace(&self, record: &Record) -> io::Result<()> {
        let id = record.info.id;
        let temporary = self.dir.join(format!("{id}.{}{HALF}", uuid::Uuid::new_v4().simple()));
        let text = serde_json::to_vec(record)?;
        let written = self
            .in_dir(|| write_new(&temporary, &text)?.sync_data())
            .and_then(|()| fs::rename(&temporary, self.path(id)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary); // the first error is the one to report
        }
        written
    }

    /// Writes a file of the directory, which may be gone.
    fn in_dir(&self, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ensure()?;
                write()
            }
            written => written,
        }
    }

    /// The record, to be synced.
    pub(crate) fn open_file(&self, id: LockId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// `None` if there is no valid record: it was removed or edited, or a power failure came before it
    /// was durable.
    pub(crate) fn read(&self, id: LockId) -> io::Result<Option<Record>> {
        let text = match read(&self.path(id)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if text.is_empty() {
            return Ok(None); // its server was killed before it wrote it, and took no lock
        }
        match parse(&text) {
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

fn parse(text: &[u8]) -> serde_json::Result<Record> {
    let mut parts = serde_json::Deserializer::from_slice(text);
    let mut record = Record::deserialize(&mut parts)?;
    // A power failure may have cut it off, which is none then.
    let drawn = Drawn::deserialize(&mut parts).ok();
    if let Some((tenure, drawn)) = record.tenure.as_mut().zip(drawn) {
        tenure.token = Some(drawn.token);
    }
    Ok(record)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let (id, now) = (LockId(uuid::Uuid::new_v4()), SystemTime::UNIX_EPOCH);
        let (lock_name, creator, ip) = ("x".to_owned(), None, None);
        let (expires_at, created_at, updated_at) = (now, now, now);
        let info = LockInfo { id, lock_name, creator, ip, expires_at, created_at, updated_at };
        let (secret, lifetime) = (Digest::of("a secret of a test"), Duration::from_secs(60));
        let tenure = Some(Terms { secret, lifetime, note: None }.into());
        Record { info, key: None, slots: None, access: None, tenure }
    }

    #[test]
    fn a_token_is_read_once_all_of_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        let record = record();
        let id = record.info.id;
        records.create(&record).unwrap();
        assert_eq!(records.read(id).unwrap().unwrap(), record);
        let before = fs::read(records.path(id)).unwrap().len();
        records.complete(id, 4711).unwrap();
        let text = fs::read(records.path(id)).unwrap();
        let token = |length: usize| {
            fs::write(records.path(id), &text[..length]).unwrap();
            records.read(id).unwrap().unwrap().tenure.unwrap().token
        };
        assert!((before..text.len()).all(|length| token(length).is_none()));
        assert_eq!(token(text.len()), Some(4711));
    }

    #[test]
    fn a_record_that_is_replaced_keeps_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        let id = {
            let record = record();
            records.create(&record).unwrap();
            record.info.id
        };
        records.complete(id, 7).unwrap();
        let whole = records.read(id).unwrap().unwrap();
        records.replace(&whole).unwrap();
        assert_eq!(records.read(id).unwrap().unwrap(), whole);
        assert_eq!(whole.tenure.unwrap().token, Some(7));
    }
}
