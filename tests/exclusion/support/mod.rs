//! What the tests with many processes share: workers hold locks, are killed, and write down what they saw;
//! all of that is compared.
//!
//! [`setup`] says what is to happen; [`workers`] keeps processes at work, [`worker`] is what each of them does,
//! [`nemesis`] what befalls it. [`history`] is what they write down, from which [`exclusion_checker`] finds
//! overlaps; [`witness`] is the other proof, which knows nothing of the first: a name that only one can have.

pub(crate) mod contender;
pub(crate) mod exclusion_checker;
pub(crate) mod figures;
pub(crate) mod flufl;
pub(crate) mod history;
pub(crate) mod nemesis;
pub(crate) mod remains;
pub(crate) mod setup;
pub(crate) mod witness;
pub(crate) mod workdir;
pub(crate) mod worker;
pub(crate) mod workers;
