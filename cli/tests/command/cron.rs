//! Debian's own cron daemon runs a job every minute that takes longer than a minute.
//!
//! The daemon sees tables of the test's own, in a mount namespace of its own: nothing of this
//! machine's is touched. Most of the time the test waits for the next minute, so CI runs it in
//! parallel with other tests:
//!
//!   cargo test -p linklock-cli --test command cron:: -- --ignored

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Place, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Two minutes and the rest of the first, on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A cron daemon with one table, and all processes that it has started.
struct Cron(Child);

impl Cron {
    /// `None` where cron can't run.
    fn start(place: &Place, table: &str) -> Option<Cron> {
        let missing = if fs::metadata("/proc/self").unwrap().uid() != 0 {
            Some("root, for cron's mount namespace")
        } else if !Path::new("/usr/sbin/cron").exists() {
            Some("Debian's cron")
        } else {
            None
        };
        if let Some(missing) = missing {
            skip("cron", &format!("there is no {missing}"));
            return None;
        }
        let tables = place.dir().join("cron.d");
        fs::create_dir(&tables).unwrap();
        fs::write(tables.join("jobs"), table).unwrap();
        fs::set_permissions(tables.join("jobs"), fs::Permissions::from_mode(0o644)).unwrap();
        let script = format!(
            "mount --bind {} /etc/cron.d && mount --bind /dev/null /etc/crontab \
             && mount -t tmpfs none /var/spool/cron && mount -t tmpfs none /run && exec cron -f",
            tables.display()
        );
        // All its processes end with the first process of the namespace.
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
        let child = unshare.arg(script).stdin(Stdio::null()).spawn().unwrap();
        Some(Cron(child))
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().try_into().unwrap()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// A script that cron can run.
fn script(place: &Place, name: &str, text: &str) -> String {
    let path = place.dir().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lines(place: &Place, name: &str) -> Vec<String> {
    let text = fs::read_to_string(place.dir().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// As on two hosts: two jobs at each full minute. One runs, for longer than a minute; the others
/// end at once and silently, until its lock is released.
#[test]
#[ignore = "waits for two full minutes: cargo test -p linklock-cli --test command cron:: -- --ignored"]
fn a_job_that_takes_longer_than_its_interval_never_overlaps() {
    let place = Place::new();
    let dir = place.dir().display();
    let job = script(
        &place,
        "job",
        &format!(
            "echo start >>{dir}/jobs; mkdir {dir}/running || echo overlap >>{dir}/jobs\n\
             sleep 65; rmdir {dir}/running; echo end >>{dir}/jobs\n"
        ),
    );
    let attempt = script(
        &place,
        "attempt",
        &format!(
            "{} run -nq -E 0 {} -- {job} >>{dir}/output 2>&1; echo $? >>{dir}/attempts\n",
            env!("CARGO_BIN_EXE_linklock"),
            place.lock.display()
        ),
    );
    let line = format!("* * * * * root {attempt}\n");
    let Some(mut cron) = Cron::start(&place, &line.repeat(2)) else { return };

    let begun = Instant::now();
    let starts = || lines(&place, "jobs").iter().filter(|line| *line == "start").count();
    while starts() < 2 {
        assert!(begun.elapsed() < LIMIT && cron.is_running(), "{:?}", lines(&place, "jobs"));
        std::thread::sleep(Duration::from_millis(100));
    }
    // The second job has started in the third minute, and none in the second.
    assert_eq!(lines(&place, "jobs"), ["start", "end", "start"]);
    let attempts = lines(&place, "attempts");
    assert!(attempts.len() >= 4, "{attempts:?}");
    assert!(attempts.iter().all(|code| code == "0"), "{attempts:?}");
    assert_eq!(lines(&place, "output"), Vec::<String>::new(), "cron would send mail");
    assert!(place.lock.exists());
}
