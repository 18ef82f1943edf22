//! Fencing tokens: which numbers are given, and how the counter is kept.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::kit::wait_until;
use linklock::{Error, Lock, Operation, Owner};
use tempfile::{TempDir, tempdir};

/// A directory with a lock that has tokens.
struct Place {
    dir: TempDir,
    lock: Lock,
}

impl Place {
    fn new() -> Place {
        let dir = tempdir().unwrap();
        let lock = Lock::options(dir.path().join("lock")).fencing(true).build().unwrap();
        Place { dir, lock }
    }

    /// The same, with these names in the counter's directory.
    fn with<S: AsRef<OsStr>>(names: &[S]) -> Place {
        let place = Place::new();
        fs::create_dir(place.fence()).unwrap();
        for name in names {
            fs::write(place.fence().join(name.as_ref()), "").unwrap();
        }
        place
    }

    fn fence(&self) -> PathBuf {
        self.dir.path().join("lock.fence")
    }

    fn counters(&self) -> Vec<OsString> {
        names(&self.fence())
    }

    fn token(&self) -> u64 {
        self.lock.lock().unwrap().token().unwrap()
    }

    /// Returns the error of an acquisition that gets no token, and leaves no lock behind.
    fn refused(&self) -> Error {
        let error = self.lock.lock().unwrap_err();
        assert_eq!(names(self.dir.path()), ["lock.fence"], "{error}");
        error
    }
}

fn names(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn tokens_grow_from_one_acquisition_to_the_next() {
    let place = Place::new();
    let other = place.lock.clone();
    assert_eq!(place.token(), 1);
    assert_eq!(other.lock().unwrap().token(), Some(2));
    let guard = place.lock.lock().unwrap();
    guard.refresh().unwrap();
    assert_eq!(guard.token(), Some(3), "one tenure has one token");
    guard.unlock().unwrap();
    assert_eq!(names(place.dir.path()), ["lock.fence"]);
    assert_eq!(place.counters(), ["3"]);
}

#[test]
fn without_the_option_there_are_none() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    assert_eq!(lock.lock().unwrap().token(), None);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn simultaneous_first_acquisitions_share_one_counter() {
    let place = Place::new();
    let tokens = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let lock = place.lock.clone();
                for _ in 0..4 {
                    let guard = lock.lock().unwrap();
                    tokens.lock().unwrap().push(guard.token().unwrap());
                }
            });
        }
    });
    let tokens = tokens.into_inner().unwrap();
    assert_eq!(tokens.len(), 64);
    assert!(tokens.is_sorted_by(|earlier, later| earlier < later), "{tokens:?}");
    assert_eq!(place.counters(), [tokens[63].to_string().as_str()]);
    assert_eq!(names(place.dir.path()), ["lock.fence"]);
}

#[test]
fn handles_that_keep_their_claims_have_a_token_each_time() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::options(path).fencing(true).keep_claim(true).build().unwrap();
    let tokens: Vec<_> = (0..3).map(|_| lock.lock().unwrap().token().unwrap()).collect();
    assert_eq!(tokens, [1, 2, 3]);
}

#[test]
fn an_adopter_gets_a_later_token() {
    let place = Place::new();
    let guard = place.lock.lock().unwrap();
    let first = guard.token();
    let claim = guard.detach(Owner::Lease).unwrap();
    let adopted = place.lock.adopt(&claim).unwrap();
    assert!(adopted.token() > first, "{adopted:?}");
    adopted.unlock().unwrap();
}

#[test]
fn an_administrator_can_set_the_counter() {
    let place = Place::with(&["41"]);
    assert_eq!(place.token(), 42);
    fs::rename(place.fence().join("42"), place.fence().join("1000")).unwrap();
    assert_eq!(place.token(), 1001);
}

#[test]
fn of_several_counters_the_highest_counts() {
    let place = Place::with(&["9", "12", "3"]);
    assert_eq!(place.token(), 13);
    assert_eq!(place.counters(), ["13"]);
}

#[test]
fn other_names_are_ignored_and_stay() {
    let foreign: Vec<&OsStr> = [
        &b"007"[..],
        b"+5",
        b"-1",
        b" 8",
        b"99 ",
        b"0x99",
        b"18446744073709551616",
        b"99\n",
        b"\xff\xfe",
        b"save me",
    ]
    .map(OsStr::from_bytes)
    .to_vec();
    let place = Place::with(&foreign);
    let error = place.refused();
    assert!(error.to_string().contains("it contains no counter"), "{error}");
    assert_eq!(error.path(), place.fence());
    fs::write(place.fence().join("5"), "").unwrap();
    assert_eq!(place.token(), 6);
    let mut expected: Vec<OsString> = foreign.iter().map(Into::into).collect();
    expected.push("6".into());
    expected.sort();
    assert_eq!(place.counters(), expected);
}

#[test]
fn an_empty_directory_is_given_a_counter() {
    assert_eq!(Place::with::<&str>(&[]).token(), 1);
}

#[test]
fn after_the_last_number_there_is_none() {
    let last = u64::MAX.to_string();
    let place = Place::with(&[&last]);
    let error = place.refused();
    assert!(error.to_string().contains("there is no higher number"), "{error}");
    assert_eq!(error.path(), place.fence().join(&last));
    assert_eq!(place.counters(), [last.as_str()]);
}

#[test]
fn a_file_in_the_directorys_place_is_an_error_and_stays() {
    let place = Place::new();
    fs::write(place.fence(), "save me").unwrap();
    let error = place.refused();
    assert!(
        matches!(&error, Error::Io { operation: Operation::List, error, .. }
            if error.kind() == ErrorKind::NotADirectory),
        "{error:?}"
    );
    assert_eq!(error.path(), place.fence());
    assert_eq!(fs::read(place.fence()).unwrap(), b"save me");
}

/// What a process leaves that dies while it makes the directory.
#[test]
fn a_draft_of_the_directory_is_swept_once_it_is_abandoned() {
    let dir = tempdir().unwrap();
    let draft = dir.path().join("lock|fence|x0000000000000007|815");
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("0"), "").unwrap();
    let lock = |slop| {
        let options = Lock::options(dir.path().join("lock")).clock_slop(slop);
        options.build().unwrap()
    };
    assert!(lock(Duration::from_secs(3600)).sweep().unwrap().is_empty());
    assert!(draft.exists());
    let later = lock(Duration::from_millis(1));
    wait_until("it counts as abandoned", || later.orphans().unwrap().contains(&draft));
    assert_eq!(later.sweep().unwrap(), [draft]);
    assert!(names(dir.path()).is_empty());
}

/// A user who can write beside the lock must not make a holder with more rights rename or remove files
/// elsewhere, whose names may well be numbers.
#[test]
fn symbolic_links_lead_nowhere() {
    let elsewhere = tempdir().unwrap();
    for name in ["0", "5", "16384"] {
        fs::write(elsewhere.path().join(name), "save me").unwrap();
    }
    let place = Place::new();
    symlink(elsewhere.path(), place.fence()).unwrap();
    let error = place.refused();
    assert!(matches!(error, Error::Io { operation: Operation::Rename, .. }), "{error:?}");
    fs::remove_file(place.fence()).unwrap();

    let draft = place.dir.path().join("lock|fence|x0000000000000007|815");
    symlink(elsewhere.path(), &draft).unwrap();
    let lock = Lock::options(place.lock.path()).clock_slop(Duration::ZERO).build().unwrap();
    wait_until("it counts as abandoned", || lock.orphans().unwrap().contains(&draft));
    assert!(lock.sweep().unwrap().is_empty(), "other files are left");
    assert_eq!(names(elsewhere.path()), ["0", "16384", "5"]);
}
