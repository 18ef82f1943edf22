//! The jobs of a worker in a guest. A job is a line of words; the lock among them is a [`Terms`].

use std::{
    fmt::Display,
    fs::{self, File, FileTimes},
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use linklock::{Error, Lock, LockGuard, Owner, RwLock};
use nix::{
    fcntl::AT_FDCWD,
    sys::{
        signal::{Signal, raise},
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};

use crate::{
    lab::{fellow, report, shared, vm},
    servers::ask,
    tenure::{Running, WITNESSED},
    terms::Terms,
};

const A_MOMENT: Duration = Duration::from_millis(10);

/// Longer than a client pauses before it repeats a request that the server has delayed.
const A_WHILE: Duration = Duration::from_secs(20);

/// After so many tenures a contender that is to die has one that it does not survive.
const LIVES: u32 = 8;

pub(crate) fn run<'a>(job: &[&'a str]) {
    let terms = |word: &'a str| Terms::try_from(word).expect("a lock's terms");
    let all = |words: &[&'a str]| words.iter().map(|word| terms(word)).collect::<Vec<_>>();
    let number = |word: &str| word.parse().expect("a number");
    match job {
        ["crowd", size, job @ ..] => crowd(number(size), &job.join(" ")),
        ["again", job @ ..] => again(&job.join(" ")),
        ["contend", lock] => contend(&terms(lock), &terms(lock).lock()),
        ["contend-kept", lock] => contend(&terms(lock), &terms(lock).lock_with_kept_claim()),
        ["contend-apart", lock] => contend(&terms(lock), &terms(lock).lock_apart()),
        ["contend-slots", lock] => contend_for_slots(&terms(lock)),
        ["contend-readers", lock] => read_and_write(&terms(lock)),
        ["contend-killed", lock] => contend_until_killed(&terms(lock)),
        ["hold", lock] => hold(&terms(lock)),
        ["take", lock] => take(&terms(lock)),
        ["keep", locks @ ..] => keep(&all(locks)),
        ["wait-each", locks @ ..] => wait_each(&all(locks)),
        ["release", locks @ ..] => release(&all(locks)),
        ["release-detached", locks @ ..] => release_detached(&all(locks)),
        ["take-over", locks @ ..] => take_over(&all(locks)),
        ["try", lock, seconds] => try_for(&terms(lock), Duration::from_secs(number(seconds))),
        ["die", lock] => die(&terms(lock)),
        ["stall", kept, idle] => stall(&terms(kept), &terms(idle)),
        ["cycle", lock] => cycle(&terms(lock)),
        [relayed @ ("relay" | "relay-slot" | "relay-shared"), lock, hold, rounds, first] => {
            let (terms, hold) = (terms(lock), Duration::from_millis(number(hold)));
            let mine = (number(first)..=number(rounds)).step_by(2);
            relay(&terms, hold, mine, acquire(&terms, relayed, *first == "1"));
        }
        ["wait", lock, waiters] => wait(&terms(lock), number(waiters)),
        ["rounds", lock, count] => rounds(&terms(lock).lock(), number(count)),
        ["rounds-kept", lock, count] => rounds(&terms(lock).lock_with_kept_claim(), number(count)),
        ["rounds-read", lock, count] => read_rounds(&terms(lock).rw_lock(), number(count)),
        ["rounds-write", lock, count] => write_rounds(&terms(lock).rw_lock(), number(count)),
        ["bare", lock, count] => bare(&terms(lock), number(count)).unwrap(),
        ["bare-kept", lock, count] => bare_kept(&terms(lock), number(count)).unwrap(),
        ["link", lock] => link(&terms(lock)),
        ["ask-servers", servers @ ..] => ask(servers),
        _ => panic!("unknown job {job:?}"),
    }
}

/// Many processes that do the same at the same time.
fn crowd(size: u64, job: &str) {
    let start = |_| fellow(job).spawn().expect("this binary");
    let fellows: Vec<_> = (0..size).map(start).collect();
    for mut fellow in fellows {
        assert!(fellow.wait().expect("a child").success(), "one of the crowd failed");
    }
}

/// A process that is replaced whenever it is killed.
fn again(job: &str) {
    loop {
        let status = fellow(job).status().expect("this binary");
        if status.signal() != Some(Signal::SIGKILL as i32) {
            return assert!(status.success(), "it failed: {status}");
        }
    }
}

/// Acquires and releases the lock, again and again, until the cue to stop.
fn contend(terms: &Terms, lock: &Lock) {
    while !is_enough(terms) {
        one_tenure(terms, lock.lock().unwrap());
    }
}

/// ... or until it is killed while it holds the lock.
fn contend_until_killed(terms: &Terms) {
    let lock = terms.lock();
    for _ in 0..LIVES {
        if is_enough(terms) {
            return;
        }
        one_tenure(terms, lock.lock().unwrap());
    }
    let guard = lock.lock().unwrap();
    report(Running::begin(&guard).end(&guard));
    be_killed(terms);
}

fn is_enough(terms: &Terms) -> bool {
    shared().is_cued(&terms.cue("enough"))
}

/// What the only holder of a lock does.
fn one_tenure(terms: &Terms, guard: LockGuard) {
    let tenure = Running::begin(&guard);
    if !shared().alone(terms.name, || thread::sleep(A_MOMENT)) {
        report(format!("{WITNESSED} {}", vm()));
    }
    let tenure = tenure.end(&guard);
    guard.unlock().unwrap();
    report(tenure);
    shared().cue(&terms.held_by(&vm()));
    thread::sleep(A_MOMENT);
}

/// Acquires and releases one of two slots, until the cue to stop. A witness shows for each slot that
/// nobody else has it.
fn contend_for_slots(terms: &Terms) {
    let slots = terms.slots(2);
    while !is_enough(terms) {
        let guard = slots.lock().unwrap();
        let slot = format!("{}-{}", terms.name, guard.slot());
        if !shared().alone(&slot, || thread::sleep(A_MOMENT)) {
            report(format!("{WITNESSED} {}", vm()));
        }
        guard.into_guard().unlock().unwrap();
        shared().ticket(); // by which others see that it goes on
        shared().cue(&terms.held_by(&vm()));
        thread::sleep(A_MOMENT);
    }
}

/// Reads twice for each time that it writes, until the cue to stop.
fn read_and_write(terms: &Terms) {
    let lock = terms.rw_lock();
    for turn in 0_u64.. {
        if is_enough(terms) {
            return;
        }
        if turn % 3 == 0 {
            one_tenure(terms, lock.write().unwrap().into_guard());
        } else {
            read_once(terms, &lock);
        }
    }
}

fn read_once(terms: &Terms, lock: &RwLock) {
    let guard = lock.read().unwrap();
    let tenure = Running::begin_to_read(&guard);
    let is_writer_there = || shared().is_witnessed(terms.name);
    let before = is_writer_there();
    thread::sleep(A_MOMENT);
    if before || is_writer_there() {
        report(format!("{WITNESSED} {}", vm()));
    }
    let tenure = tenure.end(&guard);
    guard.unlock().unwrap();
    report(tenure);
    thread::sleep(A_MOMENT);
}

fn read_rounds(lock: &RwLock, count: u64) {
    for _ in 0..count {
        lock.read().unwrap().unlock().unwrap();
    }
}

fn write_rounds(lock: &RwLock, count: u64) {
    for _ in 0..count {
        lock.write().unwrap().unlock().unwrap();
    }
}

/// How to acquire what is relayed: the lock, the only slot of a set, or the lock of which one process
/// is a reader and the other a writer.
fn acquire(terms: &Terms, relayed: &str, reads: bool) -> Box<dyn Fn() -> LockGuard> {
    let (lock, slots, shared) = (terms.lock(), terms.slots(1), terms.rw_lock());
    match relayed {
        "relay-slot" => Box::new(move || slots.lock().unwrap().into_guard()),
        "relay-shared" if reads => Box::new(move || shared.read().unwrap().into_guard()),
        "relay-shared" => Box::new(move || shared.write().unwrap().into_guard()),
        _ => Box::new(move || lock.lock().unwrap()),
    }
}

/// Holds the lock in turns with another process, which begins to wait for it as soon as it is held.
fn relay(
    terms: &Terms,
    hold: Duration,
    mine: impl Iterator<Item = u64>,
    acquire: impl Fn() -> LockGuard,
) {
    let turn = |number| terms.cue(&format!("turn-{number}"));
    shared().cue(&turn(0));
    for number in mine {
        shared().await_cue(&turn(number - 1));
        let guard = acquire();
        let tenure = Running::begin(&guard);
        shared().cue(&turn(number));
        thread::sleep(hold);
        let tenure = tenure.end(&guard);
        guard.unlock().unwrap();
        report(tenure);
    }
}

/// Waits for the lock in many threads, in vain, and leaves their claims behind at the cue to stop.
fn wait(terms: &Terms, waiters: u64) {
    let wait = |lock: Lock| {
        thread::spawn(move || {
            shared().ticket();
            lock.lock().map(drop)
        })
    };
    let waiters: Vec<_> = (0..waiters).map(|_| wait(terms.lock())).collect();
    shared().await_cue(&terms.cue("enough"));
    assert!(!waiters.iter().any(JoinHandle::is_finished), "a waiter has stopped waiting");
    process::exit(0);
}

/// Holds the lock until the cue to release it.
fn hold(terms: &Terms) {
    let guard = terms.lock().lock().unwrap();
    let mut tenure = Running::begin(&guard);
    shared().cue(&terms.held_by(&vm()));
    while !shared().is_cued(&terms.cue("release")) {
        thread::sleep(A_MOMENT);
        if guard.remaining() < terms.lifetime / 2 {
            guard.refresh().unwrap();
            tenure.look(&guard);
        }
    }
    report(tenure.end(&guard));
    guard.unlock().unwrap();
}

/// Acquires the lock as soon as it is free, and releases it.
fn take(terms: &Terms) {
    let guard = terms.lock().lock().unwrap();
    report(Running::begin(&guard).end(&guard));
    guard.unlock().unwrap();
}

/// Keeps locks alive until the cue to release them, and releases all at once.
fn keep(all: &[Terms]) {
    let guards: Vec<_> = all.iter().map(|terms| (terms, kept_alive(terms))).collect();
    say_held(all);
    await_release(all);
    for (terms, guard) in &guards {
        if guard.remaining().is_zero() {
            report_of(terms.name, "lease over");
        }
    }
    unlock_each(guards);
}

fn kept_alive(terms: &Terms) -> LockGuard {
    let guard = terms.lock().lock().unwrap();
    let name = terms.name.to_owned();
    guard.keep_alive(move |why| report_of(&name, outcome("keep-alive", &Err(why)))).unwrap();
    guard
}

/// The cue that a waiter on this client can begin at once.
pub(crate) fn ready(vm: &str) -> String {
    format!("ready-{vm}")
}

/// Waits for all of the locks in vain.
fn wait_each(all: &[Terms]) {
    shared().cue(&ready(&vm()));
    shared().await_cue("go");
    thread::scope(|scope| {
        for terms in all {
            scope.spawn(|| terms.lock().lock().map(drop));
        }
    });
}

/// Holds locks until the cue to release them, with leases that run meanwhile.
fn release(all: &[Terms]) {
    let guards = all.iter().map(|terms| (terms, terms.lock().lock().unwrap())).collect();
    say_held(all);
    await_release(all);
    unlock_each(guards);
}

/// ... and are detached meanwhile.
fn release_detached(all: &[Terms]) {
    let detach = |terms: &Terms| terms.lock().lock()?.detach(Owner::Lease);
    let claims: Vec<_> = all.iter().map(|terms| (terms, detach(terms).unwrap())).collect();
    say_held(all);
    await_release(all);
    thread::scope(|scope| {
        for (terms, claim) in claims {
            let unlock = move || terms.lock().adopt(claim)?.unlock();
            scope.spawn(move || report_of(terms.name, outcome("unlock", &unlock())));
        }
    });
}

fn say_held(all: &[Terms]) {
    for terms in all {
        shared().cue(&terms.held_by(&vm()));
    }
}

fn await_release(all: &[Terms]) {
    for terms in all {
        shared().await_cue(&terms.cue("release"));
    }
}

/// At the same time, since each may take a while.
fn unlock_each(guards: Vec<(&Terms, LockGuard)>) {
    thread::scope(|scope| {
        for (terms, guard) in guards {
            scope.spawn(move || {
                report_of(terms.name, Running::begin(&guard).end(&guard));
                report_of(terms.name, outcome("unlock", &guard.unlock()));
            });
        }
    });
}

/// Acquires each lock in turn with others, and checks for some time that it still holds it.
fn take_over(all: &[Terms]) {
    thread::scope(|scope| {
        for terms in all {
            scope.spawn(|| {
                let guard = kept_alive(terms);
                let mut tenure = Running::begin(&guard);
                let until = Instant::now() + A_WHILE;
                while Instant::now() < until && guard.verify().is_ok() {
                    tenure.look(&guard);
                    thread::sleep(A_MOMENT * 50);
                }
                report_of(terms.name, tenure.end(&guard));
                report_of(terms.name, outcome("taken over", &guard.unlock()));
            });
        }
    });
}

/// A report of a worker with many locks begins with the name of one.
fn report_of(name: &str, line: impl Display) {
    report(format!("{name} {line}"));
}

fn try_for(terms: &Terms, time: Duration) {
    report(outcome("try", &terms.lock().try_lock_for(time).and_then(LockGuard::unlock)));
}

/// Is killed while it holds the lock.
fn die(terms: &Terms) {
    let guard = terms.lock().lock().unwrap();
    report(Running::begin(&guard));
    be_killed(terms);
}

fn be_killed(terms: &Terms) {
    shared().cue(&terms.died_on(&vm()));
    raise(Signal::SIGKILL).expect("SIGKILL");
}

/// Holds two locks until it has lost the one that is kept alive, and reports what has become of the
/// other, which is not.
fn stall(kept: &Terms, idle: &Terms) {
    let (kept_guard, idle_guard) = (kept.lock().lock().unwrap(), idle.lock().lock().unwrap());
    let (tell, told) = mpsc::channel();
    kept_guard.keep_alive(move |why| tell.send(why).expect("a listener")).unwrap();
    let mut tenures = [Running::begin(&kept_guard), Running::begin(&idle_guard)];
    shared().cue(&kept.held_by(&vm()));
    let why = loop {
        if let Ok(why) = told.recv_timeout(A_MOMENT) {
            break why;
        }
        tenures[0].look(&kept_guard);
        tenures[1].look(&idle_guard);
    };
    tenures.iter().for_each(report);
    report(outcome("keep-alive", &Err(why)));
    report(outcome("refresh", &idle_guard.refresh()));
    report(outcome("verify", &idle_guard.verify()));
    report(outcome("unlock", &idle_guard.unlock()));
    report(outcome("unlock", &kept_guard.unlock()));
}

/// Acquires the lock, verifies and releases it.
fn cycle(terms: &Terms) {
    let guard = match terms.lock().lock() {
        Ok(guard) => guard,
        Err(error) => return report(outcome("lock", &Err(error))),
    };
    report("lock Ok");
    report(outcome("verify", &guard.verify()));
    report(outcome("unlock", &guard.unlock()));
}

fn rounds(lock: &Lock, count: u64) {
    for _ in 0..count {
        lock.lock().unwrap().unlock().unwrap();
    }
}

/// The minimum of seven system calls for a lock of this kind: open, write, utimensat, close, link,
/// and two unlinks.
fn bare(terms: &Terms, count: u64) -> io::Result<()> {
    let (lock, claim) = (terms.path(), claim_of(terms));
    for _ in 0..count {
        let mut file = File::create_new(&claim)?;
        file.write_all(claim.as_os_str().as_encoded_bytes())?;
        file.set_times(FileTimes::new().set_modified(SystemTime::now()))?;
        drop(file);
        fs::hard_link(&claim, &lock)?;
        fs::remove_file(&lock)?;
        fs::remove_file(&claim)?;
    }
    Ok(())
}

/// The minimum of three with a claim that is kept: link, utimensat, and an unlink.
fn bare_kept(terms: &Terms, count: u64) -> io::Result<()> {
    let (lock, claim) = (terms.path(), claim_of(terms));
    drop(File::create_new(&claim)?);
    for _ in 0..count {
        fs::hard_link(&claim, &lock)?;
        utimensat(
            AT_FDCWD,
            &claim,
            &TimeSpec::UTIME_OMIT,
            &TimeSpec::UTIME_NOW,
            UtimensatFlags::NoFollowSymlink,
        )?;
        fs::remove_file(&lock)?;
    }
    fs::remove_file(&claim)
}

/// A bare hard link, which shows what the kernel returns.
fn link(terms: &Terms) {
    let claim = claim_of(terms);
    fs::write(&claim, vm()).unwrap();
    let result = fs::hard_link(&claim, terms.path());
    report(format!("link {:?}", result.map_err(|error| error.kind())));
}

fn claim_of(terms: &Terms) -> PathBuf {
    terms.path().with_extension(vm())
}

/// A result, in words that a scenario can compare.
fn outcome(what: &str, result: &Result<(), Error>) -> String {
    let word = match result {
        Ok(()) => "Ok",
        Err(Error::Lost { .. }) => "Lost",
        Err(Error::TimedOut { .. }) => "TimedOut",
        Err(error) => return format!("{what}: {error}"),
    };
    format!("{what} {word}")
}
