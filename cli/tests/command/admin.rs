//! list, break and sweep: for administrators.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::schema::assert_is;
use crate::common::{OrdinaryUser, Place, Running, linklock, outcome, skip, until};
use linklock::{Lock, Owner};
use serde_json::Value;

/// Its output, after asserting that it succeeded.
#[track_caller]
fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A lock that is held by its lease only.
fn lease(path: &Path, lifetime: Duration) {
    let lock = Lock::options(path).lifetime(lifetime).host_name("mars").build().unwrap();
    lock.lock().unwrap().detach(Owner::Lease).unwrap();
}

const LONG: Duration = Duration::from_secs(3600);
/// Long enough for detaching, even on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

/// A claim that a process on another host left long ago.
fn litter(place: &Place, name: &str) -> std::path::PathBuf {
    let path = place.dir().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, path.to_str().unwrap()).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + LONG).unwrap();
    path
}

fn break_lock(place: &Place, options: &[&str]) -> Command {
    place.by_path(&[&["break"], options].concat())
}

#[test]
fn all_locks_below_a_directory_are_listed() {
    let place = Place::new();
    let list = |json: &[&str]| stdout(linklock().arg("list").args(json).arg(place.dir()));
    assert_eq!(list(&[]), "");
    let holder = place.hold(&[]);
    let deep = place.dir().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    lease(&deep.join("x.lock"), LONG);
    fs::write(deep.join("no.lock"), "nothing").unwrap();
    fs::write(deep.join("large"), vec![b'x'; 100_000]).unwrap();
    std::os::unix::fs::symlink(place.dir(), deep.join("loop")).unwrap();

    let table = list(&[]);
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["STATE", "HOLDER", "LEASE", "WAITING", "LOCK"]);
    assert_eq!(rows.len(), 3, "{table}");
    assert_eq!((rows[1][0], rows[1][1]), ("held", "nobody@mars"));
    assert!(rows[1].last().unwrap().ends_with("/a/b/x.lock"), "{table}");
    assert!(rows[2][1].starts_with(&format!("{}@", holder.pid())), "{table}");

    let json: Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[0]["lock"], deep.join("x.lock").to_str().unwrap());
    assert_eq!(json[1]["holder"]["pid"], holder.pid());
}

/// Replaces the content of a lock file, and leaves the end of its lease unchanged.
fn overwrite(lock: &Path, content: &[u8]) {
    let lease_end = fs::metadata(lock).unwrap().modified().unwrap();
    fs::write(lock, content).unwrap();
    fs::File::options().write(true).open(lock).unwrap().set_modified(lease_end).unwrap();
}

/// What `linklock list` shows of each lock: its state and its name.
fn listed(command: &mut Command, place: &Place) -> Vec<(String, String)> {
    let json: Value =
        serde_json::from_str(&stdout(command.args(["list", "--json"]).arg(place.dir()))).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |path: String| path.rsplit('/').next().unwrap().to_owned();
    let locks = json.as_array().unwrap().iter();
    locks.map(|lock| (text(&lock["state"]), name(text(&lock["lock"])))).collect()
}

#[test]
fn a_lock_that_has_lost_its_content_is_listed() {
    let place = Place::new();
    for name in ["empty", "nuls", "torn"] {
        lease(&place.dir().join(name), LONG);
    }
    overwrite(&place.dir().join("empty"), b"");
    overwrite(&place.dir().join("nuls"), &[0; 60]);
    overwrite(&place.dir().join("torn"), b"/tm");
    fs::write(place.dir().join("no lock"), "").unwrap();
    let names: Vec<_> = listed(&mut linklock(), &place).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["empty", "nuls", "torn"]);
}

#[test]
fn a_lock_that_can_not_be_read_is_listed() {
    let place = Place::new();
    let Some(user) = OrdinaryUser::of(&place) else { return };
    lease(&place.lock, LONG);
    let claim = fs::read_to_string(&place.lock).unwrap();
    fs::remove_file(claim).unwrap();
    fs::set_permissions(&place.lock, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(place.dir().join("short"), "secret").unwrap();
    fs::set_permissions(place.dir().join("short"), fs::Permissions::from_mode(0o600)).unwrap();
    let expected = ("unreadable".to_owned(), "the.lock".to_owned());
    assert_eq!(listed(&mut user.linklock(), &place), [expected]);
}

/// Another file with a lock's name blocks programs that use the library; the command does not wait
/// for it.
#[test]
fn files_that_block_waiters_are_listed() {
    let place = Place::new();
    fs::write(&place.lock, "save me").unwrap();
    assert!(listed(&mut linklock(), &place).is_empty());
    let lock = Lock::new(&place.lock).unwrap();
    let goes_on = Arc::new(AtomicBool::new(true));
    let may_go_on = goes_on.clone();
    let waiter =
        std::thread::spawn(move || lock.lock_while(|_| may_go_on.load(Ordering::Relaxed)).is_err());
    let expected = ("not-a-lock".to_owned(), "the.lock".to_owned());
    until("it is listed", || listed(&mut linklock(), &place) == [expected.clone()]);
    goes_on.store(false, Ordering::Relaxed);
    assert!(waiter.join().unwrap());
}

#[test]
fn only_a_stale_lock_is_broken() {
    let place = Place::new();
    assert_eq!(
        stdout(&mut break_lock(&place, &[])),
        format!("lock {} is free\n", place.lock.display())
    );

    lease(&place.lock, LONG);
    let files = place.files();
    let (code, message) = outcome(&mut break_lock(&place, &[]));
    assert_eq!(code, 75);
    assert!(message.contains(" is held by process 1 on mars") && message.contains("not broken"));
    assert_eq!(place.files(), files);
    fs::remove_file(&place.lock).unwrap();

    drop(place.hold(&[])); // by SIGKILL
    stdout(&mut break_lock(&place, &[]));
    fs::remove_file(&files[1]).unwrap();
    place.assert_nothing_left();
}

#[test]
fn what_was_broken_is_reported() {
    let place = Place::new();
    lease(&place.lock, SHORT);
    let claim = fs::read_to_string(&place.lock).unwrap();
    until("the lease's end", || {
        break_lock(&place, &["--clock-slop=1ms", "--if-unchanged-for=1ms"])
            .output()
            .unwrap()
            .status
            .success()
    });
    place.assert_nothing_left();

    lease(&place.lock, LONG);
    assert_ne!(fs::read_to_string(&place.lock).unwrap(), claim);
    let claim = fs::read_to_string(&place.lock).unwrap();
    let told = stdout(&mut break_lock(&place, &["--force"]));
    let lock = place.lock.display();
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with(&format!("broke lock {lock}: process 1 on mars, ")), "{told}");
    assert_eq!(lines[1..], [format!("removed {lock}"), format!("removed {claim}")]);
    place.assert_nothing_left();
}

#[test]
fn conditions_are_respected() {
    let place = Place::new();
    let tried = |options: &[&str]| outcome(&mut break_lock(&place, options)).0;
    let holder = place.hold(&[]);
    assert_eq!(tried(&["--if-dead"]), 75);
    assert_eq!(tried(&["--if-unchanged-for=1h"]), 75);
    drop(holder); // by SIGKILL
    assert_eq!(tried(&["--if-dead", "--if-unchanged-for=1h"]), 75);
    assert_eq!(tried(&["--if-dead"]), 0);
    place.assert_nothing_left();
    assert_eq!(outcome(&mut break_lock(&place, &["--force", "--if-dead"])).0, 64);
}

/// After a clock was set back, a lock file's dates may lie in the future, and then don't show when
/// it was last touched. No system call sets such a ctime, but debugfs(8) does, on a disk of the
/// test's own.
#[test]
fn a_lock_that_is_dated_ahead_is_watched_before_it_is_broken() {
    let place = Place::new();
    let prepare = "set -e; cd \"$DIR\"; truncate -s 8M disk; mkfs.ext4 -q disk; mkdir mnt; \
        mount -o loop disk mnt; \
        for lock in left refreshed; do $LINKLOCK acquire --owner none -l 1h mnt/$lock >&2; done; \
        umount mnt; \
        for lock in left refreshed; do for date in ctime mtime; do \
            debugfs -w -R \"set_inode_field $lock $date @$(($(date +%s) + 86400))\" disk; \
        done; done 2>/dev/null; \
        mount -o loop disk mnt";
    let script = "echo ready; cd mnt; set +e; \
        $LINKLOCK break --if-unchanged-for 2s left; echo \"left: $?\"; \
        ls left* 2>/dev/null; \
        $LINKLOCK break --if-unchanged-for 1h refreshed 2>&1 | { read line; echo \"$line\"; \
            touch refreshed; cat; }";
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c"]);
    shell.arg(format!("{prepare}\n{script}"));
    shell.env("DIR", place.dir()).env("LINKLOCK", linklock().get_program());
    let output = shell.output().unwrap();
    let said = crate::common::stderr(&output);
    let told = String::from_utf8(output.stdout).unwrap();
    let Some((_, told)) = told.split_once("ready\n") else {
        return skip("breaking on a disk with wrong dates", &said);
    };
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("broke lock ") && lines[3] == "left: 0", "{told}{said}");
    assert!(said.contains("watching it for 2.0s"), "{said}");
    assert!(lines[4].contains("refreshed was last changed 23h ") && lines.len() == 6, "{told}");
    assert!(
        lines[4].ends_with("watching it for 1h") && lines[5].contains(": not broken; "),
        "{told}"
    );
}

#[test]
fn other_files_are_removed_by_force_only() {
    let place = Place::new();
    let known = [
        (&b"save me"[..], "a file that is not a lock"),
        (b"17:mars", "a dotlock, as Dovecot makes it"),
        (&[0; 50], "an unknown process"),
    ];
    for (content, kind) in known {
        fs::write(&place.lock, content).unwrap();
        fs::set_permissions(&place.lock, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::read(&place.lock).unwrap();
        let (code, message) = outcome(&mut break_lock(&place, &["--if-unchanged-for=1h"]));
        assert_eq!(code, 75, "{message}");
        assert!(
            message.contains(if content[0] == 0 { "not broken" } else { "--force" }),
            "{message}"
        );
        assert_eq!(fs::read(&place.lock).unwrap(), before);

        let told = stdout(&mut break_lock(&place, &["--force"]));
        let lines: Vec<_> = told.lines().collect();
        assert!(lines[0].starts_with("broke lock ") && lines[0].contains(kind), "{told}");
        let details = format!(", mode 0640, {} bytes, last changed ", content.len());
        assert!(lines[0].contains(&details) && lines[0].ends_with(" ago)"), "{told}");
        assert_eq!(lines[1..], [format!("removed {}", place.lock.display())]);
        place.assert_nothing_left();
    }
}

#[test]
fn a_lock_that_has_lost_its_content_is_broken_by_force() {
    let place = Place::new();
    lease(&place.lock, LONG);
    let claim = fs::read_to_string(&place.lock).unwrap();
    overwrite(&place.lock, b"");
    let told = stdout(&mut break_lock(&place, &["--force"]));
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].contains(": process 1 on mars, "), "{told}");
    assert!(lines[0].contains(" 0 bytes, ") && lines[2] == format!("removed {claim}"), "{told}");
    place.assert_nothing_left();
}

#[test]
fn anything_but_a_plain_file_is_left_even_by_force() {
    let place = Place::new();
    let victim = place.dir().join("victim");
    fs::create_dir(&victim).unwrap();
    let refused = || {
        let (code, message) = outcome(&mut break_lock(&place, &["--force"]));
        assert_eq!(code, 75);
        assert!(message.contains("not a lock") && !message.contains("--force"), "{message}");
        place.lock.symlink_metadata().unwrap();
    };
    std::os::unix::fs::symlink(&victim, &place.lock).unwrap();
    refused();
    fs::remove_file(&place.lock).unwrap();
    fs::create_dir(&place.lock).unwrap();
    refused();
}

/// Wherever it is in the way, its owner and its mode are shown, and what to do about it.
#[test]
fn a_lock_that_can_not_be_read_is_shown_with_its_owner_and_broken_by_force() {
    let place = Place::new();
    let Some(user) = OrdinaryUser::of(&place) else { return };
    let run = |args: &[&str]| {
        let mut command = user.linklock();
        command.args(args).arg(&place.lock);
        command
    };
    lease(&place.lock, LONG);
    let claim = fs::read_to_string(&place.lock).unwrap();
    fs::remove_file(claim).unwrap();
    fs::set_permissions(&place.lock, fs::Permissions::from_mode(0o600)).unwrap();
    for args in [&["acquire", "-n"][..], &["break"]] {
        let (code, message) = outcome(&mut run(args));
        assert_eq!(code, 75, "{message}");
        for part in ["root's", "mode 0600", "Permission denied", "chmod"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(message.contains("--force"), args == ["break"], "{message}");
    }
    let told = stdout(&mut run(&["status"]));
    for part in ["the.lock: unreadable", "root's, mode 0600", "last changed ", "chmod", "--force"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = stdout(&mut run(&["break", "--force"]));
    assert!(told.contains("a file that can't be read (it was root's, mode 0600, "), "{told}");
    place.assert_nothing_left();
}

#[test]
fn a_run_whose_lock_is_broken_stops_its_command() {
    let place = Place::new();
    let holder = place.hold(&["--lifetime", "400ms"]);
    stdout(&mut break_lock(&place, &["--force"]));
    assert_eq!(holder.ended().0, 79);
}

#[test]
fn leftovers_of_the_dead_are_swept_everywhere() {
    let place = Place::new();
    lease(&place.lock, LONG);
    let mut kept = place.files();
    let mut swept = vec![
        litter(&place, "the.lock|venus|3|x0123456789abcdef"),
        litter(&place, "deep/er/a.lock|venus|3|815"),
        litter(&place, "deep/er/a.lock|break|x0123456789abcdef|0"),
    ];
    kept.push(litter(&place, "deep/er/not|a claim"));
    kept.push(litter(&place, "deep/er/no separator"));
    swept.sort();
    let told = |dry: &[&str]| {
        let told = stdout(linklock().arg("sweep").args(dry).arg(place.dir()));
        let mut told: Vec<_> = told.lines().map(std::path::PathBuf::from).collect();
        told.sort();
        told
    };
    assert_eq!(told(&["--dry-run"]), swept);
    assert!(swept.iter().all(|path| path.exists()));
    assert_eq!(told(&[]), swept);
    assert!(swept.iter().all(|path| !path.exists()) && kept.iter().all(|path| path.exists()));
    assert!(told(&[]).is_empty());
}

/// An empty result would look like no locks.
#[test]
fn a_place_that_cannot_be_searched_is_an_error() {
    let place = Place::new();
    let holder = place.hold(&[]);
    for command in ["list", "sweep"] {
        let (code, message) = outcome(linklock().arg(command).arg(&place.lock));
        assert_eq!(code, 64, "{message}");
        assert!(message.contains("is not a directory; for a single lock, use"), "{message}");
        let (code, message) =
            outcome(linklock().arg(command).arg(place.dir()).args(["--host-name", ""]));
        assert_eq!(code, 64, "{message}");
        assert!(message.contains("host name"), "{message}");
    }
    assert_eq!(holder.end().0, 0);
}

#[test]
fn a_refusal_tells_how_to_break_the_lock_anyway() {
    let place = Place::new();
    let _holder = place.hold(&[]);
    let (code, message) = outcome(linklock().arg("break").arg(&place.lock));
    assert_eq!(code, 75);
    assert!(message.contains("not broken; ") && message.contains("--force"), "{message}");
}

#[track_caller]
fn assert_as_documented(name: &str, command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_is(name, &value);
    value
}

#[test]
fn json_is_as_documented() {
    let place = Place::new();
    let with = |arguments: &[&str], path: &Path| {
        let mut command = linklock();
        command.args(arguments).arg("--json").arg(path);
        command
    };
    let status = || assert_as_documented("status", &mut with(&["status"], &place.lock));
    assert_eq!(status()["state"], "free");
    let holder = place.hold(&[]);
    let waiter = Running::start(&mut place.run(&[], &["true"]));
    until("the waiter", || !status()["waiting"].as_array().unwrap().is_empty());
    assert_as_documented("list", &mut with(&["list"], place.dir()));
    assert_as_documented("doctor", &mut with(&["doctor"], place.dir()));
    drop((waiter, holder)); // by SIGKILL
    let swept = assert_as_documented("sweep", &mut with(&["sweep", "--dry-run"], place.dir()));
    assert_eq!(swept["dry_run"], true);
    let broken = assert_as_documented("break", &mut with(&["break"], &place.lock));
    assert_eq!((&broken["broken"], broken["removed"].as_array().unwrap().len()), (&true.into(), 2));
    let broken = assert_as_documented("break", &mut with(&["break"], &place.lock));
    assert_eq!(broken["broken"], false);
    for content in ["17:mars", "save me", ""] {
        fs::write(&place.lock, content).unwrap();
        status();
    }
    let mbox = place.dir().join("mbox");
    fs::write(&mbox, "").unwrap();
    fs::write(place.dir().join("mbox.lock"), "0").unwrap();
    assert_as_documented("mailbox-status", &mut with(&["mailbox", "status"], &mbox));
    if let Some(user) = OrdinaryUser::of(&place) {
        fs::set_permissions(&place.lock, fs::Permissions::from_mode(0o000)).unwrap();
        let mut status = user.linklock();
        status.args(["status", "--json"]).arg(&place.lock);
        let status = assert_as_documented("status", &mut status);
        assert!(status["file"].is_object(), "{status}");
    }
}
