//! The text output of `linklock status`.

use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

use super::breakers::Breaker;
use super::{Details, FileDetails, State, Status, Waiter};
use crate::options::is_url;
use crate::output::printable;
use crate::set::{self, Set};
use crate::time::show_seconds as seconds;

/// A smaller difference does not count.
const SAME_TIME: f64 = 1.0;

impl State {
    fn explained(self) -> &'static str {
        match self {
            State::Free => "free",
            State::Held => "held",
            State::Expired => "expired: held, but its lease is over",
            State::Dead => {
                "dead: its holder is gone, and the next process to ask for the lock takes it over"
            }
            State::Unreadable => "unreadable: it counts as a held lock",
            State::NotALock => "not a lock: something else has this name",
        }
    }
}

impl Status {
    pub(crate) fn to_text(&self, with_breakers: bool) -> String {
        let mut text = match self.state {
            State::Free if !self.slots.is_empty() || !self.readers.is_empty() => String::new(),
            _ => self.to_string(),
        };
        let slots: Vec<_> = self.slots.iter().map(Status::as_slot).collect();
        for set in Set::group(&slots).0 {
            let _ = write!(text, "{set}"); // a String accepts any write
        }
        for slot in &self.slots {
            let _ = write!(text, "{slot}");
        }
        if !self.readers.is_empty() {
            let (lock, shared) = (printable(&self.lock), set::shared_by(self.readers.len()));
            let _ = writeln!(text, "{lock}: {shared}");
        }
        for reader in &self.readers {
            let _ = write!(text, "{reader}");
        }
        let mut title = "breakers:";
        for breaker in self.breakers.iter().filter(|_| with_breakers) {
            let _ = writeln!(text, "  {title:11} {breaker}");
            title = "";
        }
        text
    }
}

/// Escapes control characters in names: any user who may write in the directory chooses them.
impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", printable(&self.lock), self.state.explained())?;
        if let Some(error) = &self.error {
            writeln!(f, "  error:      {error}")?;
        }
        if let Some(file) = &self.file {
            file.fmt(f)?;
        }
        if let Some(format) = self.format {
            writeln!(f, "  format:     {}", format_explained(format))?;
        }
        match &self.server {
            Some(lock) => lock.fmt(f)?,
            None => self.holder.as_ref().map_or(Ok(()), |holder| holder.fmt_process(f))?,
        }
        if let Some(holder) = &self.holder {
            holder.fmt_lease(f)?;
        }
        let mut title = "waiting:";
        for waiter in &self.waiting {
            writeln!(f, "  {title:11} {waiter}")?;
            title = "";
        }
        match self.clock_offset_seconds {
            Some(offset) if offset >= SAME_TIME => {
                writeln!(f, "  clock:      the file server's is {} ahead", seconds(offset))
            }
            Some(offset) if offset <= -SAME_TIME => {
                writeln!(f, "  clock:      the file server's is {} behind", seconds(-offset))
            }
            Some(_) => Ok(()),
            None if is_url(Path::new(&self.lock)) => Ok(()),
            None => writeln!(
                f,
                "  clock:      local (no write access here, so the file server's could not be read)"
            ),
        }
    }
}

pub(crate) fn format_explained(format: &'static str) -> &'static str {
    match format {
        "procmail" => "procmail's lockfile(1)",
        "dotlockfile" => "a dotlock, as dotlockfile(1) makes it",
        "dovecot" => "a dotlock, as Dovecot makes it",
        "mutt_dotlock" => "a dotlock, as mutt_dotlock(1) makes it",
        "empty" => "an empty file: a dotlock, as Exim makes it, or none",
        "filelock" => "a soft lock of Python's filelock",
        "dvc" => "a lock of DVC's, which does not say who holds it and has a lease of a year",
        ours => ours,
    }
}

impl Display for FileDetails {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let FileDetails { owner, mode, size, unchanged_seconds, .. } = self;
        let age = seconds(*unchanged_seconds);
        writeln!(f, "  file:       {owner}'s, mode {mode}, {size} bytes, last changed {age} ago")?;
        for (title, advice) in ["to do:", ""].iter().zip(self.advice) {
            writeln!(f, "  {title:11} {advice}")?;
        }
        Ok(())
    }
}

impl Details {
    fn fmt_process(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => {
                writeln!(f, "  holder:     {}", process(pid, self.host.as_deref(), self.alive))?;
            }
            None if self.is_nobodys => {
                writeln!(f, "  holder:     no process: the lock is held by its lease alone")?;
            }
            None if self.expires_at.is_none() => {
                writeln!(f, "  holder:     unknown: the name of its claim is a hash")?;
            }
            None => {
                writeln!(f, "  holder:     unknown: its content is lost, and there is no claim")?;
            }
        }
        if let Some(user) = &self.user {
            writeln!(f, "  user:       {}", printable(user))?;
        }
        if let Some(command) = &self.command {
            writeln!(f, "  command:    {}", printable(command))?;
        }
        Ok(())
    }

    fn fmt_lease(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let (Some(since), Some(held)) = (&self.since, self.held_seconds) {
            writeln!(f, "  since:      {since}, {} ago", seconds(held))?;
        }
        if let Some(left) = self.expires_in_seconds {
            let date = self.expires_at.as_deref().unwrap_or("(no date)");
            if left < 0.0 {
                writeln!(f, "  lease ended: {date}, {} ago", seconds(-left))?;
            } else {
                writeln!(f, "  lease ends: {date}, in {}", seconds(left))?;
            }
        }
        if let Some(idle) = self.idle_seconds {
            writeln!(f, "  refreshed:  {} ago", seconds(idle))?;
        }
        if let Some(claim) = &self.claim {
            writeln!(f, "  claim:      {}", printable(claim))?;
        }
        Ok(())
    }
}

impl Display for Waiter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&process(self.pid, Some(&self.host), self.alive))?;
        match &self.command {
            Some(command) => write!(f, ": {}", printable(command)),
            None => Ok(()),
        }
    }
}

impl Display for Breaker {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Breaker { peer, rule, in_seconds, .. } = self;
        if *in_seconds > 0.0 {
            write!(f, "{peer:11} in {}: {rule}", seconds(*in_seconds))
        } else {
            write!(f, "{peer:11} at once: {rule}")
        }
    }
}

fn process(pid: u32, host: Option<&str>, alive: Option<bool>) -> String {
    let host = host.map_or_else(String::new, |host| format!(" on {}", printable(host)));
    let alive = match alive {
        Some(true) => " (alive)",
        Some(false) => " (dead)",
        None => "",
    };
    format!("process {pid}{host}{alive}")
}
