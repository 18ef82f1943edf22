//! What the tests with many processes share: they hold locks, are killed, and write down what they
//! saw, and all that is compared.
//!
//! [`setup`] says what is to happen; [`workers`] runs the processes, [`worker`] is what each of them
//! does; [`history`] is what they write down; [`witness`] and [`exclusion_checker`] are the two proofs, which
//! do not know of each other: a name that only one can have, and intervals that may not overlap.

pub(crate) mod contender;
pub(crate) mod exclusion_checker;
pub(crate) mod flufl;
pub(crate) mod history;
pub(crate) mod nemesis;
pub(crate) mod setup;
pub(crate) mod witness;
pub(crate) mod workdir;
pub(crate) mod worker;
pub(crate) mod workers;
