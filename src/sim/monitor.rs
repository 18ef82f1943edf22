//! What must hold in every run, whatever the scheduler does.

use std::time::Duration;

/// Who holds the lock, as the holders themselves believe.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    tenures: Vec<Tenure>,
    /// The machines that more than one process runs on.
    pub(super) shared_clients: Vec<usize>,
    pub(super) violation: Option<String>,
}

#[derive(Debug)]
struct Tenure {
    process: usize,
    client: usize,
    /// Until when the holder believes its lease to run.
    ends: Duration,
    over: bool,
    /// Since when the holder is dead, which others on its machine can see.
    dead_since: Option<Duration>,
}

impl Monitor {
    /// A process was told that it holds the lock, or still holds it, for so long.
    pub(super) fn holds(
        &mut self,
        process: usize,
        client: usize,
        now: Duration,
        left: Duration,
        dead_wait: Duration,
    ) {
        for other in &self.tenures {
            // Who stalled on the way knows that it holds nothing.
            let runs =
                !left.is_zero() && other.process != process && !other.over && now < other.ends;
            // Its death can be seen on its own machine, by whoever else is there.
            let is_seen = self.shared_clients.contains(&other.client);
            let dead = other.dead_since.is_some_and(|since| now >= since + dead_wait);
            let succeeded = is_seen && dead;
            if runs && !succeeded {
                let (first, ends) = (other.process, other.ends);
                self.violation = Some(format!(
                    "process {process} holds the lock at {now:?} while the lease of process \
                     {first} runs until {ends:?}"
                ));
            }
        }
        let ends = now + left;
        match self.tenures.last_mut() {
            Some(last) if last.process == process && !last.over => last.ends = ends,
            _ => {
                let (over, dead_since) = (false, None);
                self.tenures.push(Tenure { process, client, ends, over, dead_since });
            }
        }
    }

    /// A process begins to release the lock, or was told that it has lost it.
    pub(super) fn ends(&mut self, process: usize) {
        for tenure in self.tenures.iter_mut().filter(|tenure| tenure.process == process) {
            tenure.over = true;
        }
    }

    pub(super) fn dies(&mut self, process: usize, now: Duration) {
        for tenure in self.tenures.iter_mut().filter(|tenure| tenure.process == process) {
            tenure.dead_since = Some(now);
        }
    }

    pub(super) fn tenures(&self) -> usize {
        self.tenures.len()
    }
}
