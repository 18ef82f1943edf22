//! The NFS lab as a value: it is started when it is made, and stopped when it is dropped.
//! `lab/lab.sh` does the work.
//!
//! Guests run this machine's programs, so a test binary can be its own worker: [`Lab::worker`]
//! starts this binary in a guest, where the ignored test `worker` gets its work from [`job`] and
//! answers by [`report`].

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fmt::Display,
    path::PathBuf,
    process::{self, Command, Output, Stdio},
    sync::{Condvar, Mutex},
    thread,
};

use crate::shared::Shared;

/// Which labs may run. Two busy ones at a time are enough for one machine; of those that mostly
/// wait for the end of the server's default lease, there may be more.
static BUSY: Turns = Turns { free: Mutex::new(2), given_back: Condvar::new() };
static WAITING: Turns = Turns { free: Mutex::new(3), given_back: Condvar::new() };

const REPORT: &str = "REPORT ";

/// No job takes longer, unless it hangs.
const JOB_SECONDS: &str = "600";

/// The arguments that make this binary a worker.
const AS_WORKER: [&str; 4] = ["worker", "--exact", "--ignored", "--nocapture"];

/// The exit status of [`Lab::exec`] and [`Lab::worker`] when the guest died meanwhile.
pub(crate) const GUEST_DIED: i32 = 125;

/// Seconds of NFSv4 lease and grace: a short time, for most labs; and the kernel's default.
const SHORT_LEASE: u32 = 10;
pub(crate) const DEFAULT_LEASE: u32 = 90;

/// What happens to a client: [`Lab::crash`], [`Lab::mute`], [`Lab::freeze`].
pub(crate) type Fate = fn(&Lab, &str);

pub(crate) struct Options<'a> {
    pub(crate) clients: usize,
    /// The server's NFSv4 lease, and its grace after a restart, in seconds.
    pub(crate) lease: u32,
    /// Further mount options, as `mount -o` takes them.
    pub(crate) mount: &'a str,
    /// All requests go through the proxy that [`Lab::fault`] needs, which delays each a little.
    pub(crate) faults: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { clients: 2, lease: SHORT_LEASE, mount: "", faults: false }
    }
}

/// A server, and clients `c1`, `c2`, ... that have its export mounted.
pub(crate) struct Lab {
    name: String,
    clients: usize,
    /// The directory of this machine that the guests see without NFS.
    pub(crate) shared: Shared,
    _turn: Turn,
}

/// How a worker ended, and what it reported until then.
pub(crate) struct Work {
    /// The exit status of the worker, or of `lab.sh exec`.
    pub(crate) status: i32,
    pub(crate) reports: Vec<String>,
    stderr: String,
}

impl Work {
    /// The reports of a worker that has come to its end.
    pub(crate) fn finished(self) -> Vec<String> {
        assert_eq!(self.status, 0, "a worker failed after {:?}: {}", self.reports, self.stderr);
        self.reports
    }
}

impl Lab {
    /// Boots a lab whose clients mount NFS `version` (3, 4.0, 4.1, 4.2), or each its own (`3,4.2`:
    /// the first 3, all others 4.2). The error says why this machine can't.
    pub(crate) fn up(name: &str, version: &str, options: &Options) -> Result<Lab, String> {
        let turns = if options.lease == SHORT_LEASE { &BUSY } else { &WAITING };
        let turn = turns.take();
        let mut lab = Lab {
            name: format!("{name}-{}", process::id()),
            clients: options.clients,
            shared: Shared::at(PathBuf::new()), // no lab has failed yet
            _turn: turn,
        };
        let (clients, lease) = (options.clients.to_string(), options.lease.to_string());
        let mut up = lab.command(["up", "-n", &clients, "-v", version, "-s", &lease]);
        up.args(["-o", options.mount]);
        if options.faults {
            up.arg("-f");
        }
        let output = up.output().map_err(|error| format!("{}: {error}", script().display()))?;
        if output.status.success() {
            lab.shared = Shared::at(lab.run(["shared"]).trim_end().into());
            return Ok(lab);
        }
        Err(text(&output.stderr)
            .lines()
            .last()
            .unwrap_or("lab.sh up failed without a reason")
            .to_owned())
    }

    pub(crate) fn clients(&self) -> Vec<String> {
        (1..=self.clients).map(|i| format!("c{i}")).collect()
    }

    /// Runs `job` for every client at once, each in a thread of its own.
    pub(crate) fn par<T: Send>(&self, job: impl Fn(&str) -> T + Sync) -> Vec<T> {
        let (clients, job) = (self.clients(), &job);
        thread::scope(|scope| {
            let threads: Vec<_> =
                clients.iter().map(|client| scope.spawn(move || job(client))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a job panicked")).collect()
        })
    }

    /// Runs a program of this machine in a guest.
    pub(crate) fn exec(&self, vm: &str, command: &[&str]) -> Output {
        let exec = ["exec", "-t", JOB_SECONDS, vm];
        self.command(exec.iter().chain(command)).output().expect("lab.sh exec")
    }

    /// Runs the test `worker` of this binary in a guest.
    pub(crate) fn worker(&self, vm: &str, job: &str) -> Work {
        let job = format!("LAB_JOB={job}");
        let me = env::current_exe().expect("this binary");
        let me = me.to_str().expect("a path in UTF-8");
        self.work(vm, &[&["env", &job, me], &AS_WORKER[..]].concat())
    }

    /// Runs a program of this machine that reports as a worker does.
    pub(crate) fn work(&self, vm: &str, command: &[&str]) -> Work {
        let output = self.exec(vm, command);
        Work {
            status: output.status.code().unwrap_or(-1),
            reports: text(&output.stdout)
                .lines()
                .filter_map(|l| l.strip_prefix(REPORT))
                .map(str::to_owned)
                .collect(),
            stderr: text(&output.stderr),
        }
    }

    /// Makes the client's next request `op` meet a fault: `lostreply`, `lostreply+flush`,
    /// `lostcall`, `dup`, `swallow`, `late=SECONDS`, `delay=SECONDS` (`lab/rpcproxy.py` explains
    /// them).
    pub(crate) fn fault(&self, op: &str, action: &str, client: &str) {
        self.run(["fault", op, action, client]);
    }

    /// The faults that no request has met yet: a scenario that leaves one has tested nothing.
    pub(crate) fn faults_left(&self) -> usize {
        self.run(["faults"]).lines().count()
    }

    /// ... of this client.
    pub(crate) fn faults_left_for(&self, client: &str) -> usize {
        let faults = self.run(["faults"]);
        faults.lines().filter(|fault| fault.split(' ').nth(2) == Some(client)).count()
    }

    /// Stops a guest. Its clocks go on meanwhile.
    pub(crate) fn freeze(&self, vm: &str) {
        self.run(["freeze", vm]);
    }

    pub(crate) fn thaw(&self, vm: &str) {
        self.run(["thaw", vm]);
    }

    /// Kills a guest, as by a power cut.
    pub(crate) fn crash(&self, vm: &str) {
        self.run(["crash", vm]);
    }

    /// Boots a guest that has crashed; a client has the export mounted again.
    pub(crate) fn start(&self, vm: &str) {
        self.run(["start", vm]);
    }

    pub(crate) fn restart(&self, vm: &str) {
        self.run(["restart", vm]);
    }

    /// Makes the server forget replies and sessions, as by a restart, at once.
    pub(crate) fn forget_replies(&self) {
        self.run(["drcflush"]);
    }

    /// Moves a guest's wall clock.
    pub(crate) fn skew(&self, vm: &str, seconds: i64) {
        self.run(["skew", vm, &seconds.to_string()]);
    }

    /// Drops the server's packets to the client from now on; the client's still arrive.
    pub(crate) fn mute(&self, client: &str) {
        self.run(["mute", client]);
    }

    pub(crate) fn unmute(&self, client: &str) {
        self.run(["unmute", client]);
    }

    /// Keeps the clients from reaching each other. The server reaches all of them.
    pub(crate) fn part_clients(&self) {
        self.run(["part"]);
    }

    /// How many delegations of these locks the server has given the client, according to the
    /// server.
    pub(crate) fn delegations(&self, client: &str, locks: &[String]) -> usize {
        let command = ["delegations", client].into_iter();
        let output = self.command(command.chain(locks.iter().map(String::as_str))).output();
        let count = text(&output.expect("lab.sh delegations").stdout);
        count.trim_end().parse().expect("a count")
    }

    /// Fills the server's disk: inodes are left, but no block.
    pub(crate) fn fill_disk(&self) {
        self.run(["fill"]);
    }

    pub(crate) fn empty_disk(&self) {
        self.run(["empty"]);
    }

    /// The client's requests so far, by operation.
    pub(crate) fn stats(&self, client: &str) -> BTreeMap<String, u64> {
        let output = self.run(["stats", client]);
        let counts = output.lines().filter_map(|line| line.split_once(' '));
        counts.map(|(op, count)| (op.to_owned(), count.parse().expect("a count"))).collect()
    }

    fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(script());
        command
            .args(arguments)
            .env("NFSLAB_NAME", &self.name)
            .env("NFSLAB_OWNER", process::id().to_string())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of the lab that fails only if the lab itself is broken.
    fn run<const N: usize>(&self, arguments: [&str; N]) -> String {
        let output = self.command(arguments).output().expect("lab.sh");
        assert!(output.status.success(), "lab.sh {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // If it fails, the lab still ends with this process.
        let _ = self.command(["down"]).output();
    }
}

struct Turns {
    free: Mutex<u32>,
    given_back: Condvar,
}

impl Turns {
    fn take(&'static self) -> Turn {
        let free = self.free.lock().expect("no thread panics here");
        let mut free = self.given_back.wait_while(free, |free| *free == 0).expect("nor here");
        *free -= 1;
        Turn(self)
    }
}

struct Turn(&'static Turns);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.free.lock().expect("no thread panics here") += 1;
        self.0.given_back.notify_one();
    }
}

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/nfs/lab/lab.sh")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In a guest: the words of the job given to [`Lab::worker`]; `None` elsewhere.
pub(crate) fn job() -> Option<Vec<String>> {
    let job = env::var("LAB_JOB").ok()?;
    Some(job.split_whitespace().map(str::to_owned).collect())
}

/// In a guest: writes a line to [`Work::reports`], where it is safe at once, even if the guest is
/// killed next.
pub(crate) fn report(line: impl Display) {
    println!("\n{REPORT}{line}"); // the test harness leaves its own line unfinished
}

/// In a guest: its name.
pub(crate) fn vm() -> String {
    env::var("LAB_VM").expect("not in a guest")
}

/// In a guest: the NFS mount.
pub(crate) fn mount() -> PathBuf {
    PathBuf::from(env::var_os("LAB_MNT").expect("not in a guest"))
}

/// In a guest: the host's directory that all guests see without NFS.
pub(crate) fn shared() -> Shared {
    Shared::at(env::var_os("LAB_SHARED").expect("not in a guest").into())
}

/// In a guest: another worker, whose reports are added to this one's.
pub(crate) fn fellow(job: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this binary"));
    command.args(AS_WORKER).env("LAB_JOB", job);
    command
}
