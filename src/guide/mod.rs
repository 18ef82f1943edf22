//! The guide: what the reference of single items does not say.
//!
//! For programmers:
//!
//! - [`lifetimes`]: choosing a lifetime and a clock slop, and when a holder counts as dead;
//! - [`leases`]: what a lease does not do, and fencing tokens, which do it;
//! - [`waiting`]: the queue, the polling, and what they cost;
//! - [`flufl_lock`]: what flufl.lock's names are called here.
//!
//! For administrators:
//!
//! - [`nfs`]: mount and export options, and what breaks what;
//! - [`tracing`]: what happens to locks, as events;
//! - [`containers`]: host names, process ids and boots;
//! - [`security`]: who can do what to a lock.
//!
//! For implementers:
//!
//! - [`format`](mod@format): the files, as a specification;
//! - [`safety`]: why at most one process holds the lock.
//!
//! These modules have no items: they are text.
//!
//! # The protocol in one picture
#![doc = ""]
#![doc = include_str!("../../docs/protocol.svg")]

#[doc = include_str!("lifetimes.md")]
pub mod lifetimes {}

#[doc = include_str!("leases.md")]
pub mod leases {}

#[doc = include_str!("waiting.md")]
pub mod waiting {}

#[doc = include_str!("nfs.md")]
pub mod nfs {}

#[doc = include_str!("tracing.md")]
pub mod tracing {}

#[doc = include_str!("containers.md")]
pub mod containers {}

#[doc = include_str!("flufl_lock.md")]
pub mod flufl_lock {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("format.md")]
pub mod format {}

#[doc = include_str!("safety.md")]
pub mod safety {}

/// What the chapters say of the code is held against it.
#[cfg(test)]
mod tests {
    use crate::sys::os_str::OsStrExt;
    use std::ffi::OsStr;
    use std::path::Path;

    use crate::holder::Role;
    use crate::model::hint::{Asker, Hint};
    use crate::model::names::{ClaimName, Names, Neighbour};
    use crate::sys::process::{boot_of, world_of};

    const FORMAT: &str = include_str!("format.md");

    fn names() -> Names {
        Names::new(Path::new("/srv/lock"), '|', OsStr::new("mars"), Role::Alone).unwrap()
    }

    /// The rows of a table of test vectors.
    fn vectors(table: &str) -> Vec<Vec<String>> {
        let begin = format!("```text,{table}\n");
        let (_, rest) = FORMAT.split_once(&begin).expect("there is such a table");
        let (table, _) = rest.split_once("```").unwrap();
        let row = |line: &str| {
            line.split_ascii_whitespace().map(|field| field.replace("\\n", "\n")).collect()
        };
        table.lines().map(row).collect()
    }

    #[test]
    fn names_are_what_the_specification_says() {
        for row in vectors("names") {
            let kind = match names().parse_neighbour(OsStr::new(&row[0])) {
                Some(Neighbour::Claim(_)) => "claim",
                Some(Neighbour::Seat(_)) => "seat",
                Some(Neighbour::Aside) => "aside",
                Some(Neighbour::FenceDraft) => "draft",
                None => "nothing",
            };
            assert_eq!([row[0].as_str(), kind], row[..]);
        }
    }

    #[test]
    fn contents_are_what_the_specification_says() {
        for row in vectors("contents") {
            let found = match names().parse_content(row[0].as_bytes()) {
                Some(claim) => what_it_says(&claim),
                None => vec!["nothing".to_owned()],
            };
            assert_eq!(found, row[1..], "{}", row[0]);
        }
    }

    fn what_it_says(claim: &ClaimName) -> Vec<String> {
        let whose = if claim.is_foreign() { "flufl.lock" } else { "linklock" };
        let proof = claim.process().proof;
        let or_none = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
        let world = or_none(proof.map(|proof| format!("{:012x}", proof.world)));
        let started = or_none(proof.map(|proof| format!("{:x}", proof.started)));
        let boot = or_none(proof.and_then(|proof| Some(format!("{:08x}", proof.boot?))));
        let host = String::from_utf8_lossy(claim.host.as_bytes()).into_owned();
        vec![host, claim.pid.to_string(), whose.to_owned(), world, started, boot]
    }

    #[test]
    fn keys_are_what_the_specification_says() {
        for row in vectors("keys") {
            let content = format!("/srv/lock|mars|1|{}", row[0]);
            let nonce = names().parse_content(content.as_bytes()).unwrap().nonce;
            let made =
                [names().seat(&nonce, 0), names().aside(&nonce, 7), names().fence_draft(&nonce, 7)];
            for (made, expected) in made.iter().zip(&row[1..]) {
                assert_eq!(*made, Path::new("/srv").join(expected));
            }
        }
    }

    #[test]
    fn roles_are_what_the_specification_says() {
        for row in vectors("roles") {
            let content = format!("/srv/lock|mars|1|{}", row[0]);
            let role = match names().parse_content(content.as_bytes()).unwrap().nonce.role() {
                Role::Slot(of) => of.to_string(),
                Role::Entrance => "entrance".to_owned(),
                Role::Alone => "-".to_owned(),
            };
            assert_eq!(role, row[1]);
        }
    }

    #[test]
    fn readers_are_what_the_specification_says() {
        for row in vectors("readers") {
            let lock = names().parse_reader(OsStr::new(&row[0]));
            assert_eq!(if lock.is_some() { "yes" } else { "no" }, row[1], "{}", row[0]);
        }
    }

    #[test]
    fn worlds_are_what_the_specification_says() {
        for row in vectors("worlds") {
            let times = if row[2] == "-" { "" } else { &row[2] };
            let world = world_of(&row[0], Path::new(&row[1]), Path::new(times));
            assert_eq!(format!("{world:012x}"), row[3]);
            assert_eq!(format!("{:08x}", boot_of(&row[0])), row[4]);
        }
    }

    #[test]
    fn addresses_are_what_the_specification_says() {
        for row in vectors("addresses") {
            let content = format!("/srv/lock|mars|1|{}", row[0]);
            let nonce = names().parse_content(content.as_bytes()).unwrap().nonce;
            let found = nonce.address().map_or_else(|| "nothing".to_owned(), |it| it.to_string());
            assert_eq!(found, row[1], "{}", row[0]);
        }
    }

    #[test]
    fn hints_are_what_the_specification_says() {
        for row in vectors("hints") {
            let digits = row[0].trim_end_matches("...");
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let mut datagram: Vec<_> = (0..digits.len()).step_by(2).map(byte).collect();
            if digits != row[0] {
                datagram.resize(512, 0);
            }
            let hint = Hint::decode(&datagram);
            assert_eq!(what_is_hinted(hint.as_ref()), row[1..], "{}", row[0]);
            assert!(hint.is_none_or(|hint| hint.encode() == datagram), "{}", row[0]);
        }
    }

    fn what_is_hinted(hint: Option<&Hint>) -> Vec<String> {
        match hint {
            Some(Hint::Ask { cookie, nonce, next }) => {
                let first = vec!["ask".into(), cookie.to_string(), nonce.clone()];
                first.into_iter().chain(askers(next)).collect()
            }
            Some(Hint::Kept { cookie, period }) => {
                vec!["kept".into(), cookie.to_string(), period.as_millis().to_string()]
            }
            Some(Hint::Turn { cookie, after, next }) => {
                let first = vec!["turn".into(), cookie.to_string(), after.as_millis().to_string()];
                first.into_iter().chain(askers(next)).collect()
            }
            None => vec!["nothing".into()],
        }
    }

    fn askers(list: &[Asker]) -> impl Iterator<Item = String> {
        list.iter().flat_map(|asker| [asker.address.to_string(), asker.cookie.to_string()])
    }

    #[test]
    fn counters_are_what_the_specification_says() {
        for row in vectors("counters") {
            let counter = Names::parse_counter(OsStr::new(&row[0]));
            let found = counter.map_or_else(|| "nothing".to_owned(), |number| number.to_string());
            assert_eq!(found, row[1], "{}", row[0]);
        }
    }

    /// Each safeguard of the protocol has its place in the argument, with the test that takes it
    /// away.
    #[test]
    fn the_argument_leaves_no_safeguard_out() {
        const SAFETY: &str = include_str!("safety.md");
        let (_, list) =
            include_str!("../model/safeguard.rs").split_once("enum Safeguard {").unwrap();
        let (list, _) = list.split_once('}').unwrap();
        let names = list.lines().filter_map(|line| line.trim().strip_suffix(','));
        let mutants = include_str!("../testing/sim/mutants.rs");
        let tests = mutants.lines().filter_map(|line| line.strip_prefix("fn "));
        let tests = tests.filter_map(|rest| rest.strip_suffix("() {"));
        let named: Vec<_> = names.chain(tests).collect();
        assert!(named.len() > 25, "{named:?}");
        for name in named {
            assert!(SAFETY.contains(&format!("`{name}`")), "{name} is missing");
        }
    }
}
