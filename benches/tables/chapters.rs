//! What all chapters share: which peers to measure, where, how much; and the goals.

use std::fs;
use std::path::{Path, PathBuf};

use linklock_bench::ways::Way;
use tempfile::TempDir;

use crate::goals::Goal;
use crate::size::Size;
use crate::workers::{Peer, fresh, skip};

/// The peers that wake their waiters.
pub(crate) const WOKEN: [Way; 3] = [Way::Flock, Way::Linklock, Way::LinklockKept];

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) dir: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Chapters {
    pub(crate) size: Size,
    pub(crate) peers: Vec<Peer>,
    /// A disk, and memory if there is a file system in it.
    pub(crate) places: Vec<Place>,
    pub(crate) goals: Vec<Goal>,
    _tools: TempDir,
}

impl Chapters {
    pub(crate) fn new(size: Size) -> Chapters {
        let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let tools = fresh(&disk);
        let peers = Peer::all(tools.path());
        let mut places = vec![Place { name: "disk", dir: disk }];
        let memory = Place { name: "tmpfs", dir: PathBuf::from("/dev/shm") };
        if memory.dir.is_dir() {
            places.push(memory);
        } else {
            skip(memory.name, "there is no /dev/shm");
        }
        Chapters { size, peers, places, goals: Vec::new(), _tools: tools }
    }

    /// Where peers contend if their waking is measured, not the load of a disk.
    pub(crate) fn quiet(&self) -> Place {
        self.places[self.places.len() - 1].clone()
    }

    /// Where peers contend, and where many of them do.
    pub(crate) fn contended(&self) -> Vec<Place> {
        if self.size.everywhere { self.places.clone() } else { vec![self.quiet()] }
    }

    /// The peers that poll, without the bare calls.
    pub(crate) fn pollers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.polls.is_some())
    }

    pub(crate) fn draw(
        &self,
        name: &str,
        plot: impl FnOnce(&Path) -> Result<(), Box<dyn std::error::Error>>,
    ) {
        if !self.size.plots {
            return;
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench");
        fs::create_dir_all(&dir).expect("a place for plots");
        plot(&dir.join(format!("{name}.svg"))).expect("a plot");
    }
}

/// Nanoseconds, for people.
pub(crate) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns.is_nan() => "?".to_owned(),
        ns if ns < 1e4 => format!("{:.2} us", ns / 1e3),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}
