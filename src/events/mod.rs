//! What happens to locks, as events for those who subscribe to them: the feature `tracing`. Without it
//! the macros of [`emit`] vanish, and with them all that these functions would have said.
//!
//! Each function is one thing that can happen, and they are grouped as `guide/tracing.md` lists them.
//! What happens in any healthy program is DEBUG, since there may be thousands of it in a second, and
//! refreshes are TRACE; what takes long is INFO; what has been survived and should not have been is
//! WARN; and what may have done harm is ERROR.
//!
//! A forked child emits nothing of what its parent did: the subscriber could hang there, if another
//! thread of the parent was at it.
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
    broken, broken_on_request, caught_another, dotlock_broken, ended_by_another,
    removed_on_request, right_not_given_back,
};
pub(crate) use self::holding::{Holding, adopted, detached, not_kept_alive, not_released};
pub(crate) use self::tidying::{left_behind, not_swept, swept};
