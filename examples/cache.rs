//! A cache in two files that belong together. Any number of programs read it at the same time, and one at
//! a time rebuilds it, while nobody reads.
//!
//!     cargo run --example cache -- /tmp/cache rebuild
//!     for reader in 1 2 3; do cargo run --example cache -- /tmp/cache read & done

use std::error::Error;
use std::fs;
use std::path::Path;

use linklock::RwLock;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: cache DIR read|rebuild";
    let dir = arguments.next().ok_or(usage)?;
    let command = arguments.next().ok_or(usage)?;

    let dir = Path::new(&dir);
    fs::create_dir_all(dir)?;
    let lock = RwLock::new(dir.join("lock"))?;
    match &*command {
        "read" => {
            let guard = lock.read()?;
            let read = read(dir);
            // If the lease is over, somebody may have begun to rebuild: what was read counts only if
            // the lock was held until now.
            guard.unlock()?;
            println!("{}", read?);
        }
        "rebuild" => {
            let guard = lock.write()?;
            guard.keep_alive(|why| {
                eprintln!("cache: {why}");
                std::process::exit(1); // before readers find half of it
            })?;
            rebuild(dir)?;
            // Look at it while others do, too.
            let guard = guard.downgrade()?;
            println!("{}", read(dir)?);
            guard.unlock()?;
        }
        _ => return Err(usage.into()),
    }
    Ok(())
}

/// What is in the cache, if its two files belong together.
fn read(dir: &Path) -> Result<String, Box<dyn Error>> {
    let index = fs::read_to_string(dir.join("index"))?;
    std::thread::sleep(std::time::Duration::from_millis(5)); // for work that takes a while
    let objects = fs::read_to_string(dir.join("objects"))?;
    if index == objects { Ok(index) } else { Err("the files are of two versions".into()) }
}

fn rebuild(dir: &Path) -> Result<(), Box<dyn Error>> {
    let version = format!("built by process {}", std::process::id());
    fs::write(dir.join("index"), &version)?;
    std::thread::sleep(std::time::Duration::from_millis(5));
    fs::write(dir.join("objects"), &version)?;
    Ok(())
}
