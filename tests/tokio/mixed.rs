//! Tasks, threads and processes contend, and hold the lock one at a time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use tempfile::tempdir;

use crate::kit::again::this_program;
use crate::kit::exclusion::is_alone;
use crate::kit::names;
use crate::{alone, in_time, lock, many_threads};

const TURNS: usize = 40;
const OF_EACH: usize = 3;
const LOCK: &str = "LINKLOCK_TEST_MIXED";

/// Only the holder may do this.
fn work(lock: &Path) {
    let witness = lock.with_file_name("witness");
    assert!(is_alone(&witness, std::thread::yield_now), "two hold the lock");
}

fn take_turns(path: &Path) {
    let lock = linklock::Lock::new(path).unwrap();
    for _ in 0..TURNS {
        let guard = lock.lock().unwrap();
        work(path);
        guard.unlock().unwrap();
    }
}

fn process(path: &Path) -> Child {
    let mut command = this_program("mixed::takes_turns");
    command.env(LOCK, path).stdout(Stdio::null()).spawn().unwrap()
}

/// Not a test: the other process.
#[test]
#[ignore = "started by a test as another process"]
fn takes_turns() {
    if let Some(path) = env::var_os(LOCK) {
        take_turns(&PathBuf::from(path));
    }
}

#[test]
fn one_at_a_time() {
    let _alone = alone();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let processes: Vec<Child> = (0..OF_EACH).map(|_| process(&path)).collect();
    let threads: Vec<_> = (0..OF_EACH)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || take_turns(&path))
        })
        .collect();
    let runtime = many_threads();
    let tasks: Vec<_> = (0..OF_EACH)
        .map(|number| {
            let path = path.clone();
            runtime.spawn(async move {
                let lock = lock(&path);
                for _ in 0..TURNS {
                    let guard = lock.lock().await.unwrap();
                    work(&path);
                    if number == 0 {
                        drop(guard);
                    } else {
                        guard.unlock().await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(in_time("a task has had its turns", task)).unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    drop(runtime);
    assert!(names(dir.path()).is_empty());
}
