//! Two servers on a volume of GlusterFS that has three replicas, one on each of two mounts, while the
//! bricks are killed in turn, frozen, and killed until there is no quorum.
//!
//!     LINKLOCK_FILESYSTEMS=1 cargo test -p linklock-cli --features relukko --test serve replicated

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::kit::crowd::{Crowd, KEY, LIFETIME};
use crate::common::kit::elsewhere::{arrived, go, unshare};
use crate::common::kit::say::say;
use crate::common::kit::this_test;
use crate::common::{LIMIT, until};
use crate::server::{command, free_address};

/// How long a request may wait for the directory.
const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(10);
/// The file in which the test says what came of it.
const REPORT: &str = "report";
/// How much longer an answer may take on a busy machine.
const TOLERANCE: Duration = Duration::from_secs(20);

#[test]
fn two_servers_on_three_replicas() {
    let Some(dir) = arrived() else { return go_and_mount(this_test!()) };
    let mut servers = [Server::on(&dir.join("a")), Server::on(&dir.join("b"))];
    let crowd = Crowd::new(servers.iter().map(|server| server.address).collect());
    let volume = Volume { dir };
    crowd.contend(|| {
        crowd.await_tenures(10);
        for brick in 1..=3 {
            volume.kill(brick);
            crowd.await_tenures(10);
            volume.start();
            crowd.await_tenures(10);
            crowd.while_resting(|| volume.await_heal());
        }
        for brick in [1, 2] {
            volume.kill(brick);
        }
        let lost = crowd.now();
        crowd.await_answers(503, 10, lost);
        let regained = crowd.now();
        volume.start();
        crowd.assert_refused(&(lost..regained), 2 * DIRECTORY_TIMEOUT + TOLERANCE);
        crowd.await_answers(201, 5, regained);
        crowd.await_tenures(10);
        crowd.while_resting(|| volume.await_heal());
        for server in &mut servers {
            server.assert_runs();
        }
    });
    let outcome = format!("two servers on GlusterFS: {}", crowd.outcome());
    fs::write(volume.dir.join(REPORT), outcome).unwrap();
}

/// Makes the volume, mounts it twice, and goes on in a process that sees it.
fn go_and_mount(test: &str) {
    if env::var("LINKLOCK_FILESYSTEMS").as_deref() != Ok("1") {
        return say(&format!("skipped: {test}: LINKLOCK_FILESYSTEMS=1 is not set"));
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let prefix = unshare();
    let mut unshare = Command::new(prefix[0]);
    unshare.args(&prefix[1..]);
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]);
    unshare.args(["--propagation", "private", "sh", "-c"]);
    // The shell stays: as the first process of the namespace it waits for the bricks that are killed.
    unshare.arg(
        "cd \"$LINKLOCK_TEST_ELSEWHERE\" && { . \"$SCRIPT\"; } >set-up 2>&1 \
         || { echo 'it cannot be mounted:' >&2; tail -n 5 set-up >&2; exit 77; }; \"$0\" \"$@\"; exit $?",
    );
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    unshare.env("SCRIPT", here.join("tests/serve/replicated.sh"));
    unshare.env("FILESYSTEMS", here.join("../tests/filesystems"));
    unshare.arg(env::current_exe().unwrap());
    go(test, &mut unshare, dir.path());
    if let Ok(report) = fs::read_to_string(dir.path().join(REPORT)) {
        say(&report);
    }
}

/// The volume, as glusterd.sh has made it.
struct Volume {
    dir: PathBuf,
}

impl Volume {
    fn kill(&self, brick: usize) {
        self.sh(&format!("kill -9 $(cat /run/gluster/vols/locks/*-below-{brick}.pid)"));
    }

    /// Starts the bricks that do not run.
    fn start(&self) {
        self.sh("gluster --mode=script volume start locks force");
    }

    /// Returns once all bricks run and are the same. A directory in which files are made and removed all the
    /// time may never be found so.
    fn await_heal(&self) {
        let begun = Instant::now();
        loop {
            // By itself it looks every ten minutes for what has to be healed.
            self.sh("gluster volume heal locks >/dev/null 2>&1 || true");
            let told = self.sh("gluster volume heal locks info");
            let to_heal = told.lines().filter(|line| line.starts_with("Number of entries: "));
            if to_heal.clone().count() == 3 && to_heal.clone().all(|line| line.ends_with(": 0")) {
                return;
            }
            assert!(begun.elapsed() < 3 * LIMIT, "not healed: {told}");
            sleep(Duration::from_secs(2));
        }
    }

    fn sh(&self, script: &str) -> String {
        let output =
            Command::new("sh").args(["-c", script]).current_dir(&self.dir).output().unwrap();
        let [told, complaint] =
            [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(output.status.success(), "{script}: {told}{complaint}");
        told
    }
}

struct Server {
    address: SocketAddr,
    child: std::process::Child,
}

impl Server {
    fn on(dir: &Path) -> Server {
        let address = free_address();
        let lifetime = format!("{}s", LIFETIME.as_secs());
        let limit = format!("{}s", DIRECTORY_TIMEOUT.as_secs());
        let mut serve = command(dir, address);
        serve.env("RELUKKO_API_KEY", KEY).args(["--lifetime", &lifetime, "--grace", "2s"]);
        serve.args(["--directory-timeout", &limit]);
        let log = fs::File::create(dir.with_extension("log")).unwrap();
        let child = serve.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        until("the server answers", || std::net::TcpStream::connect(address).is_ok());
        Server { address, child }
    }

    fn assert_runs(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "a server has ended");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
