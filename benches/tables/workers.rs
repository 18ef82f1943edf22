//! The processes that are measured, ours and the peers', and how they get their orders.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use linklock_bench::ways::Way;

/// A program that locks.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The program and its first arguments; the lock's path comes last.
    command: Vec<PathBuf>,
    /// The longest pause between two looks at the lock, roughly; none if it is woken instead.
    pub(crate) polls: Option<Duration>,
}

impl Peer {
    pub(crate) fn ours(way: Way) -> Peer {
        let program = env::current_exe().expect("this is one");
        let polls = (way == Way::Dotlock).then_some(Duration::from_secs(5));
        Peer { name: way.name(), command: vec![program, "as".into(), way.name().into()], polls }
    }

    /// All peers that this machine has; others are skipped with a message.
    pub(crate) fn all(dir: &Path) -> Vec<Peer> {
        let mut peers: Vec<_> = Way::ALL.into_iter().map(Peer::ours).collect();
        match compile(dir) {
            Ok(program) => peers.push(Peer {
                name: "liblockfile (C)",
                command: vec![program, "liblockfile".into()],
                polls: Some(Duration::from_secs(5)),
            }),
            Err(why) => skip("liblockfile", why),
        }
        let python = env::var_os("LINKLOCK_PYTHON").unwrap_or_else(|| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/peer.py");
        let pauses = [("flufl.lock", 2000), ("filelock", 50), ("filelock, soft", 50)];
        for (name, pause) in pauses {
            let command = vec![python.clone().into(), script.clone(), name.into()];
            let peer = Peer { name, command, polls: Some(Duration::from_millis(pause)) };
            match Worker::start(&peer, &dir.join(name)) {
                Ok(_) => peers.push(peer),
                Err(why) => skip(name, format!("{}: {why}", python.to_string_lossy())),
            }
        }
        peers
    }

    /// This peer as a command, to be run on a lock.
    pub(crate) fn words(&self) -> &[PathBuf] {
        &self.command
    }

    /// Whether this is that way of ours.
    pub(crate) fn is(&self, way: Way) -> bool {
        self.name == way.name()
    }
}

fn compile(dir: &Path) -> Result<PathBuf, String> {
    let program = dir.join("liblockfile-peer");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/peer.c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-o"]).arg(&program).arg(source).arg("-llockfile");
    match gcc.output() {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => Err(format!(
            "Debian's liblockfile-dev is needed: {}",
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
        )),
        Err(error) => Err(format!("gcc: {error}")),
    }
}

/// Reports that something can't be measured here. In CI it must be.
pub(crate) fn skip(what: &str, why: impl Display) {
    assert!(env::var("CI").as_deref() != Ok("true"), "can't measure {what}: {why}");
    eprintln!("skipped: {what}: {why}");
}

/// One process. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one, with a lock of this path, and waits until it is ready.
    pub(crate) fn start(peer: &Peer, path: &Path) -> io::Result<Worker> {
        Worker::run(Command::new(&peer.command[0]).args(&peer.command[1..]).arg(path))
    }

    pub(crate) fn run(command: &mut Command) -> io::Result<Worker> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut worker = Worker { process, orders, answers };
        match worker.line()?.as_str() {
            "ready" => Ok(worker),
            other => Err(io::Error::other(format!("it is not ready: {other:?}"))),
        }
    }

    pub(crate) fn tell(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it is piped");
        writeln!(orders, "{order}").expect("it listens");
    }

    pub(crate) fn answer(&mut self) -> Vec<u64> {
        let line = self.line().expect("it answers");
        line.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    }

    pub(crate) fn ask(&mut self, order: &str) -> Vec<u64> {
        self.tell(order);
        self.answer()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err(io::Error::other("it has ended")),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.orders.take()); // ends its loop
        let _ = self.process.wait();
    }
}

/// A fresh directory for the locks of one measurement.
pub(crate) fn fresh(parent: &Path) -> tempfile::TempDir {
    fs::create_dir_all(parent).expect("a place for directories");
    tempfile::tempdir_in(parent).expect("a directory")
}
