//! A lock that passes from client to client, and how long each hand-over takes.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linklock_relukko::{Client, LockGuard};

use crate::child::figure;
use crate::wire::{Connection, KEY};

const NAME: &str = "from hand to hand";
/// How long all waiters may take until they listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the clients share.
struct Relay {
    server: SocketAddr,
    waiters: usize,
    wanted: usize,
    is_held: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    released: Option<Instant>,
    times: Vec<Duration>,
}

/// The times of so many hand-overs, each while so many clients wait and listen, sorted.
pub(crate) fn measure(server: SocketAddr, waiters: usize, wanted: usize) -> Vec<Duration> {
    let (is_held, state) = (AtomicBool::new(false), Mutex::default());
    let relay = Relay { server, waiters, wanted, is_held, state };
    thread::scope(|scope| {
        for _ in 0..=waiters {
            scope.spawn(|| relay.run());
        }
    });
    let mut times = relay.state.into_inner().expect("no panic").times;
    times.sort_unstable();
    times
}

impl Relay {
    fn run(&self) {
        let options = Client::options(format!("http://{}", self.server), KEY);
        // They learn only from the WebSocket.
        let client = options.polling(PATIENCE).request_timeout(PATIENCE).build();
        let client = client.expect("a client");
        loop {
            let go_on = || self.count() < self.wanted;
            let guard = match client.lock_while(NAME, None, go_on) {
                Ok(guard) => guard,
                Err(error) if error.is_contention() => return,
                Err(error) => panic!("{error}"),
            };
            let taken = self.take();
            if taken >= self.wanted {
                self.release(guard);
                return;
            }
            self.wait_for_waiters();
            self.release(guard);
            // So that a waiting client gets it.
            let begun = Instant::now();
            while self.count() == taken && begun.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The lock is held: counts the hand-overs before it is released.
    fn take(&self) -> usize {
        let now = Instant::now();
        assert!(!self.is_held.swap(true, Ordering::SeqCst), "two holders at once");
        let mut state = self.state.lock().expect("no panic");
        if let Some(released) = state.released.take() {
            if state.times.len() < self.wanted {
                state.times.push(now - released);
            }
        }
        state.times.len()
    }

    fn release(&self, guard: LockGuard) {
        self.is_held.store(false, Ordering::SeqCst);
        self.state.lock().expect("no panic").released = Some(Instant::now());
        guard.unlock().expect("a lock that was not lost");
    }

    fn count(&self) -> usize {
        self.state.lock().expect("no panic").times.len()
    }

    fn wait_for_waiters(&self) {
        let mut connection = Connection::open(self.server);
        let begun = Instant::now();
        loop {
            let listen = figure(&mut connection, "linklock_websockets");
            if listen >= self.waiters as f64 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no more than {listen} listen");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
