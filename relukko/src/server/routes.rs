//! The routes, as described in `openapi.json`.

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error_response::{self, ErrorResponse};
use super::object::Object;
use super::registry::Registry;
use super::shared::Shared;
use super::store::StoreError;
use super::{broadcast, page};
use crate::info::{LockId, LockInfo};
use crate::timestamp;

/// How many seconds a request without a body extends a lock by.
const PROLONGED: f64 = 300.0;
/// Enough for the longest name with every byte escaped as six.
const LARGEST_BODY: usize = 128 * 1024;
const LONGEST_CREATOR: usize = 4096;

type Answer = Result<Json<LockInfo>, ErrorResponse>;

type Routes = Vec<(&'static str, MethodRouter<Shared>)>;

/// The routes that need a key, and those that do not.
fn table() -> (Routes, Routes) {
    let closed = vec![
        ("/v1/locks", post(create).get(list)),
        ("/v1/locks/{id}", get(one).put(update).delete(delete)),
        ("/v1/locks/{id}/keep_alive", get(keep_alive).put(keep_alive_for).head(no_head)),
        ("/v1/locks/{id}/add_to_expire_at", get(add).put(add_seconds).head(no_head)),
        ("/v2/server", get(about)),
        ("/ws/broadcast", get(broadcast::upgrade)),
    ];
    let open = vec![
        ("/", get(page::html)),
        ("/page.css", get(page::css)),
        ("/page.js", get(page::js)),
        ("/healthchecker", get(health)),
        ("/metrics", get(metrics)),
        ("/openapi.json", get(page::openapi)),
    ];
    (closed, open)
}

pub(crate) fn router(shared: Shared) -> Router {
    let (closed, open) = table();
    let join = |routes: Routes| {
        let none = Router::new();
        routes.into_iter().fold(none, |router, (path, methods)| router.route(path, methods))
    };
    let locked = middleware::from_fn_with_state(shared.clone(), check_key);
    join(closed)
        .method_not_allowed_fallback(wrong_method)
        .route_layer(locked)
        .merge(join(open))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown)
        .layer(middleware::from_fn(error_response::as_object))
        .layer(middleware::from_fn_with_state(shared.clone(), observe))
        .with_state(shared)
}

/// Rejects requests whose key is wrong or missing, with 403.
async fn check_key(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.keys.read().unwrap_or_else(PoisonError::into_inner).let_in(request.headers()) {
        return next.run(request).await;
    }
    ErrorResponse::new(
        StatusCode::FORBIDDEN,
        "the API key (header X-api-Key) is missing or not accepted",
    )
    .into_response()
}

async fn unknown() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, "no such resource")
}

async fn wrong_method() -> ErrorResponse {
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not supported here")
}

/// Logs and counts requests, without revealing a key: headers are not recorded.
async fn observe(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => {
            known.to_owned()
        }
        _ => "other".to_owned(), // clients must not choose how many metrics there are
    };
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    shared.registry.metrics.answered(&method, &route, status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(%peer, method, route, status, micros, "answered");
    response
}

async fn health(State(shared): State<Shared>) -> Result<Json<serde_json::Value>, ErrorResponse> {
    let registry = shared.registry.clone();
    match shared.access.run(move || registry.check_health()).await? {
        Ok(()) => {
            Ok(Json(serde_json::json!({ "status": "success", "message": "linklock serves" })))
        }
        Err(why) => {
            let message = format!("the locks' directory cannot be used: {why}");
            Err(ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, message))
        }
    }
}

/// What the page shows of the server. It needs a key, since a path may reveal something.
async fn about(State(shared): State<Shared>) -> Json<serde_json::Value> {
    Json(serde_json::json!({
        "directory": shared.options.dir.display().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.registry.metrics.text())
}

#[derive(Deserialize)]
struct Create {
    lock_name: String,
    creator: Option<String>,
}

async fn create(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Body,
) -> Result<(StatusCode, Json<LockInfo>), ErrorResponse> {
    let Create { lock_name, creator } = parse(body, shared.options.client_timeout).await?;
    check_creator(creator.as_ref())?;
    let peer = peer.ip().to_canonical();
    let registry = shared.registry.clone();
    let create = move || registry.create(&lock_name, creator, Some(peer.to_string()));
    let registry = shared.registry.clone();
    let undo = move |created: Result<LockInfo, _>| {
        if let Ok(info) = created {
            let _ = registry.delete(info.id, peer); // otherwise it ends when it expires
        }
    };
    let info = shared.access.run_or_undo(create, undo).await??;
    Ok((StatusCode::CREATED, Json(info)))
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
    on(&shared, move |registry| registry.get(id)).await.map(Json)
}

#[derive(Deserialize)]
struct Update {
    creator: Option<String>,
    #[serde(default, deserialize_with = "optional_time")]
    expires_at: Option<SystemTime>,
}

async fn update(State(shared): State<Shared>, Path(id): Path<String>, body: Body) -> Answer {
    let id = parse_id(&id)?;
    let Update { creator, expires_at } = parse(body, shared.options.client_timeout).await?;
    check_creator(creator.as_ref())?;
    change(&shared, id, move |info, _| {
        info.creator = creator.or(info.creator.take());
        info.expires_at = expires_at.unwrap_or(info.expires_at);
        Ok(())
    })
    .await
}

async fn delete(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
) -> Answer {
    let (id, peer) = (parse_id(&id)?, peer.ip().to_canonical());
    on(&shared, move |registry| registry.delete(id, peer)).await.map(Json)
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

async fn keep_alive(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    let id = parse_id(&id)?;
    change(&shared, id, |info, now| expire(info, now, PROLONGED)).await
}

async fn keep_alive_for(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let id = parse_id(&id)?;
    let Seconds { seconds } = parse(body, shared.options.client_timeout).await?;
    change(&shared, id, move |info, now| expire(info, now, seconds)).await
}

async fn add(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    let id = parse_id(&id)?;
    change(&shared, id, |info, _| expire(info, info.expires_at, PROLONGED)).await
}

async fn add_seconds(State(shared): State<Shared>, Path(id): Path<String>, body: Body) -> Answer {
    let id = parse_id(&id)?;
    let Seconds { seconds } = parse(body, shared.options.client_timeout).await?;
    change(&shared, id, move |info, _| expire(info, info.expires_at, seconds)).await
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
    id: LockId,
    change: impl FnOnce(&mut LockInfo, SystemTime) -> Result<(), StoreError> + Send + 'static,
) -> Answer {
    on(shared, move |registry| registry.update(id, change)).await.map(Json)
}

/// Accesses the directory, which blocks. The work continues even if the client gives up.
async fn on<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Registry) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ErrorResponse> {
    let registry = shared.registry.clone();
    Ok(shared.access.run(move || work(&registry)).await??)
}

/// An invalid id is an unknown one.
fn parse_id(id: &str) -> Result<LockId, ErrorResponse> {
    id.parse().map_err(|error| {
        ErrorResponse::new(StatusCode::NOT_FOUND, format!("no such lock: {error}"))
    })
}

fn check_creator(creator: Option<&String>) -> Result<(), ErrorResponse> {
    if creator.is_some_and(|creator| creator.len() > LONGEST_CREATOR) {
        let message = format!("creator is longer than {LONGEST_CREATOR} bytes");
        return Err(ErrorResponse::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    Ok(())
}

fn optional_time<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<SystemTime>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| timestamp::parse(&text)).transpose().map_err(serde::de::Error::custom)
}

/// Reads a body, with limits on its size and time. Its content type is ignored.
async fn parse<T: DeserializeOwned>(
    body: Body,
    client_timeout: Duration,
) -> Result<T, ErrorResponse> {
    let read = tokio::time::timeout(client_timeout, to_bytes(body, LARGEST_BODY)).await;
    let read = read.map_err(|_| {
        ErrorResponse::new(StatusCode::REQUEST_TIMEOUT, "the body was not sent in time")
    })?;
    let text = read.map_err(|error| {
        let too_long = std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if too_long {
            let message = format!("the body is longer than {LARGEST_BODY} bytes");
            ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        } else {
            ErrorResponse::new(StatusCode::BAD_REQUEST, format!("cannot read the body: {error}"))
        }
    })?;
    let parsed = serde_json::from_slice::<Object<T>>(&text);
    parsed.map(|Object(body)| body).map_err(|error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            Category::Io | Category::Syntax | Category::Eof => StatusCode::BAD_REQUEST,
        };
        ErrorResponse::new(status, format!("invalid body: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let text = include_str!("openapi.json");
        let description: serde_json::Value = serde_json::from_str(text).unwrap();
        let (closed, open) = table();
        let served = closed.iter().map(|(path, _)| (*path, true));
        let served: Vec<_> = served.chain(open.iter().map(|(path, _)| (*path, false))).collect();
        let described = description["paths"].as_object().unwrap();
        assert_eq!(served.len(), described.len());
        for (path, needs_key) in served {
            let item = described.get(path).unwrap_or_else(|| panic!("{path}")).as_object().unwrap();
            for (method, operation) in item.iter().filter(|(name, _)| *name != "parameters") {
                assert_eq!(operation["security"].is_array(), needs_key, "{method} {path}");
            }
        }
    }
}
