//! Locks of DVC's: flufl.lock's, but the name of the claim is a hash, its directory is DVC's own, and
//! the lease lasts a year.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::{Place, linklock, outcome};
use serde_json::Value;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const NAME: &str = "0123456789abcdef0123456789abcdef.lock";

/// Locks as DVC does, with the claim in that directory, and returns the claim.
fn lock_like_dvc(place: &Place, dir: &Path) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let claim = dir.join(NAME);
    fs::write(&claim, claim.to_str().unwrap()).unwrap();
    File::options()
        .write(true)
        .open(&claim)
        .unwrap()
        .set_modified(SystemTime::now() + YEAR)
        .unwrap();
    fs::hard_link(&claim, &place.lock).unwrap();
    claim
}

fn status(place: &Place, options: &[&str]) -> String {
    let output = linklock().arg("status").args(options).arg(&place.lock).output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    String::from_utf8(output.stdout).unwrap()
}

/// What `status` shows: the format, and the claim if it is found.
fn shown(place: &Place) -> (Value, Value) {
    let json: Value = serde_json::from_str(&status(place, &["--json"])).unwrap();
    (json["format"].clone(), json["holder"]["claim"].clone())
}

#[test]
fn it_is_respected_and_shown_and_broken_by_force_alone() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let claim = lock_like_dvc(&place, elsewhere.path());
    let content = fs::read(&place.lock).unwrap();

    let run = |limit| outcome(&mut place.run(&[limit], &["true"]));
    assert_eq!(run("-n").0, 75);
    assert_eq!(run("--timeout=200ms").0, 75);
    let (code, message) = outcome(linklock().args(["break", "--if-dead"]).arg(&place.lock));
    assert_eq!(code, 75, "{message}");
    assert_eq!(fs::read(&place.lock).unwrap(), content);

    assert_eq!(shown(&place), ("dvc".into(), claim.to_str().unwrap().into()));
    let text = status(&place, &[]);
    assert!(text.contains(": not a lock: ") && text.contains("a lock of DVC's"), "{text}");
    assert!(text.contains(&format!("  claim:      {}", claim.display())), "{text}");

    let (code, message) = outcome(linklock().args(["break", "--force"]).arg(&place.lock));
    assert_eq!(code, 0, "{message}");
    assert!(!place.lock.exists());
    assert_eq!(run("-n").0, 0);
}

/// The directory that the content names may have been moved, or be mounted elsewhere.
#[test]
fn its_claim_beside_the_lock_is_found_by_its_inode() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let claim = lock_like_dvc(&place, elsewhere.path());
    let beside = place.lock.with_file_name(NAME);
    fs::write(&beside, "another file").unwrap();
    fs::remove_file(&claim).unwrap();
    assert_eq!(shown(&place), ("dvc".into(), Value::Null), "its inode is another");
    fs::remove_file(&beside).unwrap();
    fs::hard_link(&place.lock, &beside).unwrap();
    assert_eq!(shown(&place), ("dvc".into(), beside.to_str().unwrap().into()));
}
