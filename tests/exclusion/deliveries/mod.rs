//! No delivery is ever lost: many programs deliver into one mailbox at once, each locking in its
//! own way, and some are killed meanwhile.
//!
//! An acknowledged message must be in the mailbox once and whole. A writer that was killed has left
//! its message there once, or a part of it at the end, or nothing; and mostly its dotlock, for
//! which all others wait. After such a round all writers are dead: the dotlock that is left is
//! taken over by rule, and the next delivery is separated from the message that is half written.
//!
//! Dovecot writes into the headers of earlier messages, and moves what follows: it is left out of
//! the rounds in which writers are killed, where it could spoil the deliveries of others.

mod delivery_checker;
mod figures;
mod message;
mod peers;
mod workers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use linklock::mailbox::MailboxLock;
use linklock::{Error, Obstacle};
use tempfile::tempdir;

use crate::kit::clock::JumpingClock;
use crate::kit::elsewhere::{arrived, go_as_ordinary_user, is_root, open_to_all};
use delivery_checker::DeliveryChecker;
use figures::Figures;
use message::Message;
use peers::{Peer, Program, kept_from_breaking};
use workers::Workers;

const TEST: &str = "deliveries::every_message_of_many_programs_is_there_once_and_whole";
/// For how long others' dotlocks are respected.
const REST: Duration = Duration::from_secs(300);
/// How many messages each program has in a round.
const BATCH: usize = 6;
/// How many mailboxes are delivered to in parallel: most programs wait in whole seconds.
const MAILBOXES: usize = 8;
/// Far longer than a round takes.
const LIMIT: Duration = Duration::from_secs(300);
/// How long the others may go on after one of them was killed: if it held the mailbox, they wait in
/// vain.
const GRACE: Duration = Duration::from_secs(3);

/// How many messages to deliver to each mailbox, at least.
fn wanted() -> usize {
    let all = std::env::var("LINKLOCK_DELIVERIES").map_or(90, |number| number.parse().unwrap());
    all / MAILBOXES
}

#[test]
fn every_message_of_many_programs_is_there_once_and_whole() {
    if let Some(dir) = arrived() {
        return fs::write(dir.join("figures"), deliver_to_all(&dir)).unwrap();
    }
    let dir = tempdir().unwrap();
    for mailbox in mailboxes(dir.path()) {
        fs::create_dir(&mailbox).unwrap();
        open_to_all(&mailbox, 0);
        peers::prepare(&mailbox);
    }
    if is_root() {
        // procmail and Dovecot deliver for root only to others.
        open_to_all(dir.path(), 0);
        go_as_ordinary_user(TEST, dir.path());
    } else {
        fs::write(dir.path().join("figures"), deliver_to_all(dir.path())).unwrap();
    }
    eprint!("{}", fs::read_to_string(dir.path().join("figures")).unwrap());
}

/// A directory for each mailbox, with all that the programs need for it.
fn mailboxes(dir: &Path) -> impl Iterator<Item = PathBuf> {
    (0..MAILBOXES).map(move |number| dir.join(number.to_string()))
}

fn deliver_to_all(dir: &Path) -> String {
    let figures = thread::scope(|threads| {
        let all: Vec<_> = mailboxes(dir).map(|dir| threads.spawn(move || deliver(&dir))).collect();
        all.into_iter().map(|one| one.join().unwrap()).fold(Figures::default(), Figures::plus)
    });
    assert!(figures.killed > 0, "no writer was killed");
    figures.to_string()
}

/// Delivers to one mailbox, and returns the figures.
fn deliver(dir: &Path) -> Figures {
    let peers = Program::ALL.into_iter().filter_map(|program| Peer::find(program, dir));
    let peers: Vec<Peer> = peers.collect();
    let killable: Vec<&Peer> = peers.iter().filter(|peer| peer.program.may_be_killed()).collect();
    let mut checker = DeliveryChecker::default();
    let mut broken = BTreeMap::new();
    let mut round = 0;
    while checker.acknowledged() < wanted() {
        let all: Vec<&Peer> = peers.iter().collect();
        let mut workers = Workers::start(dir, &all, round);
        workers.finish(LIMIT);
        checker.enter(&workers, false);
        round += 1;

        let mut workers = Workers::start(dir, &killable, round);
        workers.kill_some(GRACE);
        checker.enter(&workers, true);
        if let Some(kind) = recover(dir) {
            *broken.entry(kind).or_insert(0) += 1;
        }
        // The first delivery after a writer was killed must be separate from what that has left.
        let message = Message::new(format!("after-{round}"), 3);
        peers[0].deliver_one(dir, &message);
        checker.acknowledge(message);
        round += 1;
    }
    let (figures, complaints) = checker.check(&fs::read(dir.join("mbox")).unwrap());
    assert!(complaints.is_empty(), "{complaints:#?}");
    Figures { broken, kept_from_breaking: kept_from_breaking(dir), rounds: round, ..figures }
}

/// Takes over the dotlock that the dead have left, if any, by rule, and returns its kind.
fn recover(dir: &Path) -> Option<String> {
    let clock = Arc::new(JumpingClock::default());
    let lock = MailboxLock::options(dir.join("mbox")).clock(clock.clone()).build().unwrap();
    let kind = match lock.try_lock() {
        Ok(_) => return None,
        Err(Error::Held { obstacle, .. }) => match *obstacle {
            Obstacle::Dotlock(dotlock) => dotlock.kind().to_string(),
            other => panic!("all are dead, but {other}"),
        },
        Err(error) => panic!("{error}"),
    };
    clock.jump(REST);
    lock.try_lock().unwrap().unlock().unwrap();
    Some(kind)
}
