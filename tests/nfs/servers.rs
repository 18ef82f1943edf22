//! Two lock servers on two clients serve the same directory, to a crowd on a third, while the file server
//! is killed, and the machine of one of them is frozen and killed.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{
    kit::{
        built,
        crowd::{Crowd, KEY, LIFETIME},
    },
    lab::{Lab, Options, report, shared},
    scene::{lab_for, say},
    shared::Shared,
};

const PORT: u16 = 3000;
/// The clients with a server, and the one without.
const SERVERS: [&str; 2] = ["c1", "c2"];
const CROWD: &str = "c3";

/// Each is a tenure of either version of the interface.
const SOME_TICKETS: usize = 5;

/// The file server serves nothing.
const GONE: &str = "gone";
/// Each lock server has refused a request for that.
const REFUSED: &str = "refused";
const ENOUGH: &str = "enough";

#[test]
fn two_servers_of_one_directory_v3() {
    two_servers("servers3", "3");
}

#[test]
fn two_servers_of_one_directory_v42() {
    two_servers("servers42", "4.2");
}

fn two_servers(name: &str, version: &str) {
    // No client may answer from memory that there is no such file, or which one it is.
    let options = Options { clients: 3, mount: "lookupcache=none", ..Options::default() };
    let Some(lab) = lab_for(name, version, &options) else { return };
    let linklock =
        built(&["-p", "linklock-cli", "--features", "relukko", "--bin", "linklock"], "linklock");
    for client in SERVERS {
        start_server(&lab, client, &linklock);
    }
    let outcome = thread::scope(|scope| {
        let crowd = scope.spawn(|| lab.worker(CROWD, "ask-servers 10.99.1.2 10.99.2.2").finished());
        let enough = Enough(&lab.shared);
        befall(&lab, &linklock);
        drop(enough);
        crowd.join().expect("the crowd")
    });
    say(&format!("two servers on NFSv{version}: {}", outcome.concat()));
}

/// What happens to the file server and to a lock server, until all goes on.
fn befall(lab: &Lab, linklock: &Path) {
    lab.shared.await_tickets(SOME_TICKETS);
    // Nothing is served, but the machine still passes on what its clients send each other.
    assert!(lab.exec("server", &["rpc.nfsd", "0"]).status.success());
    lab.shared.cue(GONE);
    lab.shared.await_cue(REFUSED);
    lab.restart("server");
    lab.shared.await_tickets(SOME_TICKETS);
    // Longer than a lease: what was asked of the frozen server is done too late.
    lab.freeze("c1");
    thread::sleep(LIFETIME + Duration::from_secs(5));
    lab.shared.await_tickets(SOME_TICKETS);
    lab.thaw("c1");
    lab.shared.await_tickets(SOME_TICKETS);
    lab.crash("c1");
    lab.shared.await_tickets(SOME_TICKETS);
    lab.start("c1");
    start_server(lab, "c1", linklock);
}

fn start_server(lab: &Lab, client: &str, linklock: &Path) {
    let script = format!(
        "RELUKKO_API_KEY={KEY} setsid '{}' serve --dir $LAB_MNT --bind 0.0.0.0:{PORT} --lifetime {}s \
         --grace 2s --directory-timeout 5s </dev/null >/dev/null 2>$LAB_SHARED/$LAB_VM.log &",
        linklock.display(),
        LIFETIME.as_secs()
    );
    assert!(lab.exec(client, &["sh", "-c", &script]).status.success());
}

/// Ends the crowd, also if the test fails.
struct Enough<'a>(&'a Shared);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.cue(ENOUGH);
    }
}

/// In a guest: asks these servers, and draws a ticket for each tenure, until the cue to stop. Then each
/// server has to answer.
pub(crate) fn ask(servers: &[&str]) {
    let address = |ip: &&str| SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), PORT);
    let crowd = Crowd::new(servers.iter().map(address).collect());
    let shared = shared();
    crowd.assert_changes_are_seen();
    crowd.contend(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                shared.await_cue(GONE);
                crowd.await_answers(503, 1, crowd.now());
                shared.cue(REFUSED);
            });
            while !shared.is_cued(ENOUGH) {
                crowd.await_tenures(1);
                shared.ticket();
            }
        });
        crowd.await_answers(200, 1, crowd.now());
    });
    report(crowd.outcome());
}
