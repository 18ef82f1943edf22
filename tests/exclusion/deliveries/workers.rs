//! The workers of one round: processes that deliver, each in a process group of its own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::BATCH;
use super::message::Message;
use super::peers::Peer;

#[derive(Debug)]
pub(crate) struct Worker {
    group: Pid,
    log: PathBuf,
    pub(crate) messages: Vec<Message>,
    /// Whether all of its processes have ended.
    pub(crate) has_ended: bool,
    pub(crate) was_killed: bool,
}

#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) workers: Vec<Worker>,
}

impl Workers {
    pub(crate) fn start(dir: &Path, peers: &[&Peer], round: usize) -> Workers {
        // The children of a worker's shell that is killed become our children, to be waited for.
        set_child_subreaper(true).unwrap();
        let peers = peers.iter().enumerate();
        let workers = peers.map(|(number, peer)| Worker::start(dir, peer, round, number));
        Workers { workers: workers.collect() }
    }

    /// Waits for all of them.
    pub(crate) fn finish(&mut self, limit: Duration) {
        assert!(self.wait(limit), "they have not ended: {:?}", self.workers);
    }

    /// Kills one of them, and then the others if they don't end; or all at once, as when the
    /// machine loses power.
    pub(crate) fn kill_some(&mut self, grace: Duration) {
        let moment: f64 = rand::random();
        thread::sleep(Duration::from_secs_f64(0.5 * moment * moment));
        if rand::random_ratio(1, 2) {
            let victim = rand::random_range(0..self.workers.len());
            self.workers[victim].kill();
            self.wait(grace);
        }
        for worker in &mut self.workers {
            worker.kill();
        }
    }

    /// Whether all have ended within the limit.
    fn wait(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        loop {
            let all_ended = self.workers.iter_mut().all(|worker| worker.ended(false));
            if all_ended || begun.elapsed() > limit {
                return all_ended;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.kill();
        }
    }
}

impl Worker {
    fn start(dir: &Path, peer: &Peer, round: usize, worker: usize) -> Worker {
        let messages: Vec<_> =
            (0..BATCH).map(|number| Message::numbered(round, worker, number)).collect();
        let files: Vec<_> = messages.iter().map(|message| message.file(dir)).collect();
        let log = dir.join(format!("log-{round}-{worker}"));
        let said = File::create(&log).unwrap();
        let mut command = peer.command(&files);
        command.process_group(0).stdin(Stdio::null());
        command.stderr(said.try_clone().unwrap()).stdout(said);
        #[allow(clippy::zombie_processes)] // waited for with all of its group
        let child = command.spawn().unwrap();
        let group = Pid::from_raw(child.id().try_into().unwrap());
        Worker { group, log, messages, has_ended: false, was_killed: false }
    }

    /// Whether all of its processes have ended; with `wait`, returns when they have.
    fn ended(&mut self, wait: bool) -> bool {
        let flag = if wait { None } else { Some(WaitPidFlag::WNOHANG) };
        while !self.has_ended {
            match waitpid(Pid::from_raw(-self.group.as_raw()), flag) {
                Ok(WaitStatus::StillAlive) => return false,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => self.has_ended = true,
                Err(error) => panic!("{error}"),
            }
        }
        true
    }

    fn kill(&mut self) {
        if !self.ended(false) {
            self.was_killed = true;
            let _ = killpg(self.group, Signal::SIGKILL);
            self.ended(true);
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Whether it has reported a message as delivered.
    pub(crate) fn has_delivered(&self, message: &Message) -> bool {
        let name = format!("/{}", message.id);
        let log = self.log();
        log.lines().any(|line| line.starts_with("delivered ") && line.ends_with(&name))
    }
}
