//! A server's responses.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;

/// Room for a list of a million locks.
pub(super) const LARGEST: u64 = 512 * 1024 * 1024;

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// The object in which a server rejects a request.
#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}

impl Response {
    /// Parses the body. 409 becomes [`ClientError::Refused`] like any other rejection: only the
    /// caller knows what it means.
    pub(super) fn read<T: DeserializeOwned>(self, url: String) -> Result<T, ClientError> {
        let Response { status, body } = self;
        if !(200..=299).contains(&status) {
            return Err(refusal(status, &body, url));
        }
        serde_json::from_slice(&body).map_err(|error| ClientError::NotRelukko {
            url,
            reason: format!("status {status}, but {error}"),
        })
    }
}

fn refusal(status: u16, body: &[u8], url: String) -> ClientError {
    let message = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    };
    match status {
        403 => ClientError::Denied { message },
        400..=499 => ClientError::Refused { status, message },
        500..=599 => ClientError::Unavailable { status, message },
        _ => ClientError::NotRelukko { url, reason: format!("status {status}: {message}") },
    }
}
