//! How a contender waits: in its host's queue, at whose head it watches the lock file. It polls as
//! well, since not every release wakes it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::model::backoff::Backoff;
use crate::model::context::Context;
use crate::model::names::Neighbour;
use crate::sys::errno::is_gone;
use crate::sys::handoff_queue::{HandoffToken, Place, QueueEvent, Queued};
use crate::sys::inotify::Watch;
use crate::wait::hints::Hints;
use crate::wait::park::Park;

/// Waiters behind the head poll by themselves after this many times the head's longest pause. An
/// observation of a local file costs next to nothing.
const BEHIND_LOCAL: u32 = 2;
const BEHIND_REMOTE: u32 = 30;

/// How long the lock is left to another host's waiter that was woken by a hint: by a waiter that has
/// seen the lock held until a moment ago, and by one that has just come.
const LEFT_BY_WAITER: Duration = Duration::from_millis(50);
const LEFT_BY_NEWCOMER: Duration = Duration::from_millis(100);

/// How long a holder may take between two steps of its release.
const A_MOMENT: Duration = Duration::from_millis(1);

/// How many times in a row the lock may go from one waiter of a host to the next while other hosts
/// wait, which only poll and are never as quick.
const HANDOFFS_IN_A_ROW: u64 = 32;

/// How one contender waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    backoff: Backoff,
    place: Option<Place>,
    watch: Option<Watch>,
    /// The claim of the holder that was observed last.
    holder: Option<PathBuf>,
    /// When to observe the lock file if nothing wakes the waiter before.
    observe_file: Option<Duration>,
    /// The lock that waiters of other hosts have claims of, where it is another than the one that is
    /// waited for.
    claimed: Option<Arc<Context>>,
}

/// Why a pause has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// It is our turn to try: the lock was released to us, or something has happened to it.
    Turn,
    /// It is time to observe the lock file.
    Look,
    /// Neither: only the given time has passed.
    Early,
}

impl Waiter {
    pub(crate) fn new(context: &Context) -> Waiter {
        let backoff = context.config.backoff();
        let (place, watch, holder, observe_file, claimed) = (None, None, None, None, None);
        Waiter { backoff, place, watch, holder, observe_file, claimed }
    }

    /// A waiter for one of several locks, which have a queue by the name of `context`. A process
    /// at the head of a host's queue has a claim of each, so also of `one`.
    pub(crate) fn in_set(context: &Context, one: &Arc<Context>) -> Waiter {
        Waiter { claimed: Some(one.clone()), ..Waiter::new(context) }
    }

    /// Joins the queue, unless that is done or impossible.
    pub(crate) fn queue_up(&mut self, context: &Context) {
        if self.place.is_none() {
            self.place = context.queue().and_then(Place::join);
            if self.place.is_some() {
                self.observe_file = None; // it was set for another place
            }
        }
    }

    /// Whether other waiters are in front: they get the lock first when it becomes free.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.place, Some(Place::Behind(_)))
    }

    /// The place at the head, to be passed on when the lock is released. A place that was not needed
    /// is given up now: the next process to ask is then the head itself, and the kernel wakes it by the
    /// release alone. On a server it is kept, since a waiter at the head polls.
    pub(crate) fn into_token(self, context: &Context, has_waited: bool) -> Option<HandoffToken> {
        match self.place {
            Some(Place::Head(token)) if has_waited || !context.is_local() => Some(token),
            Some(Place::Head(_) | Place::Behind(_)) | None => None,
        }
    }

    /// Waits until it is worthwhile to observe the lock file, which is held with the claim
    /// `holder`, or for `at_most`. Only the head of a host's queue asks for hints.
    pub(crate) async fn pause(
        &mut self,
        context: &Context,
        hints: Option<&mut Hints>,
        holder: Option<&Path>,
        at_most: Duration,
        parker: &impl Park,
    ) -> Woken {
        self.queue_up(context);
        match self.place.take() {
            Some(Place::Behind(behind)) => self.stand(context, behind, at_most, parker).await,
            place => {
                self.place = place;
                self.poll(context, hints, holder, at_most, parker).await
            }
        }
    }

    /// Waits behind other waiters in the queue.
    async fn stand(
        &mut self,
        context: &Context,
        mut behind: Queued,
        at_most: Duration,
        parker: &impl Park,
    ) -> Woken {
        let times = if context.is_local() { BEHIND_LOCAL } else { BEHIND_REMOTE };
        let pause = self.pause_until_look(context, |_| context.config.polling.cap * times);
        let heard = parker.park(context, vec![behind.wake_fd()], pause.min(at_most)).await;
        match if heard.is_some() { behind.event() } else { QueueEvent::None } {
            QueueEvent::Token(mut token) => {
                if token.handoffs >= HANDOFFS_IN_A_ROW {
                    token.handoffs = 0;
                    if others_wait(self.claimed.as_deref().unwrap_or(context)) {
                        let are_woken = context.config.wake_hints;
                        let cap = context.config.polling.cap;
                        let pause = if are_woken { LEFT_BY_WAITER.min(cap) } else { cap };
                        parker.park(context, Vec::new(), pause).await;
                    }
                }
                self.place = Some(Place::Head(token));
                self.observe_file = None;
                Woken::Turn
            }
            QueueEvent::Gone => {
                self.queue_up(context);
                Woken::Look
            }
            QueueEvent::None => {
                self.place = Some(Place::Behind(behind));
                self.look_if_it_is_time(context)
            }
        }
    }

    /// Waits at the head of the queue, or where there is no queue.
    async fn poll(
        &mut self,
        context: &Context,
        hints: Option<&mut Hints>,
        holder: Option<&Path>,
        at_most: Duration,
        parker: &impl Park,
    ) -> Woken {
        let mut hints = hints.filter(|_| holder.is_some());
        if let Some(claim) = holder.filter(|_| self.holder.as_deref() != holder) {
            self.holder = Some(claim.to_owned());
            if let Some(hints) = &mut hints {
                hints.meet(context, claim);
            }
            // The pauses are a fraction of the hold, not of the wait: a waiter that sees the lock
            // change hands must not poll ever more rarely, or the waiters of another host pass the
            // lock on among themselves.
            self.backoff = context.config.backoff();
            if context.machine.can_wake {
                self.watch = self.watch.take().or_else(Watch::new);
            }
            match self.watch.as_mut().map(|watch| watch.on(&[context.lock_path()])) {
                None => {}
                // Changes from before the watch began were not seen.
                Some(Ok(())) => return Woken::Look,
                Some(Err(error)) if is_gone(&error) => {
                    self.holder = None;
                    return Woken::Look;
                }
                Some(Err(_)) => self.watch = None,
            }
        }
        let rest = hints.as_mut().and_then(|hints| {
            hints.ask_again(context.now());
            hints.rest(context.now())
        });
        let pause = self.pause_until_look(context, |waiter| {
            rest.unwrap_or_else(|| waiter.backoff.pause((context.machine.random)()))
        });
        let watch = self.watch.as_ref().filter(|_| holder.is_some());
        let answers = hints.as_ref().and_then(|hints| hints.wake_fd());
        let wake_fds = watch.map(Watch::wake_fd).into_iter().chain(answers).collect();
        let woken = parker.park(context, wake_fds, pause.min(at_most)).await.is_some();
        let has_changed = woken && watch.is_some_and(Watch::hear);
        let look_after = hints.and_then(|hints| hints.hear(context));
        if has_changed || look_after == Some(Duration::ZERO) {
            self.observe_file = None;
            // Most often the lock was released. Looking first would only take time.
            return Woken::Turn;
        }
        if let Some(after) = look_after {
            let look_at = context.now().saturating_add(after);
            self.observe_file = Some(self.observe_file.map_or(look_at, |at| at.min(look_at)));
        }
        self.look_if_it_is_time(context)
    }

    /// Waits a moment for the next event. A holder removes its claim before the lock file, and a waiter
    /// that is woken by the first is too early. It may even keep the holder from its core.
    pub(crate) async fn hears_more(&self, context: &Context, parker: &impl Park) -> bool {
        let Some(watch) = &self.watch else { return false };
        parker.park(context, vec![watch.wake_fd()], A_MOMENT).await.is_some() && watch.hear()
    }

    /// The rest of a pause that has begun, or else of one that begins now.
    fn pause_until_look(
        &mut self,
        context: &Context,
        next: impl FnOnce(&mut Waiter) -> Duration,
    ) -> Duration {
        let now = context.now();
        let observe_file = match self.observe_file {
            Some(observe_file) => observe_file,
            None => now.saturating_add(next(self)),
        };
        self.observe_file = Some(observe_file);
        observe_file.saturating_sub(now)
    }

    fn look_if_it_is_time(&mut self, context: &Context) -> Woken {
        if self.observe_file.is_some_and(|observe_file| context.now() < observe_file) {
            return Woken::Early;
        }
        self.observe_file = None;
        Woken::Look
    }
}

/// Waits for a waiter on another machine, which may have been woken by a hint, or for this one's own
/// hint.
pub(crate) async fn leave_to_hinted(
    context: &Context,
    hints: &mut Hints,
    has_waited: bool,
    parker: &impl Park,
) {
    let wake_fds = hints.wake_fd().into_iter().collect();
    let time = if has_waited { LEFT_BY_WAITER } else { LEFT_BY_NEWCOMER };
    parker.park(context, wake_fds, time).await;
    hints.hear(context);
}

/// Makes the next waiter of this host leave the lock to other hosts for a moment.
pub(crate) fn let_others_first(token: &mut HandoffToken) {
    token.handoffs = token.handoffs.max(HANDOFFS_IN_A_ROW);
}

/// Whether waiters on other hosts want the lock: then it is left to them for as long as they may
/// take to poll.
pub(crate) fn others_wait(context: &Context) -> bool {
    if context.is_local() {
        return false; // all possible contenders are in the queue
    }
    let Ok(entries) = context.machine.fs.list(context.names.dir()) else { return false };
    let is_other = |entry: &OsString| match context.names.parse_neighbour(entry) {
        Some(Neighbour::Claim(claim)) => *claim.host != *context.names.host(),
        _ => false,
    };
    entries.iter().any(is_other)
}
