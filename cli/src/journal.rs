//! `run --events`: what happens to a run's locks, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use linklock::LockGuard;
use serde::Serialize;

use crate::exit::{CANNOT_CREATE, Failure};

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Happening {
    Waiting,
    GaveUp,
    Acquired,
    Lost,
    Ended,
    Released,
    NotReleased,
}

/// What is written about it, as described in schema.json.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) event: Happening,
    pub(crate) lock: Option<String>,
    pub(crate) claim: Option<String>,
    pub(crate) token: Option<u64>,
    pub(crate) reason: Option<String>,
    pub(crate) exit_status: Option<u8>,
}

impl Note {
    pub(crate) fn of(event: Happening) -> Note {
        Note { event, lock: None, claim: None, token: None, reason: None, exit_status: None }
    }

    pub(crate) fn of_acquired(guard: &LockGuard) -> Note {
        Note {
            lock: Some(guard.path().display().to_string()),
            claim: Some(guard.claim_path().display().to_string()),
            token: guard.token(),
            ..Note::of(Happening::Acquired)
        }
    }

    /// Of a run whose command did not run, for this reason.
    pub(crate) fn of_failure(failure: &Failure) -> Note {
        Note {
            reason: failure.message().map(str::to_owned),
            exit_status: Some(failure.code()),
            ..Note::of(Happening::GaveUp)
        }
    }
}

#[derive(Serialize)]
struct Line {
    time: String,
    pid: u32,
    #[serde(flatten)]
    note: Note,
}

/// Where the notes go, if anywhere.
#[derive(Debug, Default)]
pub(crate) struct Journal(Option<File>);

impl Journal {
    pub(crate) fn open(path: &Path) -> Result<Journal, Failure> {
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Ok(Journal(Some(file))),
            Err(error) => {
                let path = path.display();
                Err(Failure::new(CANNOT_CREATE, format_args!("cannot write to {path}: {error}")))
            }
        }
    }

    /// Writes a line, in one piece, since other runs may write to the same file. A failure must not
    /// end a run that holds a lock.
    pub(crate) fn note(&self, note: impl FnOnce() -> Note) {
        let Some(mut file) = self.0.as_ref() else { return };
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let line = Line { time, pid: std::process::id(), note: note() };
        let text = serde_json::to_string(&line).map_err(io::Error::from);
        let _ = text.and_then(|text| file.write_all(format!("{text}\n").as_bytes()));
    }
}
