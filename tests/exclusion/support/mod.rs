//! What the tests with many processes share: they hold locks, are killed, and write down what they
//! saw, and all that is compared.
//!
//! [`setup`] says what is to happen; [`crew`] runs the processes, [`worker`] is what each of them
//! does; [`journal`] is what they write down; [`witness`] and [`ledger`] are the two proofs, which
//! do not know of each other: a name that only one can have, and intervals that may not overlap.

pub(crate) mod contender;
pub(crate) mod crew;
pub(crate) mod flufl;
pub(crate) mod journal;
pub(crate) mod ledger;
pub(crate) mod mortal;
pub(crate) mod setup;
pub(crate) mod witness;
pub(crate) mod worker;
pub(crate) mod yard;
