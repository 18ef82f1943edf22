//! A process with a flufl.lock, driven by commands: see peer.py.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::dialogue::Dialogue;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exclusion/peers/peer.py");

#[derive(Debug)]
pub(crate) struct Flufl(Dialogue);

impl Flufl {
    /// A flufl.lock that is not held yet. `options` are those of the script.
    pub(crate) fn start(python: &Path, dir: &Path, lock: &OsStr, options: &[&str]) -> Flufl {
        let mut command = Command::new(python);
        Flufl(Dialogue::start(command.arg(SCRIPT).args(options).arg(lock).current_dir(dir)))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Has it execute a command, and returns the result, or the exception that it raised.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String, String> {
        self.begin(command);
        self.answer()
    }

    /// Has it begin to execute a command.
    pub(crate) fn begin(&mut self, command: &str) {
        self.0.say(command);
    }

    /// The result of the command that was begun.
    pub(crate) fn answer(&mut self) -> Result<String, String> {
        loop {
            let line = self.0.hear();
            match line.split_once(' ') {
                Some(("ok", value)) => return Ok(value.to_owned()),
                Some(("error", name)) => return Err(name.to_owned()),
                _ => assert_eq!(line, "waiting"),
            }
        }
    }

    /// Has it begin to lock, and returns when it has tried in vain many times.
    pub(crate) fn begin_to_wait(&mut self) {
        self.begin("lock");
        assert_eq!(self.0.hear(), "waiting");
    }

    /// Kills it with SIGKILL, so that it leaves its files behind.
    pub(crate) fn kill(mut self) {
        self.0.kill();
    }
}
