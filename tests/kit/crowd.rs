//! Clients of lock servers that share one directory, and the history of what the servers answered them.
//!
//! All clients are threads of one process, whose monotonic clock tells when each could rely on its lock.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::exclusion::overlaps;

/// The key that the servers accept.
pub(crate) const KEY: &str = "the-key-of-the-crowd";
/// How long the crowd's locks last. The servers have to give Relukko's locks the same.
pub(crate) const LIFETIME: Duration = Duration::from_secs(20);
/// How much of that a client does not use, because its clock and the file server's differ.
const LEEWAY: Duration = Duration::from_secs(1);
/// Of a lock that is kept until the end.
const KEPT: Duration = Duration::from_secs(7200);

const CLIENTS: usize = 8;
/// So many names do they contend for.
const NAMES: usize = 3;
/// Each of its turns that is divisible by this leaves a client with a lock that it keeps.
const KEEPS: usize = 4;

/// So often does each server look at what another has just done.
const LOOKS: usize = 10;

/// How long to wait for an answer, which does not come from a machine that is frozen or dead.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long to wait for what has to happen.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Crowd {
    /// Any one serves any request.
    servers: Vec<SocketAddr>,
    /// Until when clients ask others, since it did not answer.
    silent: Mutex<Vec<Duration>>,
    begun: Instant,
    over: AtomicBool,
    /// Each client has it for a turn, and who wants them to rest has it alone.
    turns: RwLock<()>,
    tenures: Mutex<Vec<Tenure>>,
    kept: Mutex<Vec<Lock>>,
    answers: Mutex<Vec<Answer>>,
    /// What is wrong whatever else has happened.
    faults: Mutex<Vec<String>>,
}

/// A time at which a client could rely on its lock. Times are those since the crowd began.
#[derive(Clone, Debug)]
struct Tenure {
    client: usize,
    lock: Lock,
    held: Range<Duration>,
}

/// A lock as a server has answered it.
#[derive(Clone, Debug, PartialEq)]
struct Lock {
    name: String,
    id: String,
    /// Of a lock of `/v2/`.
    token: Option<u64>,
}

/// An answer, or a connection without one: status 0.
#[derive(Clone, Debug)]
struct Answer {
    client: usize,
    server: usize,
    request: String,
    sent: Duration,
    received: Duration,
    status: u16,
    text: String,
}

impl Answer {
    /// Whether the request has surely had its effect.
    fn is_success(&self) -> bool {
        (200..=201).contains(&self.status)
    }

    fn is_refused(&self) -> bool {
        self.status == 503
    }

    /// Whether the request may still have an effect.
    fn is_unknown(&self) -> bool {
        self.status == 0 || self.is_refused()
    }

    fn took(&self) -> Duration {
        self.received.saturating_sub(self.sent)
    }

    fn changes(&self) -> bool {
        !self.request.starts_with("GET")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { client, server, request, sent, received, status, text } = self;
        write!(f, "{sent:.3?} to {received:.3?}: {client} at {server}: {request}: {status} {text}")
    }
}

/// What came of a crowd in which nothing was wrong.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    tenures: usize,
    kept: usize,
    answers: BTreeMap<u16, usize>,
    slowest: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { tenures, kept, answers, slowest } = self;
        write!(
            f,
            "{tenures} tenures and {kept} locks kept; answers by status: {answers:?}; the slowest took {slowest:.1?}"
        )
    }
}

impl Crowd {
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Crowd {
        Crowd {
            silent: Mutex::new(vec![Duration::ZERO; servers.len()]),
            servers,
            begun: Instant::now(),
            over: AtomicBool::new(false),
            turns: RwLock::default(),
            tenures: Mutex::default(),
            kept: Mutex::default(),
            answers: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Has all clients contend while something is done to the servers, which ends the contention.
    pub(crate) fn contend(&self, meanwhile: impl FnOnce()) {
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed); // if it panics, too
            }
        }
        scope(|scope| {
            for client in 0..CLIENTS {
                scope.spawn(move || Client::new(self, client).contend());
            }
            let _over = Over(&self.over);
            meanwhile();
        });
    }

    /// Does something while no client asks for anything. The servers sweep meanwhile.
    pub(crate) fn while_resting(&self, meanwhile: impl FnOnce()) {
        let _resting = self.turns.write().expect("no client has panicked");
        meanwhile();
    }

    /// Asserts that each server sees at once what another does: no machine goes by what it remembers.
    pub(crate) fn assert_changes_are_seen(&self) {
        let servers = 0..self.servers.len();
        for server in servers.clone() {
            self.await_start(server);
        }
        let pairs = servers.clone().flat_map(|one| servers.clone().map(move |other| (one, other)));
        for (one, other) in pairs.filter(|(one, other)| one != other) {
            for _ in 0..LOOKS {
                self.assert_are_seen(one, other, &format!("seen-{one}-{other}"));
            }
        }
    }

    /// The same of a lock that one server releases, and the other acquires and releases.
    fn assert_are_seen(&self, one: usize, other: usize, name: &str) {
        const SECRET: &str = "the secret of who looks";
        let body = format!(r#"{{"name": "{name}", "lifetime": {}}}"#, LIFETIME.as_secs());
        let ask = |server, method: &str, path: &str, body: &str, status| {
            let answer = self.ask(CLIENTS, server, SECRET, method, path, body);
            assert_eq!(answer.status, status, "{answer}");
            answer.text
        };
        let create = |server| {
            let created = ask(server, "POST", "/v2/locks", &body, 201); // 200: one that was released
            format!("/v2/locks/{}", Lock::of(&created).expect("a lock").id)
        };
        ask(one, "DELETE", &create(one), "", 200);
        let lock = create(other);
        ask(one, "GET", &lock, "", 200);
        let renewed = ask(one, "PUT", &lock, "{}", 200);
        assert_eq!(ask(other, "GET", &lock, "", 200), renewed);
        ask(other, "DELETE", &lock, "", 200);
        ask(one, "GET", &lock, "", 404);
    }

    /// Returns once a server answers.
    fn await_start(&self, server: usize) {
        let is_up = || self.ask(CLIENTS, server, "", "GET", "/v2/locks/none", "").status != 0;
        self.wait_until("a server's start", is_up);
    }

    /// The time since the crowd began.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Returns once there were so many more tenures, on locks of either version.
    pub(crate) fn await_tenures(&self, more: usize) {
        let count = |is_v2| {
            let tenures = self.tenures.lock().unwrap();
            tenures.iter().filter(|tenure| tenure.lock.token.is_some() == is_v2).count()
        };
        let enough = [true, false].map(|is_v2| count(is_v2) + more);
        self.wait_until("tenures", || count(true) >= enough[0] && count(false) >= enough[1]);
    }

    /// Returns once each server has answered so many requests that were sent since, with this status.
    pub(crate) fn await_answers(&self, status: u16, many: usize, since: Duration) {
        self.wait_until(&format!("answers {status}"), || {
            let answers = self.answers.lock().unwrap();
            let is_counted = |answer: &&Answer| answer.status == status && answer.sent > since;
            let count = |server| {
                answers
                    .iter()
                    .rev()
                    .filter(is_counted)
                    .filter(|answer| answer.server == server)
                    .count()
            };
            (0..self.servers.len()).all(|server| count(server) >= many)
        });
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            if begun.elapsed() > LIMIT {
                let answers = self.answers.lock().unwrap();
                let last: Vec<_> = answers.iter().rev().take(40).map(ToString::to_string).collect();
                panic!("not in {LIMIT:?}: {what}; the last answers, latest first: {last:#?}");
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that no request that was sent and answered in this time has changed anything, and that each
    /// was answered within the limit.
    pub(crate) fn assert_refused(&self, time: &Range<Duration>, limit: Duration) {
        let answers = self.answers.lock().unwrap();
        let within =
            answers.iter().filter(|it| time.contains(&it.sent) && time.contains(&it.received));
        for answer in within {
            assert!(!(answer.changes() && answer.is_success()), "without a quorum: {answer}");
            assert!(answer.took() < limit, "longer than {limit:?}: {answer}");
        }
    }

    /// What came of it. Each lock that is kept has to be found through each server.
    ///
    /// # Panics
    ///
    /// If there were two holders of one lock, or anything else was wrong.
    pub(crate) fn outcome(&self) -> Outcome {
        let kept = self.kept.lock().unwrap();
        for lock in &*kept {
            for server in 0..self.servers.len() {
                self.check_kept(server, lock);
            }
        }
        let tenures = self.tenures.lock().unwrap().clone();
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for tenure in &tenures {
            names.entry(&tenure.lock.name).or_default().push(tenure);
        }
        for (name, tenures) in &mut names {
            for (one, other) in overlaps(tenures, |tenure| tenure.held.clone()) {
                self.fault(name, &format!("two holders: {one:?} and {other:?}"));
            }
            tenures.sort_by_key(|tenure| tenure.held.start);
            let numbered: Vec<_> =
                tenures.iter().filter(|tenure| tenure.lock.token.is_some()).collect();
            for pair in numbered.windows(2) {
                if pair[0].lock.token >= pair[1].lock.token {
                    self.fault(
                        name,
                        &format!("tokens that do not grow: {:?} and {:?}", pair[0], pair[1]),
                    );
                }
            }
        }
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
        let answers = self.answers.lock().unwrap();
        let mut outcome =
            Outcome { tenures: tenures.len(), kept: kept.len(), ..Outcome::default() };
        for answer in &*answers {
            *outcome.answers.entry(answer.status).or_default() += 1;
            outcome.slowest = outcome.slowest.max(answer.took());
        }
        outcome
    }

    fn check_kept(&self, server: usize, lock: &Lock) {
        let path = format!("/v2/locks/{}", lock.id);
        let begun = Instant::now();
        loop {
            let answer = self.ask(CLIENTS, server, "", "GET", &path, "");
            match answer.status {
                200 if Lock::of(&answer.text).as_ref() == Some(lock) => return,
                0 | 503 if begun.elapsed() < LIMIT => sleep(Duration::from_millis(100)),
                _ => {
                    return self.fault(
                        &lock.name,
                        &format!("{lock:?} was kept, and is not found: {answer}"),
                    );
                }
            }
        }
    }

    /// Notes what is wrong, with what was answered about that name.
    fn fault(&self, name: &str, what: &str) {
        let answers = self.answers.lock().unwrap();
        let tenures = self.tenures.lock().unwrap();
        let ids: Vec<_> =
            tenures.iter().filter(|it| it.lock.name == name).map(|it| it.lock.id.clone()).collect();
        let is_about = |answer: &&Answer| {
            let mentions =
                |text: &str| text.contains(name) || ids.iter().any(|id| text.contains(id));
            answer.status != 409 && (mentions(&answer.request) || mentions(&answer.text))
        };
        let about: Vec<_> =
            answers.iter().rev().filter(is_about).take(60).map(ToString::to_string).collect();
        let text = format!(
            "{what}\nat {:.3?}; of {name}, latest first:\n{}",
            self.now(),
            about.join("\n")
        );
        self.faults.lock().unwrap().push(text);
    }

    fn ask(
        &self,
        client: usize,
        server: usize,
        secret: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let sent = self.now();
        let answered = exchange(self.servers[server], secret, method, path, body);
        let (status, text) = answered.unwrap_or_else(|error| (0, error.to_string()));
        let request = format!("{method} {path} {body}");
        let answer = Answer { client, server, request, sent, received: self.now(), status, text };
        self.answers.lock().unwrap().push(answer.clone());
        if !matches!(answer.status, 0 | 200 | 201 | 404 | 409 | 503) {
            self.faults.lock().unwrap().push(format!("an answer that should not be: {answer}"));
        }
        answer
    }
}

/// One request on a connection of its own.
fn exchange(
    server: SocketAddr,
    secret: &str,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE / 10)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nX-api-Key: {KEY}\r\nX-Lock-Secret: {secret}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, text) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, text.to_owned()))
}

impl Lock {
    /// What is needed of an answer, without a parser of JSON.
    fn of(text: &str) -> Option<Lock> {
        let field = |name: &str| {
            let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
            Some(rest.split([',', '}']).next()?.trim_matches('"').to_owned())
        };
        let name = field("name").or_else(|| field("lock_name"))?;
        Some(Lock {
            name,
            id: field("id")?,
            token: field("token").and_then(|token| token.parse().ok()),
        })
    }
}

/// For how long a client uses a lock that lasts for so long.
fn relied_on(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(LEEWAY)
}

/// A client, which speaks one version of the interface.
struct Client<'a> {
    crowd: &'a Crowd,
    number: usize,
    is_v2: bool,
    /// Of its requests so far.
    requests: AtomicUsize,
}

impl Client<'_> {
    fn new(crowd: &Crowd, number: usize) -> Client<'_> {
        Client { crowd, number, is_v2: number % 2 == 0, requests: AtomicUsize::new(number / 2) }
    }

    fn contend(&self) {
        for turn in 1.. {
            if self.crowd.over.load(Ordering::Relaxed) {
                return;
            }
            let _turn = self.crowd.turns.read();
            let (number, secret) =
                (self.number, format!("the secret of {} in turn {turn}", self.number));
            let name = format!("contended-{}", (number + turn) % NAMES);
            match self.create(&name, &secret, LIFETIME) {
                Some((lock, ends)) => self.hold(&lock, &secret, ends),
                None => sleep(Duration::from_millis(40)),
            }
            if turn % KEEPS == 0 {
                self.keep(&format!("kept-{number}-{turn}"), &secret);
            }
        }
    }

    /// Leaves a lock that has to be found at the end.
    fn keep(&self, name: &str, secret: &str) {
        let Some((lock, _)) = self.create(name, secret, KEPT) else { return };
        let is_kept = self.is_v2 || {
            let body = format!(r#"{{"seconds": {}}}"#, KEPT.as_secs());
            self.ask(secret, "PUT", &format!("/v1/locks/{}/keep_alive", lock.id), &body).status
                == 200
        };
        if is_kept {
            self.crowd.kept.lock().unwrap().push(lock);
        }
    }

    /// A lock that was answered, and until when it can be relied on.
    fn create(&self, name: &str, secret: &str, lifetime: Duration) -> Option<(Lock, Duration)> {
        let (path, body) = if self.is_v2 {
            ("/v2/locks", format!(r#"{{"name": "{name}", "lifetime": {}}}"#, lifetime.as_secs()))
        } else {
            ("/v1/locks", format!(r#"{{"lock_name": "{name}", "creator": "{}"}}"#, self.number))
        };
        let begun = self.crowd.now();
        let mut answer = self.ask(secret, "POST", path, &body);
        if self.is_v2 && answer.is_unknown() {
            answer = self.ask(secret, "POST", path, &body); // the same lock, by the same secret
        }
        if !answer.is_success() {
            return None;
        }
        let lock = Lock::of(&answer.text);
        if lock.as_ref().is_none_or(|lock| lock.token.is_some() != self.is_v2) {
            self.crowd.fault(name, &format!("not a lock: {answer}"));
        }
        Some((lock?, begun + relied_on(lifetime)))
    }

    /// Looks at its lock, renews it, and releases it, through any server.
    fn hold(&self, lock: &Lock, secret: &str, mut ends: Duration) {
        let from = self.crowd.now();
        let path = format!("/v{}/locks/{}", if self.is_v2 { 2 } else { 1 }, lock.id);
        let look = self.ask(secret, "GET", &path, "");
        self.assert_there(lock, &look, ends);
        sleep(Duration::from_millis(5));
        let seconds = format!(r#"{{"seconds": {}}}"#, LIFETIME.as_secs());
        let renewed = if self.is_v2 {
            self.ask(secret, "PUT", &path, "{}")
        } else {
            self.ask(secret, "PUT", &format!("{path}/keep_alive"), &seconds)
        };
        self.assert_there(lock, &renewed, ends);
        if renewed.is_success() {
            ends = renewed.sent + relied_on(LIFETIME);
        }
        let until = self.crowd.now().min(ends);
        let tenure = Tenure { client: self.number, lock: lock.clone(), held: from..until };
        self.crowd.tenures.lock().unwrap().push(tenure);
        let mut released = self.ask(secret, "DELETE", &path, "");
        self.assert_there(lock, &released, ends);
        while released.is_unknown() && self.crowd.now() < ends {
            sleep(Duration::from_millis(100));
            released = self.ask(secret, "DELETE", &path, "");
        }
    }

    /// A lock that nobody has released is there while its lease runs.
    fn assert_there(&self, lock: &Lock, answer: &Answer, ends: Duration) {
        if !(answer.is_success() || answer.is_unknown()) && answer.received < ends {
            self.crowd.fault(
                &lock.name,
                &format!("{lock:?} is held until {ends:.3?}, and is lost: {answer}"),
            );
        }
    }

    fn ask(&self, secret: &str, method: &str, path: &str, body: &str) -> Answer {
        let server = self.next_server();
        let answer = self.crowd.ask(self.number, server, secret, method, path, body);
        if answer.status == 0 {
            self.crowd.silent.lock().unwrap()[server] = answer.received + PATIENCE;
        }
        answer
    }

    /// Another server than the last time, if it answers.
    fn next_server(&self) -> usize {
        let silent = self.crowd.silent.lock().unwrap();
        let turns = || self.requests.fetch_add(1, Ordering::Relaxed) % silent.len();
        let next = (0..silent.len()).map(|_| turns()).find(|next| silent[*next] < self.crowd.now());
        next.unwrap_or_else(turns)
    }
}
