//! What Relukko lacks: lifetimes, secrets, fencing tokens, waiting in line, pages and events.

use std::cmp::min;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::acquire::create;
use super::body::parse;
use super::handling::{
    LONGEST_WAIT, Routes, SHORTEST, granted, known_secret, on, parse_id, seconds, text,
};
use crate::info::Access;
use crate::server::caller::Caller;
use crate::server::connections::stopped;
use crate::server::error_response::ErrorResponse;
use crate::server::registry::Registry;
use crate::server::shared::Shared;
use crate::server::shown::Shown;
use crate::server::store::{Record, StoreError};
use crate::timestamp;

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
struct Page {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
    /// Of the only lock that is asked for.
    name: Option<String>,
    /// To ask for that lock's readers.
    access: Option<Access>,
    /// To ask for the slots of the set with this name.
    set: Option<String>,
}

async fn list(
    State(shared): State<Shared>,
    Query(Page { after, limit, name, access, set }): Query<Page>,
) -> Result<Json<Value>, ErrorResponse> {
    let most = limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let find = move |registry: &Registry| match (name, set) {
        (Some(name), _) if access == Some(Access::Read) => Ok((registry.readers(&name)?, None)),
        (Some(name), _) => Ok((registry.held(&name)?.into_iter().collect(), None)),
        (None, Some(set)) => Ok((registry.slots(&set)?, None)),
        (None, None) => registry.page(&after, most),
    };
    let (locks, next): (Vec<_>, _) = on(&shared, find).await?;
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
        record.info.expires_at = timestamp::whole_microseconds(now + tenure.lifetime());
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
