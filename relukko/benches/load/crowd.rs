//! The cost of many WebSockets and many locks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::Process;
use crate::pairs::{create, pair};
use crate::wire::Connection;

/// File descriptors for everything but WebSockets.
const SPARE: usize = 500;
/// How many clients create at once.
const CREATORS: usize = 64;
/// The time limit for creating.
const LONGEST: Duration = Duration::from_secs(300);

pub(crate) fn of_websockets(wanted: usize) {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory for locks");
    let server = Process::relukko(dir.path());
    pair(&mut Connection::open(server.address), "first");
    let count = wanted.min(open_files().saturating_sub(SPARE));
    if count < wanted {
        println!("RLIMIT_NOFILE lets no more than {count} WebSockets be open");
    }
    let before = server.memory();
    let mut sockets: Vec<_> =
        (0..count).map(|_| Connection::open(server.address).upgrade()).collect();
    let grown = server.memory() - before;
    println!("{count} WebSockets");
    println!("  memory     {before:.0} MiB + {grown:.0}: {:.1} KiB each", per(grown, count));
    let begun = Instant::now();
    pair(&mut Connection::open(server.address), "announced");
    for socket in &mut sockets {
        let text = socket.text();
        assert!(text.contains("announced"), "{text}");
    }
    println!("  all hear of a deletion within {:.2?}", begun.elapsed());
}

pub(crate) fn of_locks(count: usize) {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory for locks");
    let server = Process::relukko(dir.path());
    pair(&mut Connection::open(server.address), "first");
    let before = server.memory();
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..CREATORS {
            scope.spawn(|| {
                let mut connection = Connection::open(server.address);
                while begun.elapsed() < LONGEST {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    create(&mut connection, &format!("lock-{number}"));
                }
            });
        }
    });
    let created = next.load(Ordering::Relaxed).min(count);
    let (took, grown) = (begun.elapsed(), server.memory() - before);
    println!("{created} locks, in memory, created within {took:.1?}");
    println!("  memory     {before:.0} MiB + {grown:.0}: {:.1} KiB each", per(grown, created));

    let mut connection = Connection::open(server.address); // the first connection was idle for too long
    let id = create(&mut connection, "last");
    let mut time = |what: &str, method: &str, path: &str, expected: u16| {
        let asked = Instant::now();
        let (status, answer) = connection.ask(method, path, "");
        println!("  {what:24} {:.2?}", asked.elapsed());
        assert_eq!(status, expected, "{what}");
        answer
    };
    let list = time("the list", "GET", "/v1/locks", 200);
    assert_eq!(list.matches("\"lock_name\"").count(), created + 1, "a lock was lost");
    time("a lock by its id", "GET", &format!("/v1/locks/{id}"), 200);
    time("keeping it alive", "GET", &format!("/v1/locks/{id}/keep_alive"), 200);
    let unknown = "00000000-0000-4000-8000-000000000000";
    time("an id that is unknown", "GET", &format!("/v1/locks/{unknown}"), 404);
    time("deleting it", "DELETE", &format!("/v1/locks/{id}"), 200);
    let is_swept = || server.figure("linklock_locks") >= created as f64;
    let begun = Instant::now();
    while !is_swept() {
        assert!(begun.elapsed() < LONGEST, "no sweep has come to an end");
        thread::sleep(Duration::from_millis(50));
    }
    let sweep = Duration::from_secs_f64(server.figure("linklock_last_sweep_seconds"));
    println!("  a sweep                  {sweep:.2?}");
    let mut connection = Connection::open(server.address);
    let mut pairs: Vec<_> = (0..200)
        .map(|_| {
            let asked = Instant::now();
            pair(&mut connection, "another");
            asked.elapsed()
        })
        .collect();
    pairs.sort_unstable();
    println!("  create + delete          p50 {:.2?}, longest {:.2?}", pairs[100], pairs[199]);
    println!("  memory after all that    {:.0} MiB", server.memory());
}

/// KiB, of MiB.
fn per(grown: f64, count: usize) -> f64 {
    grown * 1024.0 / count as f64
}

/// RLIMIT_NOFILE, which is the same for the server.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("proc(5)");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}
