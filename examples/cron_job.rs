//! A job that cron starts every few minutes, on several machines, and that must not overlap.
//!
//! If another machine runs the job, this one exits at once without output, since cron would mail it.
//! The same for a job in any language: `linklock run --no-wait -E 0 /shared/job.lock -- COMMAND`.
//!
//!     cargo run --example cron_job -- /shared/report.lock

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use linklock::Lock;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: cron_job LOCK")?);
    let lock = Lock::options(path).lifetime(Duration::from_secs(60)).build()?;
    let guard = match lock.try_lock() {
        Ok(guard) => guard,
        Err(error) if error.is_contention() => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };

    // The job may take longer than a lease, so a background thread keeps the lock alive.
    let kept = guard.kept_alive()?;
    for part in 1..=5 {
        if let Some(why) = kept.lost_within(Duration::ZERO) {
            eprintln!("cron_job: {why}");
            return Ok(ExitCode::FAILURE); // another machine may run the job by now
        }
        work_on(part);
    }
    guard.unlock()?;
    Ok(ExitCode::SUCCESS)
}

/// A stand-in for the job.
fn work_on(part: u32) {
    println!("part {part} of the report is done");
    std::thread::sleep(Duration::from_millis(50));
}
