//! Relukko's interface.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;

use super::body::parse;
use super::handling::{Routes, acquire_or_undo, on, optional_time, parse_id, text};
use crate::info::{LockId, LockInfo};
use crate::server::caller::Caller;
use crate::server::error_response::ErrorResponse;
use crate::server::shared::Shared;
use crate::server::store::{Record, StoreError, Wanted};
use crate::timestamp;

/// How many seconds a request without a body extends a lock by.
const PROLONGED: f64 = 300.0;

type Answer = Result<Json<LockInfo>, ErrorResponse>;

/// The routes, all of which need a key.
pub(super) fn routes() -> Routes {
    vec![
        ("/v1/locks", post(create).get(list)),
        ("/v1/locks/{id}", get(one).put(update).delete(delete)),
        ("/v1/locks/{id}/keep_alive", get(keep_alive).put(keep_alive_for).head(no_head)),
        ("/v1/locks/{id}/add_to_expire_at", get(add).put(add_seconds).head(no_head)),
    ]
}

#[derive(Deserialize)]
struct Create {
    lock_name: String,
    creator: Option<String>,
}

async fn create(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<(StatusCode, Json<LockInfo>), ErrorResponse> {
    caller.may_create()?;
    let Create { lock_name, creator } = parse(body, shared.options.client_timeout).await?;
    let creator = text("creator", creator)?;
    let ip = Some(caller.address.to_string());
    let (key, most) = (caller.key().map(str::to_owned), caller.most());
    let wanted =
        Wanted { lock_name, slots: None, access: None, creator, ip, key, most, terms: None };
    Ok((StatusCode::CREATED, Json(acquire_or_undo(&shared, wanted).await?.record().info.clone())))
}

async fn list(State(shared): State<Shared>) -> Result<impl IntoResponse, ErrorResponse> {
    let make = || async {
        on(&shared, |registry| {
            let text = serde_json::to_vec(&registry.list()?).expect("a list is JSON");
            Ok(Bytes::from(text))
        })
        .await
    };
    let list = shared.lists.get(make).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], list))
}

async fn one(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    let id = parse_id(&id)?;
    on(&shared, move |registry| Ok(registry.get(id)?.info)).await.map(Json)
}

#[derive(Deserialize)]
struct Update {
    creator: Option<String>,
    #[serde(default, deserialize_with = "optional_time")]
    expires_at: Option<SystemTime>,
}

async fn update(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let id = parse_id(&id)?;
    let Update { creator, expires_at } = parse(body, shared.options.client_timeout).await?;
    let creator = text("creator", creator)?;
    change(&shared, caller, id, move |info, _| {
        info.creator = creator.or(info.creator.take());
        info.expires_at = expires_at.unwrap_or(info.expires_at);
        Ok(())
    })
    .await
}

async fn delete(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let id = parse_id(&id)?;
    on(&shared, move |registry| Ok(registry.delete(id, &caller)?.info)).await.map(Json)
}

/// axum treats HEAD as GET without the body, but HEAD must not change a lock.
async fn no_head() -> impl IntoResponse {
    let message = "this method is not supported here";
    ([(header::ALLOW, "GET,PUT")], ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, message))
}

#[derive(Deserialize)]
struct Seconds {
    seconds: f64,
}

async fn keep_alive(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let id = parse_id(&id)?;
    change(&shared, caller, id, |info, now| expire(info, now, PROLONGED)).await
}

async fn keep_alive_for(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let id = parse_id(&id)?;
    let Seconds { seconds } = parse(body, shared.options.client_timeout).await?;
    change(&shared, caller, id, move |info, now| expire(info, now, seconds)).await
}

async fn add(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let id = parse_id(&id)?;
    change(&shared, caller, id, |info, _| expire(info, info.expires_at, PROLONGED)).await
}

async fn add_seconds(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let id = parse_id(&id)?;
    let Seconds { seconds } = parse(body, shared.options.client_timeout).await?;
    change(&shared, caller, id, move |info, _| expire(info, info.expires_at, seconds)).await
}

/// Sets a lock to expire this many seconds after `from`, or before it.
fn expire(info: &mut LockInfo, from: SystemTime, seconds: f64) -> Result<(), StoreError> {
    let by = Duration::try_from_secs_f64(seconds.abs()).ok();
    let to =
        by.and_then(|by| if seconds < 0.0 { from.checked_sub(by) } else { from.checked_add(by) });
    let to = to.filter(|to| timestamp::format(*to).is_some());
    let to = to.ok_or(StoreError::BadTime("seconds must lead to a date between 1970 and 9999"))?;
    info.expires_at = timestamp::whole_microseconds(to);
    Ok(())
}

async fn change(
    shared: &Shared,
    caller: Caller,
    id: LockId,
    change: impl FnOnce(&mut LockInfo, SystemTime) -> Result<(), StoreError> + Send + 'static,
) -> Answer {
    let change = move |record: &mut Record, now| {
        caller.may_change(record)?;
        change(&mut record.info, now)
    };
    on(shared, move |registry| Ok(registry.update(id, change)?.info)).await.map(Json)
}
