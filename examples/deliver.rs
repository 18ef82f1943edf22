//! Appends a message to an mbox, as a mail server's delivery agent does: with both locks, either
//! completely or not at all, and on disk before it reports success.
//!
//! The message comes from standard input and begins with its envelope line, "From SENDER DATE" (as
//! Postfix's pipe(8) writes it with `flags=F`). Exits with 0 once it is on disk, with 75
//! (`EX_TEMPFAIL`, see sysexits.h) if the mail server should try again later, and with 65
//! (`EX_DATAERR`) if that would be useless.
//!
//!     cargo run --example deliver -- ./mbox <message

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use linklock::mailbox::{MailboxGuard, MailboxLock};

fn main() -> ExitCode {
    let mut message = Vec::new();
    let read = io::stdin().read_to_end(&mut message);
    let delivered = match (read, std::env::args_os().nth(1)) {
        (Err(error), _) => Err(error.into()),
        (Ok(_), Some(mbox)) if message.starts_with(b"From ") => deliver(mbox.into(), &message),
        _ => {
            eprintln!("usage: deliver MBOX <MESSAGE, which begins with its \"From \" line");
            return ExitCode::from(65);
        }
    };
    match delivered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deliver: {error}");
            ExitCode::from(75)
        }
    }
}

fn deliver(mbox: PathBuf, message: &[u8]) -> Result<(), Box<dyn Error>> {
    let guard = MailboxLock::options(mbox).timeout(Duration::from_secs(300)).build()?.lock()?;
    // Writing the message may take longer than 30 s, the lease.
    guard.keep_alive(|why| eprintln!("deliver: {why}"))?;
    if let Some(file) = guard.file() {
        append(file, message, &guard)?;
    } else {
        // No other program creates it while we hold its dotlock.
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create_new(true).mode(0o600).open(guard.path())?;
        append(&file, message, &guard)?;
    }
    guard.unlock()?;
    Ok(())
}

/// Appends the message, and cuts it off again if it could not be written completely.
fn append(mut file: &File, message: &[u8], guard: &MailboxGuard) -> Result<(), Box<dyn Error>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut text = gap(file, end)?;
    text.extend(quoted(message));
    guard.verify()?; // the last thing before the mailbox is changed
    let written = file.seek(SeekFrom::Start(end)).and_then(|_| file.write_all(&text));
    if let Err(error) = written.and_then(|()| file.sync_data()) {
        file.set_len(end)?;
        file.sync_data()?;
        return Err(error.into());
    }
    Ok(())
}

/// The separator before a message: an empty line, unless the mailbox ends with one or is empty. A
/// writer that was killed may have left half a line.
fn gap(mut file: &File, end: u64) -> io::Result<Vec<u8>> {
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(end.saturating_sub(2)))?;
    file.read_to_end(&mut last)?;
    let missing = match last.as_slice() {
        b"" | b"\n\n" => 0,
        [.., b'\n'] => 1,
        _ => 2,
    };
    Ok(vec![b'\n'; missing])
}

/// The message in the format of an mbox ("mboxrd"): a line that looks like an envelope line, after any
/// number of `>`, gets another `>`; and an empty line ends the message.
fn quoted(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len() + 2);
    for (number, line) in message.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let unquoted = line.iter().position(|byte| *byte != b'>').unwrap_or(line.len());
        if number > 0 && line[unquoted..].starts_with(b"From ") {
            text.push(b'>');
        }
        text.extend(line);
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.push(b'\n');
    text
}
