//! linklock beside its peers and beside the floor, all in one run: tables of ratios, goals, and the
//! README's plots.
//!
//! `cargo bench -p linklock-bench --bench tables`, and `-- --quick` for a minute of it. It fails if
//! a goal is missed by more than any load of the machine could explain.

mod alone;
mod calls;
mod chapters;
mod contender;
mod crowd;
mod goals;
mod handover;
mod plot;
mod scale;
mod several;
mod size;
mod workers;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use linklock_bench::ways::Way;

use crate::chapters::Chapters;
use crate::size::Size;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["as", way, path] => contender::obey(Way::named(way).expect("a way"), Path::new(path)),
        ["hold", number, dir] => scale::hold(number.parse().expect("a number"), Path::new(dir)),
        ["wait", number, dir] => scale::wait(number.parse().expect("a number"), Path::new(dir)),
        // `cargo test --benches` runs it without `--bench`, as a mere test.
        _ if args.contains(&"--quick") || !args.contains(&"--bench") => return all(Size::QUICK),
        _ => return all(Size::FULL),
    }
    ExitCode::SUCCESS
}

fn all(size: Size) -> ExitCode {
    let mut chapters = Chapters::new(size);
    chapters.alone();
    for place in chapters.contended() {
        chapters.handover(&place);
        chapters.crowds(&place);
    }
    chapters.several();
    chapters.scale(&chapters.contended()[0]);
    if goals::judge(&chapters.goals) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
