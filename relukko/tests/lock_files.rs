//! A lock held through HTTP is a lock file that other programs respect, and vice versa.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::{LIMIT, Listener, ask, client, options, serve, wait_until};
use linklock::Lock;
use linklock_relukko::{Client, ClientError, Server};
use tempfile::tempdir;

#[test]
fn a_lock_held_through_http_is_a_lock_file() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    let lock = Lock::new(dir.path().join("report")).unwrap();
    let guard = client.try_lock("report", None).unwrap();
    let error = lock.try_lock().unwrap_err();
    assert!(error.is_contention(), "{error}");
    // Its lease lasts until the grace period is over.
    let ends = lock.expires_at().unwrap().unwrap();
    let grace = ends.duration_since(guard.info().expires_at).unwrap();
    assert!(grace >= Duration::from_secs(180) && grace < Duration::from_secs(240), "{grace:?}");
    let id = guard.id();
    let later = client.keep_alive_for(id, Duration::from_secs(7200)).unwrap().expires_at;
    assert!(lock.expires_at().unwrap().unwrap() >= later + Duration::from_secs(180));
    guard.unlock().unwrap();
    lock.try_lock().unwrap().unlock().unwrap();
}

#[test]
fn a_lock_file_is_a_lock_through_http() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    let lock = Lock::options(dir.path().join("report")).lifetime(Duration::from_secs(600));
    let held = lock.build().unwrap().try_lock().unwrap();
    assert!(matches!(client.try_lock("report", None), Err(ClientError::Held { .. })));
    let listed = client.list().unwrap();
    let [seen] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(seen.lock_name, "report");
    let creator = seen.creator.clone().unwrap();
    assert!(creator.starts_with(&format!("process {} on ", std::process::id())), "{creator}");
    held.refresh().unwrap();
    assert_eq!(client.get(seen.id).unwrap().id, seen.id, "the same, refreshed or not");

    // Only its holder can prolong it; any client with a key can break it.
    let answer = ask(server.address(), "GET", &format!("/v1/locks/{}/keep_alive", seen.id), "");
    answer.assert_refusal(409);
    held.verify().unwrap();
    assert_eq!(client.delete(seen.id).unwrap().id, seen.id);
    assert!(held.verify().unwrap_err().is_lost());
    assert!(client.list().unwrap().is_empty());
}

/// A waiter that hardly polls, so that it can learn only from the WebSocket.
fn waiter(server: &Server) -> Client {
    client(server).to_options().polling(10 * LIMIT).build().unwrap()
}

#[test]
fn a_waiter_learns_when_another_program_unlocks() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    for name in ["report", "a/b"] {
        // A name that is not plain gets its file from its first holder.
        let file = dir.path().join(file_of(&server, dir.path(), name));
        let held = Lock::options(file).lifetime(Duration::from_secs(600)).build().unwrap();
        let held = held.try_lock().unwrap();
        let mut listener = Listener::connect(server.address());
        ask_in_vain(&server, name); // which shows the server that a client waits
        held.unlock().unwrap();
        assert_eq!(listener.deleted().0, name);
    }
}

#[track_caller]
fn ask_in_vain(server: &Server, name: &str) {
    let body = serde_json::json!({ "lock_name": name }).to_string();
    ask(server.address(), "POST", "/v1/locks/", &body).assert_refusal(409);
}

fn file_of(server: &Server, dir: &Path, name: &str) -> String {
    let guard = client(server).try_lock(name, None).unwrap();
    let mut files =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = files.find(|file| !file.contains('|') && !file.starts_with('.')).unwrap();
    guard.unlock().unwrap();
    file
}

#[test]
fn a_waiter_gets_a_dead_holders_lock() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let file = dir.path().join("report");
    // As flufl.lock leaves it: whether its process lives is unknown, and its lease is over.
    let claim = dir.path().join("report|elsewhere|4711|123");
    fs::write(&claim, claim.to_str().unwrap()).unwrap();
    fs::hard_link(&claim, &file).unwrap();
    let over = SystemTime::now() - Duration::from_secs(8);
    fs::File::options().write(true).open(&claim).unwrap().set_modified(over).unwrap();
    let guard = waiter(&server).try_lock_for("report", None, LIMIT).unwrap();
    assert!(over.elapsed().unwrap() >= Duration::from_secs(10), "not within the clock slop");
    guard.unlock().unwrap();
}

#[test]
fn servers_of_one_directory_know_each_others_locks() {
    let dir = tempdir().unwrap();
    let (one, two) = (serve(dir.path()), serve(dir.path()));
    let (here, there) = (client(&one), client(&two));
    let guard = here.try_lock("x", None).unwrap();
    assert!(matches!(there.try_lock("x", None), Err(ClientError::Held { .. })));
    assert_eq!(there.get(guard.id()).unwrap(), guard.info());
    // A change there is seen here.
    let changed = there.update(guard.id(), Some("you"), None).unwrap();
    assert_eq!(here.get(guard.id()).unwrap(), changed);
    // Additions by both add up.
    let before = changed.expires_at;
    std::thread::scope(|scope| {
        for client in [&here, &there, &here, &there] {
            scope.spawn(|| {
                for _ in 0..5 {
                    client.add_to_expires_at_for(guard.id(), Duration::from_secs(7)).unwrap();
                }
            });
        }
    });
    assert_eq!(here.get(guard.id()).unwrap().expires_at, before + Duration::from_secs(4 * 5 * 7));
    // Deleted there, and a waiter here learns of it.
    let mut listener = Listener::connect(one.address());
    ask_in_vain(&one, "x");
    there.delete(guard.id()).unwrap();
    assert_eq!(listener.deleted(), ("x".to_owned(), guard.id().to_string()));
    assert!(guard.unlock().unwrap_err().is_lost());
    assert!(there.list().unwrap().is_empty());
}

#[test]
fn a_lock_outlives_its_server() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let guard = client(&server).try_lock("x", Some("me")).unwrap();
    let info = guard.info();
    std::mem::forget(guard); // its server goes first
    server.stop();
    assert!(Lock::new(dir.path().join("x")).unwrap().try_lock().is_err());
    let server = serve(dir.path());
    let client = client(&server);
    assert_eq!(client.get(info.id).unwrap(), info);
    let kept = client.keep_alive_for(info.id, Duration::from_secs(5000)).unwrap();
    assert!(kept.expires_at > info.expires_at);
    assert_eq!(client.delete(info.id).unwrap(), kept);
    assert!(client.list().unwrap().is_empty());
}

#[test]
fn other_files_are_left_alone() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    fs::write(dir.path().join("notes"), "save me").unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
    for name in ["notes", "folder", "link"] {
        let error = client.try_lock(name, None).unwrap_err();
        assert!(matches!(error, ClientError::Held { .. }), "{error}");
    }
    assert!(client.list().unwrap().is_empty());
    assert_eq!(fs::read_to_string(dir.path().join("notes")).unwrap(), "save me");
}

#[test]
fn leftovers_of_interrupted_servers_are_understood() {
    let dir = tempdir().unwrap();
    let quick = || options(dir.path()).sweep_interval(Duration::from_millis(50));
    let server = quick().start().unwrap();
    let client = client(&server);
    let guard = client.try_lock("x", Some("me")).unwrap();
    let record = dir.path().join(".relukko").join(guard.id().to_string());
    // The record is missing or invalid: the lock is held nevertheless, and can be deleted.
    fs::remove_file(&record).unwrap();
    assert_eq!(client.get(guard.id()).unwrap().lock_name, "x");
    fs::write(&record, "{").unwrap();
    assert_eq!(client.get(guard.id()).unwrap().lock_name, "x");
    assert!(matches!(client.try_lock("x", None), Err(ClientError::Held { .. })));
    client.delete(guard.id()).unwrap();
    assert!(guard.unlock().unwrap_err().is_lost());

    // A record with a later end than the lease that was to follow it.
    let guard = client.try_lock("y", None).unwrap();
    let record = dir.path().join(".relukko").join(guard.id().to_string());
    let text = fs::read_to_string(&record).unwrap();
    let later = text.replace("\"expires_at\":\"20", "\"expires_at\":\"21"); // in a hundred years
    fs::write(&record, later).unwrap();
    let lock = Lock::new(dir.path().join("y")).unwrap();
    let year = Duration::from_secs(365 * 86_400);
    wait_until("the lease follows", || {
        lock.expires_at().unwrap().unwrap() > SystemTime::now() + 4 * year
    });
    guard.unlock().unwrap();
}

/// A power failure leaves locks of ours whose records are blank. None of them was answered.
#[test]
fn a_lock_without_a_valid_record_ends_with_its_lease() {
    let dir = tempdir().unwrap();
    let often = Duration::from_millis(50);
    let short = options(dir.path()).lifetime(Duration::from_secs(1)).grace(Duration::ZERO);
    let server = short.sweep_interval(often).start().unwrap();
    let client = client(&server);
    for blank in ["", "\0\0\0\0"] {
        let guard = client.try_lock("x", None).unwrap();
        let record = dir.path().join(".relukko").join(guard.id().to_string());
        fs::write(&record, blank).unwrap();
        wait_until("its end", || {
            client.try_lock("x", None).is_ok_and(|next| next.unlock().is_ok())
        });
    }
}

/// Old enough for a file that was left behind to be surely unused.
fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(3600)
}

fn age(path: &Path) {
    fs::File::options().write(true).open(path).unwrap().set_modified(long_ago()).unwrap();
}

#[test]
fn records_without_a_lock_are_removed_in_time_and_no_others() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).sweep_interval(Duration::from_millis(50)).start().unwrap();
    let guard = client(&server).try_lock("held", None).unwrap();
    let records = dir.path().join(".relukko");
    let kept = records.join(guard.id().to_string());
    let text = fs::read_to_string(&kept).unwrap();
    // As left by a server that is killed before it takes the lock, or before the record is whole.
    let orphan = |id: &str| {
        let path = records.join(id);
        fs::write(&path, text.replace(&guard.id().to_string(), id)).unwrap();
        path
    };
    let old = orphan("950daa20-a814-451e-9407-ec496cf9c136");
    let young = orphan("950daa20-a814-451e-9407-ec496cf9c137");
    let half = records.join("950daa20-a814-451e-9407-ec496cf9c138.0123.new");
    fs::write(&half, "{").unwrap();
    for path in [&kept, &old, &half] {
        age(path);
    }
    wait_until("the old ones are gone", || !old.exists() && !half.exists());
    assert!(kept.exists() && young.exists());
    assert_eq!(client(&server).get(guard.id()).unwrap(), guard.info());
    guard.unlock().unwrap();
    assert!(!kept.exists());
}

#[test]
fn claims_of_the_dead_are_removed() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).sweep_interval(Duration::from_millis(50)).start().unwrap();
    let guard = client(&server).try_lock("held", None).unwrap();
    let leave = |name: &str, nonce: &str| {
        let claim = dir.path().join(format!("{name}|elsewhere|4711|{nonce}"));
        fs::write(&claim, claim.to_str().unwrap()).unwrap();
        age(&claim);
        claim
    };
    // flufl.lock's may belong to a waiter, which never touches them.
    let kept = leave("free", "123");
    // As left by waiters that were killed: beside a held lock, and beside a free one.
    let left = ["held", "free"].map(|name| leave(name, "x0123456789abcdef"));
    wait_until("they are gone", || !left.iter().any(|claim| claim.exists()));
    assert!(kept.exists());
    assert_eq!(client(&server).get(guard.id()).unwrap(), guard.info());
    guard.unlock().unwrap();
}

#[test]
fn a_lock_is_found_by_its_id_whatever_has_become_of_its_record_and_its_claim() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    let others: Vec<_> =
        (0..20).map(|n| client.try_lock(&format!("other {n}"), None).unwrap()).collect();
    let guard = client.try_lock("x", None).unwrap();
    fs::remove_file(dir.path().join(".relukko").join(guard.id().to_string())).unwrap();
    assert_eq!(client.get(guard.id()).unwrap().lock_name, "x", "by its claim's name");
    let held = Lock::new(dir.path().join("y")).unwrap();
    let held = held.try_lock().unwrap();
    let listed = client.list().unwrap();
    let foreign = listed.iter().find(|lock| lock.lock_name == "y").unwrap().id;
    assert_eq!(client.get(foreign).unwrap().lock_name, "y", "by its claim's name");
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("x|") || name.starts_with("y|") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for (id, name) in [(guard.id(), "x"), (foreign, "y")] {
        assert_eq!(client.get(id).unwrap().lock_name, name, "by the lock file's content");
        assert_eq!(client.delete(id).unwrap().lock_name, name);
        assert!(matches!(client.get(id), Err(ClientError::NotFound(_))));
    }
    assert!(held.verify().unwrap_err().is_lost());
    assert!(guard.unlock().unwrap_err().is_lost());
    assert_eq!(client.list().unwrap().len(), others.len());
}

/// No client has tried in vain to get the lock, and sweeps are rare: only watching the directory
/// can show it.
#[test]
fn a_listener_learns_of_another_servers_changes_at_once() {
    let dir = tempdir().unwrap();
    let rarely = || options(dir.path()).sweep_interval(10 * LIMIT).start().unwrap();
    let (one, two) = (rarely(), rarely());
    let mut listener = Listener::connect(one.address());
    let (tell, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || while tell.send(listener.deleted()).is_ok() {});
    // A change that lasts only for a moment may go unnoticed, so each lasts longer than the one
    // before.
    let mut ids = Vec::new();
    let first = (1..).find_map(|round| {
        let guard = client(&two).try_lock("x", None).unwrap();
        ids.push(guard.id().to_string());
        std::thread::sleep(Duration::from_millis(100 * round));
        guard.unlock().unwrap();
        assert!(ids.len() < 12, "it hears nothing");
        heard.recv_timeout(Duration::from_millis(500 * round)).ok()
    });
    assert_eq!(first.map(|(name, id)| (name, ids.contains(&id))), Some(("x".to_owned(), true)));
    // Its own changes are reported once.
    for name in ["c", "d", "e"] {
        let guard = client(&one).try_lock(name, None).unwrap();
        let id = guard.id().to_string();
        guard.unlock().unwrap();
        let next = || heard.recv_timeout(LIMIT).unwrap();
        let news = std::iter::repeat_with(next).find(|(name, _)| name != "x");
        assert_eq!(news, Some((name.to_owned(), id)));
    }
}

#[test]
fn a_directory_that_is_gone_is_unhealthy_until_it_is_there_again() {
    let dir = tempdir().unwrap();
    let locks = dir.path().join("locks");
    fs::create_dir(&locks).unwrap();
    let server = serve(&locks);
    // The server may be writing a file of its own just then.
    let remove = || wait_until("it is removed", || fs::remove_dir_all(&locks).is_ok());
    let health = || ask(server.address(), "GET", "/healthchecker", "").status;
    assert_eq!(health(), 200);
    remove();
    wait_until("it is unhealthy", || health() == 503);
    ask(server.address(), "GET", "/healthchecker", "").assert_refusal(503);
    assert!(!locks.exists(), "the server must not make it");
    fs::create_dir(&locks).unwrap();
    wait_until("it is healthy", || health() == 200);
    client(&server).try_lock("x", None).unwrap().unlock().unwrap();
    remove();
    fs::create_dir(&locks).unwrap();
    client(&server).try_lock("x", None).unwrap().unlock().unwrap();
}
