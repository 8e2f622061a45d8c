//! Calls of the server: every one of them has an end, and every refusal says what the server said.

use std::time::Duration;

use bytes::Bytes;
use elasticsearch::{
    auth::Credentials,
    http::{
        headers::HeaderMap,
        transport::{SingleNodeConnectionPool, Transport, TransportBuilder},
    },
};
use serde::{Deserialize, de::DeserializeOwned};

pub(super) use elasticsearch::http::Method;

use super::ElasticsearchUrl;
use crate::search::SearchError;

/// How long a query, or another call that somebody waits for, may take.
pub(super) const SHORT: Duration = Duration::from_secs(5);
/// How long a call may take that writes a lot or changes the cluster's state.
pub(super) const LONG: Duration = Duration::from_secs(30);
/// So much of what a server says is shown.
const SHOWN: usize = 200;

/// One server, or what stands before a cluster.
#[derive(Clone)]
pub(super) struct Server {
    transport: Transport,
    shown: String,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Bytes,
    shown: String,
}

impl Server {
    pub(super) fn new(url: &ElasticsearchUrl) -> Result<Self, SearchError> {
        let pool = SingleNodeConnectionPool::new(url.address.clone());
        // A database is not reached by way of the proxy that the web is reached by.
        let mut builder = TransportBuilder::new(pool).disable_proxy();
        if let Some((user, password)) = url.credentials.clone() {
            builder = builder.auth(Credentials::Basic(user, password));
        }
        let transport =
            builder.build().map_err(|error| SearchError::Unavailable(error.to_string()))?;
        Ok(Self { transport, shown: url.address.to_string() })
    }

    /// Sends a call. An answer of any status is an answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Option<Bytes>>,
        patience: Duration,
    ) -> Result<Answer, SearchError> {
        let sent = self.transport.send(
            method,
            path,
            HeaderMap::new(),
            None::<&()>,
            body.into(),
            Some(patience),
        );
        let response = sent.await.map_err(|error| self.away(&error))?;
        let status = response.status_code().as_u16();
        let body = response.bytes().await.map_err(|error| self.away(&error))?;
        Ok(Answer { status, body, shown: self.shown.clone() })
    }

    fn away(&self, error: &elasticsearch::Error) -> SearchError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        SearchError::Unavailable(format!(
            "Elasticsearch at {} does not answer: {cause}",
            self.shown
        ))
    }
}

/// What a server says of a call, or of a part of one, that it refused.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    caused_by: Option<Box<Reason>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

impl Reason {
    /// In one line: what it says, and what caused it.
    pub(super) fn shown(&self) -> String {
        let own = self.reason.as_deref().unwrap_or_default();
        let own: String = own.chars().take(SHOWN).collect();
        match &self.caused_by {
            Some(cause) => format!("{own}: {}", cause.shown()),
            None => own,
        }
    }
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    /// What it holds.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, SearchError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            SearchError::Unavailable(format!(
                "what answers at {} is no Elasticsearch, or one of another version: {error}",
                self.shown
            ))
        })
    }

    /// The kind of a refusal, by the server's own word.
    pub(super) fn kind(&self) -> String {
        let refusal = serde_json::from_slice::<Refusal>(&self.body);
        refusal.map(|refusal| refusal.error.kind).unwrap_or_default()
    }

    /// What it holds, of a call that succeeded.
    pub(super) fn done<T: DeserializeOwned>(&self) -> Result<T, SearchError> {
        if self.is_success() { self.read() } else { Err(self.refused()) }
    }

    /// That the call was refused.
    pub(super) fn refused(&self) -> SearchError {
        let said = match serde_json::from_slice::<Refusal>(&self.body) {
            Ok(Refusal { error }) => error.shown(),
            Err(_) => String::from_utf8_lossy(&self.body).chars().take(SHOWN).collect(),
        };
        SearchError::Unavailable(format!(
            "Elasticsearch at {} answered {}: {said}",
            self.shown, self.status
        ))
    }
}
