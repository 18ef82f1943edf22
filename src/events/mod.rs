//! Events about locks, for subscribers: the feature `tracing`. Without it the macros of [`emit`]
//! vanish, and with them everything that these functions would emit.
//!
//! Each function reports one thing that can happen; they are grouped as in `guide/tracing.md`.
//! Events of any healthy program are DEBUG, since they may occur thousands of times a second, and
//! refreshes are TRACE. Events that took long are INFO, unexpected but harmless ones WARN, and
//! those that may have done harm ERROR.
//!
//! A forked child emits nothing about its parent's locks: the subscriber could hang there, if
//! another thread of the parent was inside it during the fork.
#![cfg_attr(
    not(feature = "tracing"),
    allow(
        dead_code,
        unused_imports,
        unused_variables,
        clippy::if_same_then_else,
        clippy::unused_self,
    )
)]

#[macro_use]
mod emit;
mod acquiring;
mod breaking;
mod holding;
mod peer;
mod span;
mod text;
mod tidying;

pub(crate) use self::acquiring::{Acquisition, Waiting, restarted};
pub(crate) use self::breaking::{
    broken, broken_on_request, caught_another, dotlock_broken, ended_by_another, not_put_back,
    removed_on_request, right_not_given_back,
};
pub(crate) use self::holding::{Holding, adopted, detached, not_kept_alive, not_released};
pub(crate) use self::tidying::{left_behind, not_swept, swept};
