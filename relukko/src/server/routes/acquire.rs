//! Requests for locks of `/v2/`: at once, or in line.

use std::cmp::min;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::body::parse;
use super::handling::{
    LONGEST_WAIT, SHORTEST, acquire_or_undo, granted, new_secret, on, optional_time, seconds, text,
    unfit,
};
use crate::info::Access;
use crate::server::caller::Caller;
use crate::server::connections::stopped;
use crate::server::error_response::ErrorResponse;
use crate::server::queues::{Line, Place, Turn};
use crate::server::registry::Acquired;
use crate::server::shared::Shared;
use crate::server::store::{MOST_SLOTS, Terms, Wanted};
use crate::timestamp;

/// How often who is first in line looks at the lock even if nothing was heard of it.
const LOOK: Duration = Duration::from_secs(1);

/// By how much a server's clock may be behind that of the one which dated a place in the line: the one
/// before a restart, or another. A place must not move because of that.
const CLOCKS: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Create {
    name: String,
    slots: Option<u32>,
    access: Option<Access>,
    lifetime: Option<f64>,
    #[serde(default)]
    wait: f64,
    #[serde(default, deserialize_with = "optional_time")]
    since: Option<SystemTime>,
    who: Option<String>,
    note: Option<String>,
}

/// Creates a lock, or waits in line for it. A request that is repeated with the same secret gets the same
/// lock, so a client whose connection was lost can repeat it.
pub(super) async fn create(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErrorResponse> {
    caller.may_create()?;
    let secret = new_secret(&headers)?;
    let Create { name, slots, access, lifetime, wait, since, who, note } =
        parse(body, shared.options.client_timeout).await?;
    if slots.is_some_and(|slots| !(1..=MOST_SLOTS).contains(&slots)) {
        return Err(unfit(format!("slots has to be a number from 1 to {MOST_SLOTS}")));
    }
    if slots.is_some() && access.is_some() {
        return Err(unfit("a slot has no readers: give slots or access".to_owned()));
    }
    let lifetime = lifetime.map(|it| seconds("lifetime", it)).transpose()?;
    let lifetime = lifetime.unwrap_or(shared.options.lifetime);
    let terms = Terms {
        secret,
        lifetime: lifetime.clamp(SHORTEST, shared.options.max_lifetime),
        note: text("note", note)?,
    };
    let wait = min(seconds("wait", wait)?, LONGEST_WAIT);
    let wanted = Wanted {
        lock_name: name,
        slots,
        access,
        creator: text("who", who)?,
        ip: Some(caller.address.to_string()),
        key: caller.key().map(str::to_owned),
        most: caller.most(),
        terms: Some(terms),
    };
    let attempt = Attempt { shared, wanted, until: Instant::now() + wait };
    match since {
        Some(since) => attempt.in_line(since).await,
        None if wait.is_zero() => attempt.now().await,
        None => attempt.join().await,
    }
}

/// A request for a lock.
struct Attempt {
    shared: Shared,
    wanted: Wanted,
    /// When it is answered at the latest.
    until: Instant,
}

impl Attempt {
    /// Does not wait, and does not overtake those who do.
    async fn now(self) -> Result<Response, ErrorResponse> {
        if !self.is_waited_for() {
            let acquired = self.acquire().await;
            let is_held = acquired.as_ref().is_err_and(ErrorResponse::is_conflict);
            if is_held && self.wanted.access == Some(Access::Write) {
                let wanted = self.wanted.clone();
                on(&self.shared, move |registry| registry.give_up(&wanted)).await?;
            }
            return acquired;
        }
        let message = "others wait for this lock";
        let waited_for = ErrorResponse::new(StatusCode::CONFLICT, message);
        self.own().await?.ok_or(waited_for)
    }

    /// Takes the lock if it is free, or else tells the client its place in the line.
    async fn join(self) -> Result<Response, ErrorResponse> {
        let acquired =
            if self.is_waited_for() { self.own().await? } else { self.acquire_if_free().await? };
        if let Some(acquired) = acquired {
            return Ok(acquired);
        }
        let since = on(&self.shared, |registry| Ok(registry.now())).await?;
        Ok(waiting(since, &self.place(since)))
    }

    /// Waits for the turn that a client has since this date, and then for the lock.
    async fn in_line(self, since: SystemTime) -> Result<Response, ErrorResponse> {
        let now = on(&self.shared, |registry| Ok(registry.now())).await?;
        // A later date is from before the clock was set back: until then, newcomers would overtake it.
        let since = if since > now + CLOCKS { now } else { since };
        let mut place = self.place(since);
        let mut stopping = self.shared.stopping.clone();
        loop {
            let look_again = match place.turn() {
                Turn::Ours => {
                    if let Some(acquired) = self.acquire_if_free().await? {
                        place.give_up();
                        return Ok(acquired);
                    }
                    Instant::now() + LOOK
                }
                Turn::Later(at) => at.map_or(self.until, Instant::from_std),
            };
            if Instant::now() >= self.until {
                return Ok(waiting(since, &place));
            }
            let rest = min(look_again, self.until) - Instant::now();
            tokio::select! {
                _ = timeout(rest, place.moved()) => {}
                () = stopped(&mut stopping) => return Ok(waiting(since, &place)),
            }
        }
    }

    fn is_waited_for(&self) -> bool {
        self.shared.registry.queues.has(&self.line())
    }

    fn place(&self, since: SystemTime) -> Place {
        let secret = self.wanted.secret().expect("set at the start").clone();
        self.shared.registry.queues.enter(&self.line(), since, secret)
    }

    fn line(&self) -> Line {
        let name = self.wanted.lock_name.clone();
        if self.wanted.slots.is_some() { Line::Slots(name) } else { Line::Lock(name) }
    }

    /// The lock, if it is this client's already.
    async fn own(&self) -> Result<Option<Response>, ErrorResponse> {
        let wanted = self.wanted.clone();
        let own = on(&self.shared, move |registry| registry.own(&wanted)).await?;
        Ok(own.map(|own| granted(StatusCode::OK, &own)))
    }

    /// The same as [`acquire`](Self::acquire), without an error if the lock is held.
    async fn acquire_if_free(&self) -> Result<Option<Response>, ErrorResponse> {
        match self.acquire().await {
            Err(error) if error.is_conflict() => Ok(None),
            acquired => acquired.map(Some),
        }
    }

    /// Creates the lock, unless it is this client's already: an attempt may have succeeded without its
    /// knowledge.
    async fn acquire(&self) -> Result<Response, ErrorResponse> {
        Ok(match acquire_or_undo(&self.shared, self.wanted.clone()).await? {
            Acquired::New(record) => granted(StatusCode::CREATED, &record),
            Acquired::Own(record) => granted(StatusCode::OK, &record),
        })
    }
}

/// The client's place in the line, to be named in its next request.
fn waiting(since: SystemTime, place: &Place) -> Response {
    let since = timestamp::format(since);
    (StatusCode::ACCEPTED, Json(json!({ "since": since, "ahead": place.ahead() }))).into_response()
}
