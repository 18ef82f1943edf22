//! What Relukko lacks: lifetimes, secrets, fencing tokens, waiting in line, pages and events.

use std::cmp::min;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::body::parse;
use super::handling::{Routes, create_or_undo, on, optional_time, parse_id, text, unfit};
use crate::server::caller::Caller;
use crate::server::connections::stopped;
use crate::server::error_response::ErrorResponse;
use crate::server::queues::{Place, Turn};
use crate::server::secret::Digest;
use crate::server::shared::Shared;
use crate::server::shown::Shown;
use crate::server::store::{Record, StoreError, Terms, Wanted};
use crate::timestamp;

/// The header with the holder's secret.
const SECRET: &str = "x-lock-secret";
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 16..=200;
const SHORTEST: Duration = Duration::from_secs(1);
/// How long a request may wait; its client can come back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often who is first in line looks at the lock even if nothing was heard of it.
const LOOK: Duration = Duration::from_secs(1);
/// How many locks a page has, and at most.
const PAGE: usize = 1000;
const LONGEST_PAGE: usize = 10_000;

/// The routes, all of which need a key.
pub(super) fn routes() -> Routes {
    vec![
        ("/v2/locks", post(create).get(list)),
        ("/v2/locks/{id}", get(one).put(refresh).delete(release)),
        ("/v2/events", get(events)),
        ("/v2/server", get(about)),
    ]
}

#[derive(Deserialize)]
struct Create {
    name: String,
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
async fn create(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErrorResponse> {
    caller.may_create()?;
    let secret = new_secret(&headers)?;
    let Create { name, lifetime, wait, since, who, note } =
        parse(body, shared.options.client_timeout).await?;
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
        creator: text("who", who)?,
        ip: Some(caller.address.to_string()),
        key: caller.key().map(str::to_owned),
        terms: Some(terms),
    };
    let attempt = Attempt { shared, wanted, until: Instant::now() + wait };
    if let Some(since) = since {
        return attempt.in_line(since).await;
    }
    if let Some(own) = attempt.own().await? {
        return Ok(granted(StatusCode::OK, &own));
    }
    if wait.is_zero() { attempt.now().await } else { attempt.join().await }
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
        if self.is_waited_for() {
            let message = "others wait for this lock";
            return Err(ErrorResponse::new(StatusCode::CONFLICT, message));
        }
        Ok(granted(StatusCode::CREATED, &self.take().await?))
    }

    /// Takes the lock if it is free, or else tells the client its place in the line.
    async fn join(self) -> Result<Response, ErrorResponse> {
        if !self.is_waited_for() {
            if let Some(taken) = self.take_if_free().await? {
                return Ok(granted(StatusCode::CREATED, &taken));
            }
        }
        let since = on(&self.shared, |registry| Ok(registry.now())).await?;
        Ok(waiting(since, &self.place(since)))
    }

    /// Waits for the turn that a client has since this date, and then for the lock.
    async fn in_line(self, since: SystemTime) -> Result<Response, ErrorResponse> {
        let now = on(&self.shared, |registry| Ok(registry.now())).await?;
        let since = min(since, now);
        let mut place = self.place(since);
        let mut stopping = self.shared.stopping.clone();
        loop {
            let look_again = match place.turn() {
                Turn::Ours => {
                    // One attempt of this client may have succeeded without its knowledge.
                    if let Some(own) = self.own().await? {
                        place.give_up();
                        return Ok(granted(StatusCode::OK, &own));
                    }
                    if let Some(taken) = self.take_if_free().await? {
                        place.give_up();
                        return Ok(granted(StatusCode::CREATED, &taken));
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
        self.shared.registry.queues.has(&self.wanted.lock_name)
    }

    fn place(&self, since: SystemTime) -> Place {
        let secret = self.secret().clone();
        self.shared.registry.queues.enter(&self.wanted.lock_name, since, secret)
    }

    fn secret(&self) -> &Digest {
        &self.wanted.terms.as_ref().expect("set at the start").secret
    }

    /// The lock, if it is this client's already.
    async fn own(&self) -> Result<Option<Record>, ErrorResponse> {
        let (name, secret) = (self.wanted.lock_name.clone(), self.secret().clone());
        on(&self.shared, move |registry| registry.own(&name, &secret)).await
    }

    /// The same as [`take`](Self::take), without an error if the lock is held.
    async fn take_if_free(&self) -> Result<Option<Record>, ErrorResponse> {
        match self.take().await {
            Err(error) if error.is_conflict() => Ok(None),
            taken => taken.map(Some),
        }
    }

    async fn take(&self) -> Result<Record, ErrorResponse> {
        create_or_undo(&self.shared, self.wanted.clone()).await
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

async fn list(
    State(shared): State<Shared>,
    Query(Page { after, limit }): Query<Page>,
) -> Result<Json<Value>, ErrorResponse> {
    let most = limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let (locks, next) = on(&shared, move |registry| registry.page(&after, most)).await?;
    let locks: Vec<_> = locks.iter().map(Shown::of).collect();
    Ok(Json(json!({ "locks": locks, "next": next })))
}

async fn one(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, ErrorResponse> {
    let id = parse_id(&id)?;
    let record = on(&shared, move |registry| registry.get(id)).await?;
    Ok(granted(StatusCode::OK, &record))
}

#[derive(Deserialize)]
struct Refresh {
    lifetime: Option<f64>,
    note: Option<String>,
}

/// Renews the lease of the client's own lock.
async fn refresh(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErrorResponse> {
    caller.may_create()?;
    let (id, secret) = (parse_id(&id)?, known_secret(&headers)?);
    let Refresh { lifetime, note } = parse(body, shared.options.client_timeout).await?;
    let (lifetime, note) =
        (lifetime.map(|it| seconds("lifetime", it)).transpose()?, text("note", note)?);
    let longest = shared.options.max_lifetime;
    let renew = move |record: &mut Record, now: SystemTime| {
        let own = record.tenure.as_mut().filter(|tenure| tenure.secret.matches(&secret));
        let tenure = own.ok_or(StoreError::NotYours(id))?;
        if let Some(lifetime) = lifetime {
            tenure.lifetime = lifetime.clamp(SHORTEST, longest).as_secs_f64();
        }
        tenure.note = note.or(tenure.note.take());
        let lifetime = Duration::try_from_secs_f64(tenure.lifetime).unwrap_or(SHORTEST);
        record.info.expires_at = timestamp::whole_microseconds(now + lifetime);
        Ok(())
    };
    let record = on(&shared, move |registry| registry.update(id, renew)).await?;
    Ok(granted(StatusCode::OK, &record))
}

async fn release(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    caller.may_create()?;
    let (id, secret) = (parse_id(&id)?, known_secret(&headers)?);
    let record = on(&shared, move |registry| registry.release(id, &secret, &caller)).await?;
    Ok(granted(StatusCode::OK, &record))
}

#[derive(Deserialize)]
struct After {
    after: Option<String>,
    #[serde(default)]
    wait: f64,
}

async fn events(
    State(shared): State<Shared>,
    Query(After { after, wait }): Query<After>,
) -> Result<Json<Value>, ErrorResponse> {
    let wait = min(seconds("wait", wait)?, LONGEST_WAIT);
    let _listens = shared.registry.listen(); // so that the directory is watched
    let mut stopping = shared.stopping.clone();
    let batch = tokio::select! {
        batch = shared.registry.events.after(after.as_deref(), wait) => batch,
        () = stopped(&mut stopping) => {
            shared.registry.events.after(after.as_deref(), Duration::ZERO).await
        }
    };
    let batch = batch.map_err(|_| {
        let message =
            "these events are not known any more: list the locks, and go on without `after`";
        ErrorResponse::new(StatusCode::GONE, message)
    })?;
    Ok(Json(json!({ "events": batch.events, "next": batch.next })))
}

/// What the page shows of the server. It needs a key, since a path may reveal something.
async fn about(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({
        "directory": shared.options.dir.display().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// The lock as an answer.
fn granted(status: StatusCode, record: &Record) -> Response {
    (status, Json(Shown::of(record))).into_response()
}

/// The client's place in the line, to be named in its next request.
fn waiting(since: SystemTime, place: &Place) -> Response {
    let since = timestamp::format(since);
    (StatusCode::ACCEPTED, Json(json!({ "since": since, "ahead": place.ahead() }))).into_response()
}

/// The secret that was sent.
fn sent(headers: &HeaderMap) -> Option<&str> {
    headers.get(SECRET)?.to_str().ok()
}

/// The secret that a client has chosen.
fn new_secret(headers: &HeaderMap) -> Result<Digest, ErrorResponse> {
    match sent(headers).filter(|secret| SECRET_LENGTH.contains(&secret.len())) {
        Some(secret) => Ok(Digest::of(secret)),
        None => Err(unfit(format!(
            "the header X-Lock-Secret has to be a secret of {} to {} characters, which you choose at random",
            SECRET_LENGTH.start(),
            SECRET_LENGTH.end()
        ))),
    }
}

/// The secret of a lock that exists.
fn known_secret(headers: &HeaderMap) -> Result<Digest, ErrorResponse> {
    let missing = "the header X-Lock-Secret is missing";
    sent(headers).map(Digest::of).ok_or_else(|| ErrorResponse::new(StatusCode::FORBIDDEN, missing))
}

fn seconds(what: &str, seconds: f64) -> Result<Duration, ErrorResponse> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| unfit(format!("{what} has to be a number of seconds, and not {seconds}")))
}
