//! A queue in a shared directory, which several processes on several machines drain: each job is
//! done once, and a job whose worker dies is done by another.
//!
//! A job is a file in `jobs/`. A worker locks it, and moves it to `done/` when the job is done. The locks
//! are in a separate directory, so that none is taken for a job.
//!
//!     mkdir -p /shared/queue/jobs && touch /shared/queue/jobs/{a,b,c}
//!     cargo run --example work_queue -- /shared/queue      # on as many machines as you like

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use linklock::{Lock, LockGuard};

fn main() -> Result<(), Box<dyn Error>> {
    let queue = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: work_queue DIRECTORY")?);
    for directory in ["jobs", "locks", "done"] {
        fs::create_dir_all(queue.join(directory))?;
    }
    while let Some((job, guard)) = take_job(&queue)? {
        guard.keep_alive(|why| {
            // Another worker may have the job by now, so this one must not complete it.
            eprintln!("work_queue: {why}");
            std::process::exit(1);
        })?;
        do_job(&job);
        fs::rename(&job, queue.join("done").join(job.file_name().unwrap_or_default()))?;
        guard.unlock()?;
    }
    Ok(())
}

/// A job that no worker has taken, if there is one.
fn take_job(queue: &Path) -> Result<Option<(PathBuf, LockGuard)>, Box<dyn Error>> {
    for entry in fs::read_dir(queue.join("jobs"))? {
        let job = entry?;
        let mut name = job.file_name();
        name.push(".lock");
        match Lock::new(queue.join("locks").join(name))?.try_lock() {
            // Another worker may have done it since we listed the directory.
            Ok(guard) if job.path().exists() => return Ok(Some((job.path(), guard))),
            Ok(guard) => guard.unlock()?,
            Err(error) if error.is_contention() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// A stand-in for a job.
fn do_job(job: &Path) {
    println!("{} is done by process {}", job.display(), std::process::id());
}
