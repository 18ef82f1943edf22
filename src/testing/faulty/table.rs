//! The table: every use, with every errno at every call of every operation; by default, with some of
//! them at every call.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use super::checks::Check;
use super::fault::{Fault, Op, When};
use super::scene::Scene;
use super::uses::{self, Use};
use crate::sys::errno;
use crate::sys::fs::Mount;
use crate::testing::is_exhaustive;

const ERRNOS: [i32; 15] = [
    errno::EINTR,
    errno::EIO,
    errno::ESTALE,
    errno::ENOENT,
    errno::EACCES,
    errno::EPERM,
    errno::EROFS,
    errno::ENOSPC,
    errno::EDQUOT,
    errno::EMFILE,
    errno::ENAMETOOLONG,
    errno::ELOOP,
    errno::EXDEV,
    errno::EMLINK,
    errno::ETIMEDOUT,
];

/// One errno in so many is tried at each call, by turns, unless tests are [exhaustive](is_exhaustive).
const SHARE: usize = 3;

/// Runs one case, and returns its problems.
fn run(act: Use, mount: Mount, fault: Option<Fault>) -> (Vec<String>, Counts) {
    let scene = Scene::new(mount);
    let mut check = Check::new(&scene, fault);
    act(&scene, &mut check);
    let counts = Op::ALL.map(|op| scene.fs.count(op));
    (check.finish(), counts)
}

/// How often each operation was called.
pub(super) type Counts = [usize; Op::ALL.len()];

/// Every fault that can apply when the operations are called this often.
fn faults(counts: Counts) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut turns = (0..SHARE).cycle();
    for op in Op::ALL {
        let executions: &[bool] = if op.changes() { &[false, true] } else { &[false] };
        for number in 0..counts[op as usize] {
            for when in [When::At(number), When::From(number)] {
                for &executed in executions {
                    let errnos = ERRNOS.into_iter().zip((0..SHARE).cycle());
                    let turn = turns.next();
                    let errnos = errnos.filter(|(_, of)| is_exhaustive() || turn == Some(*of));
                    faults.extend(errnos.map(|(errno, _)| Fault { op, errno, when, executed }));
                }
            }
        }
    }
    faults
}

/// Runs all cases of a use, each in a scene of its own, and fails with a list of the problems,
/// where equal ones are listed together.
#[track_caller]
pub(super) fn drive(run: impl Fn(Mount, Option<Fault>) -> (Vec<String>, Counts)) {
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut cases = 0;
    for mount in [Mount::Local, Mount::Nfs, Mount::Other] {
        let (problems, counts) = run(mount, None);
        assert!(problems.is_empty(), "undisturbed, {mount:?}: {problems:#?}");
        for fault in faults(counts) {
            cases += 1;
            let Fault { op, errno, when, executed } = fault;
            for problem in run(mount, Some(fault)).0 {
                let case = format!("{mount:?} {op:?} {when:?} executed: {executed}: {problem}");
                wrong
                    .entry(case)
                    .or_default()
                    .push(format!("{:?}", io::Error::from_raw_os_error(errno)));
            }
        }
    }
    let mut list = String::new();
    for (case, errnos) in &wrong {
        let _ = writeln!(list, "{case} [{}]", errnos.join(" "));
    }
    assert!(wrong.is_empty(), "of {cases} cases:\n{list}");
    assert!(cases > 0);
}

macro_rules! table {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            drive(|mount, fault| run(uses::$name, mount, fault));
        }
    )*};
}

table! {
    uncontended
    first_token
    chosen_mode
    later_token
    expired_holder
    dead_holder
    dead_breaker
    contended
    awaited
    refresh_in_time
    refresh_late
    refresh_very_late
    refresh_without_claim
    verify
    unlock_late
    unlock_very_late
    handed_over
    asked_about
    sweep
    break_if
    break_file_if
}
