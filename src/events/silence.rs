//! What stands in the place of `report` without the feature `tracing`: nothing is told.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dotlock::Dotlock;
use crate::error::Error;
use crate::holder::{Holder, Obstacle, Owner};
use crate::model::context::Context;

#[derive(Debug)]
pub(crate) struct Acquisition;

impl Acquisition {
    pub(crate) fn begin(_: &Context, _: &Path, _: Duration) -> Acquisition {
        Acquisition
    }

    #[allow(clippy::unused_self)] // with the feature it is used
    pub(crate) fn during<T>(&self, act: impl FnOnce() -> T) -> T {
        act()
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn ended(
        &self,
        _: &Context,
        _: &Path,
        _: Result<(Option<&Path>, Option<u64>), &Error>,
    ) {
    }
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {}

#[allow(clippy::unused_self)]
impl Waiting {
    pub(crate) fn meets(&mut self, _: &Path, _: &Obstacle, _: Duration, _: Duration) {}
}

#[derive(Debug, Default)]
pub(crate) struct Holding {}

#[allow(clippy::unused_self)]
impl Holding {
    pub(crate) fn begin(_: &Context) -> Holding {
        Holding {}
    }

    pub(crate) fn refreshed(
        &self,
        _: &Context,
        _: &Path,
        _: Duration,
        _: Result<Duration, &Error>,
    ) {
    }

    pub(crate) fn released(&self, _: &Context, _: &Path, _: Duration, _: Result<(), &Error>) {}

    pub(crate) fn lost(&self, _: &Path, error: Error) -> Error {
        error
    }
}

pub(crate) fn begun_anew(_: &Context, _: &'static str) {}
pub(crate) fn broken(_: &Context, _: &Holder) {}
pub(crate) fn broken_on_request(_: &Context, _: &Holder) {}
pub(crate) fn removed_on_request(_: &Context, _: bool) {}
pub(crate) fn ended_by_another(_: &Context, _: &Holder) {}
pub(crate) fn dotlock_broken(_: &Path, _: &Dotlock) {}
pub(crate) fn caught_another(_: &Path) {}
pub(crate) fn not_released(_: &Path, _: &Error) {}
pub(crate) fn not_kept_alive(_: &Path, _: Duration, _: &Error) {}
pub(crate) fn detached(_: &Context, _: &Path, _: Owner) {}
pub(crate) fn adopted(_: &Context, _: &Path, _: Option<u64>) {}
pub(crate) fn swept(_: &Context, _: &[PathBuf]) {}
pub(crate) fn not_swept(_: &Context, _: &Error) {}
pub(crate) fn left_behind(_: &Context, _: &Path, _: &dyn Display) {}
pub(crate) fn right_not_given_back(_: &Path, _: &Error) {}
