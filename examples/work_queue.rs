//! A queue in a shared directory, which several processes on several machines drain: each job is
//! done once, and a job whose worker dies is done by another.
//!
//! A job is a file in `jobs/`. A worker that takes it locks it; done, it moves the file to `done/`. The
//! locks are in a directory of their own, so that nobody takes one for a job.
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
            // Nothing that this job still does may count: another has it.
            eprintln!("work_queue: {why}");
            std::process::exit(1);
        })?;
        do_job(&job);
        fs::rename(&job, queue.join("done").join(job.file_name().unwrap_or_default()))?;
        guard.unlock()?;
    }
    Ok(())
}

/// A job that nobody is at, if there is one.
fn take_job(queue: &Path) -> Result<Option<(PathBuf, LockGuard)>, Box<dyn Error>> {
    for entry in fs::read_dir(queue.join("jobs"))? {
        let job = entry?;
        let mut name = job.file_name();
        name.push(".lock");
        match Lock::new(queue.join("locks").join(name))?.try_lock() {
            // It may have been done between our look at the directory and now.
            Ok(guard) if job.path().exists() => return Ok(Some((job.path(), guard))),
            Ok(guard) => guard.unlock()?,
            Err(error) if error.is_contention() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Stands for whatever a job is.
fn do_job(job: &Path) {
    println!("{} is done by process {}", job.display(), std::process::id());
}
