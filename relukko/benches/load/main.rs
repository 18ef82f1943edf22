//! The server under load: how many locks are created and deleted in a second, and how long a lock
//! takes from one client to the next that waits for it, with 1, 64 and 1,000 clients, beside the
//! floor, an axum route that does nothing, and beside etcd, if that is installed; what 100,000 locks and
//! 10,000 WebSockets cost.
//!
//! `cargo bench -p linklock-relukko --bench load` takes some minutes; `cargo test` runs it with
//! less of everything, in seconds. Either way it checks the answers: any other than expected, two
//! holders at once or a lock that is left over end it with a panic.
//!
//! Clients and servers share the machine. The servers are processes of their own, listen on loopback
//! only, and end when this one does.
#![cfg(target_os = "linux")] // /proc and /dev/shm
#![expect(clippy::cast_precision_loss)] // counts far below 2^53

mod child;
mod crowd;
mod etcd;
mod hand_over;
mod pairs;
mod wire;

use std::path::Path;
use std::time::Duration;

use child::Process;
use etcd::Etcd;
use pairs::Figures;

/// How much of everything.
struct Scale {
    clients: &'static [usize],
    clients_beside_etcd: &'static [usize],
    rounds: usize,
    round: Duration,
    hand_overs: usize,
    locks: usize,
    websockets: usize,
}

const FULL: Scale = Scale {
    clients: &[1, 64, 1000],
    clients_beside_etcd: &[1, 16, 64],
    rounds: 3,
    round: Duration::from_secs(3),
    hand_overs: 30,
    locks: 100_000,
    websockets: 10_000,
};

const QUICK: Scale = Scale {
    clients: &[1, 8],
    clients_beside_etcd: &[1, 8],
    rounds: 1,
    round: Duration::from_millis(200),
    hand_overs: 5,
    locks: 300,
    websockets: 100,
};

fn main() {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == child::FLAG) {
        return child::serve(Path::new(&args[1]));
    }
    if args.iter().any(|arg| arg == "--list") {
        return; // a test runner asks for a list, and there are no tests by name
    }
    let scale = if args.iter().any(|arg| arg == "--bench") { FULL } else { QUICK };
    let [disk, memory] = [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/dev/shm")]
        .map(|parent| tempfile::tempdir_in(parent).expect("a directory for locks"));
    let bare = Process::bare();
    let servers = [Process::relukko(disk.path()), Process::relukko(memory.path())];

    println!("create + delete, each client its own lock");
    for &clients in scale.clients {
        let mut figures: [Figures; 3] = Default::default();
        for _ in 0..scale.rounds {
            let turns = [&bare, &servers[0], &servers[1]];
            for (server, figures) in turns.into_iter().zip(&mut figures) {
                figures.add(pairs::measure(server.address, clients, scale.round, pairs::pair));
            }
        }
        for server in &servers {
            pairs::assert_nothing_is_left(server.address);
        }
        let [floor, disk, memory] = figures.map(|figures| figures.sum_up(clients));
        println!("  {clients} clients");
        println!("    floor            {floor}");
        println!("    locks on disk    {disk}, {}", disk.beside(&floor));
        println!("    locks in memory  {memory}, {}", memory.beside(&floor));
    }

    match Etcd::start(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Some(etcd) => beside_etcd(&servers[0], &etcd, &scale),
        None => println!("create + delete beside etcd: it is not installed"),
    }

    println!("hand-over, from before the delete until the waiter's acquire returns");
    let request = pairs::one_request(bare.address);
    println!("  floor: one request to the bare route, p50 {request:.2?}");
    for &waiters in scale.clients {
        let [disk, memory] = [0, 1].map(|server: usize| {
            hand_over::measure(servers[server].address, waiters, scale.hand_overs)
        });
        for (place, times) in [("disk", disk), ("memory", memory)] {
            let (p50, longest) = (times[times.len() / 2], times[times.len() - 1]);
            let ratio = p50.as_secs_f64() / request.as_secs_f64();
            println!(
                "  {waiters} waiting, locks {place:7} p50 {p50:.2?} ({ratio:.0} x), longest {longest:.2?} of {}",
                times.len()
            );
        }
    }
    for server in &servers {
        pairs::assert_nothing_is_left(server.address);
    }

    crowd::of_websockets(scale.websockets);
    crowd::of_locks(scale.locks);
}

/// In turns, since they share a machine that may have other work.
fn beside_etcd(server: &Process, etcd: &Etcd, scale: &Scale) {
    println!("create + delete on one disk, each client its own lock, beside etcd");
    for &clients in scale.clients_beside_etcd {
        let mut figures: [Figures; 3] = Default::default();
        for _ in 0..scale.rounds {
            let [v1, v2, peer] = &mut figures;
            v1.add(pairs::measure(server.address, clients, scale.round, pairs::pair));
            v2.add(pairs::measure(server.address, clients, scale.round, pairs::pair_with_token));
            peer.add(pairs::measure(etcd.address, clients, scale.round, etcd::pair));
        }
        let [v1, v2, peer] = figures.map(|figures| figures.sum_up(clients));
        println!("  {clients} clients");
        println!("    /v1/   {v1}, {}", v1.times(&peer));
        println!("    /v2/   {v2}, {}", v2.times(&peer));
        println!("    etcd   {peer}");
    }
}
