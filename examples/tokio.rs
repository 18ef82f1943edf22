//! A worker on tokio that stops as soon as it has lost its lock.
//!
//!     cargo run --features tokio --example tokio -- /shared/worker.lock

use std::error::Error;
use std::time::Duration;

use linklock::Lock;
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: tokio LOCK")?;
    let lock = Lock::options(path).lifetime(Duration::from_secs(3)).build()?;
    let lock = linklock::tokio::Lock::from(lock);

    let guard = lock.lock().await?; // any number of tasks may wait like this
    let mut kept = guard.keep_alive();
    tokio::select! {
        // The work is dropped at its last await, and does not continue.
        Some(why) = kept.lost() => Err(why.into()),
        () = work() => Ok(guard.unlock().await?),
    }
}

async fn work() {
    for part in 1..=10 {
        println!("part {part} of 10");
        sleep(Duration::from_secs(1)).await;
    }
}
