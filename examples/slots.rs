//! Jobs on the GPUs of one machine: as many at a time as there are GPUs, each on one of its own. More
//! of them wait for the first that is free.
//!
//!     for job in 1 2 3 4 5; do cargo run --example slots -- /tmp/gpu.lock 2 $job & done

use std::error::Error;

use linklock::Slots;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: slots LOCK GPUS JOB";
    let path = arguments.next().ok_or(usage)?;
    let gpus = arguments.next().ok_or(usage)?.parse()?;
    let job = arguments.next().ok_or(usage)?;

    let guard = Slots::new(path, gpus)?.lock()?;
    guard.keep_alive(|why| {
        // Another job may be on this GPU by now.
        eprintln!("slots: {why}");
        std::process::exit(1);
    })?;
    encode(&job, guard.slot());
    guard.into_guard().unlock()?;
    Ok(())
}

/// A stand-in for the work.
fn encode(job: &str, gpu: usize) {
    println!("job {job} begins on GPU {gpu}");
    std::thread::sleep(std::time::Duration::from_millis(20));
    println!("job {job} ends on GPU {gpu}");
}
