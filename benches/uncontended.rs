//! The cost of lock + unlock without contention, by criterion, for all Rust locks. The table of
//! ratios, with the other peers, is made by `tables`.
#![allow(missing_docs)] // criterion's macros

use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use linklock_bench::ways::Way;

fn alone(criterion: &mut Criterion) {
    for parent in [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/dev/shm")] {
        let dir = match tempfile::tempdir_in(parent) {
            Ok(dir) => dir,
            Err(error) => {
                println!("skipped: {}: {error}", parent.display());
                continue;
            }
        };
        let is_disk = parent != Path::new("/dev/shm");
        let mut group = criterion.benchmark_group(if is_disk { "target" } else { "tmpfs" });
        for way in Way::ALL {
            let mut lock = way.open(&dir.path().join("it.lock"));
            group.bench_function(way.name(), |bencher| {
                bencher.iter(|| {
                    lock.lock();
                    lock.unlock();
                });
            });
            drop(lock);
            let _ = std::fs::remove_file(dir.path().join("it.lock")); // flock leaves it behind
        }
        group.finish();
    }
}

criterion_group!(benches, alone);
criterion_main!(benches);
