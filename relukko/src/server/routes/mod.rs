//! The routes, as described in `openapi.json`.

mod acquire;
mod body;
mod handling;
mod v1;
mod v2;

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use self::handling::Routes;
use super::caller::{self, Caller};
use super::error_response::{self, ErrorResponse};
use super::keys::Grant;
use super::shared::Shared;
use super::{broadcast, page};

/// The routes that need a key, and those that do not.
fn table() -> (Routes, Routes) {
    let mut closed = v1::routes();
    closed.extend(v2::routes());
    closed.push(("/ws/broadcast", get(broadcast::upgrade)));
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

/// Rejects requests whose key is wrong or missing, with 403. The others learn who sends them.
async fn check_key(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(grant) = grant(&shared, request.headers()) {
        let address = caller::address(peer.ip(), request.headers(), &shared.options.proxies);
        request.extensions_mut().insert(Caller::new(address, grant));
        return next.run(request).await;
    }
    ErrorResponse::new(
        StatusCode::FORBIDDEN,
        "the API key (header X-api-Key) is missing or not accepted",
    )
    .into_response()
}

fn grant(shared: &Shared, headers: &HeaderMap) -> Option<Grant> {
    let keys = shared.keys.read().unwrap_or_else(PoisonError::into_inner);
    keys.let_in(headers).cloned()
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

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.registry.metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let text = include_str!("../openapi.json");
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
