use std::convert::Infallible;

use axum::extract::FromRequestParts;
use event_schemas::{Actor, ActorKind, Proof};
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};

use super::{Faults, Problem, RequestId, headers, is_id};

static CORRELATION_ID: HeaderName = HeaderName::from_static("correlation-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Who asks, and how what comes of it is to be told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who acts: until there is authentication, whom `Daybook-Actor` claims.
    pub actor: Actor,
    /// The request's id.
    pub request_id: String,
    /// `Correlation-Id` if one was sent, else the request's id.
    pub correlation_id: String,
    /// `traceparent` (W3C Trace Context), if a valid one was sent.
    pub traceparent: Option<String>,
}

impl Caller {
    fn read(headers: &HeaderMap, request_id: &str) -> Result<Self, Problem> {
        let mut faults = Faults::new();
        let mut id = |name: &HeaderName, shown: &'static str| {
            let mut sent = headers.get_all(name).iter();
            let value = sent.next()?;
            match value.to_str().ok().filter(|text| is_id(text)) {
                Some(text) if sent.next().is_none() => Some(text.to_owned()),
                _ => {
                    faults.header(
                        shown,
                        "must be one id: 1 to 64 of A-Z a-z 0-9 _ - . and not beginning with a dot",
                    );
                    None
                }
            }
        };
        let actor = id(&headers::ACTOR, "Daybook-Actor");
        let correlation_id = id(&CORRELATION_ID, "Correlation-Id");
        faults.check()?;
        let proof = if actor.is_some() { Proof::Header } else { Proof::None };
        let id = actor.unwrap_or_else(|| "anonymous".to_owned());
        Ok(Self {
            actor: Actor { id, kind: ActorKind::User, proof },
            request_id: request_id.to_owned(),
            correlation_id: correlation_id.unwrap_or_else(|| request_id.to_owned()),
            traceparent: headers.get(&TRACEPARENT).and_then(traceparent),
        })
    }
}

/// A value that is none is ignored, as W3C Trace Context demands.
fn traceparent(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let mut hex = |length: usize| {
        let part = parts.next()?;
        let fits = part.len() == length
            && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then_some(part)
    };
    let (version, trace, parent) = (hex(2)?, hex(32)?, hex(16)?);
    hex(2)?;
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let whole = version != "00" || text.len() == 55;
    (version != "ff" && whole && !zero(trace) && !zero(parent)).then(|| text[..55].to_owned())
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let request_id = match parts.extensions.get::<RequestId>() {
            Some(known) => known.clone(),
            None => RequestId::of(&parts.headers),
        };
        Self::read(&parts.headers, request_id.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(sent: &[(&'static str, &str)]) -> Result<Caller, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Caller::read(&headers, "r1")
    }

    #[test]
    fn nobody_in_particular() {
        let caller = caller(&[]).unwrap();
        assert_eq!((caller.actor.id.as_str(), caller.actor.proof), ("anonymous", Proof::None));
        assert_eq!((caller.correlation_id.as_str(), caller.traceparent), ("r1", None));
    }

    #[test]
    fn somebody() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let sent = [("daybook-actor", "ada"), ("correlation-id", "c1"), ("traceparent", trace)];
        let caller = caller(&sent).unwrap();
        assert_eq!((caller.actor.id.as_str(), caller.actor.proof), ("ada", Proof::Header));
        assert_eq!(caller.correlation_id, "c1");
        assert_eq!(caller.traceparent.as_deref(), Some(trace));
    }

    #[test]
    fn no_ids_are_faults() {
        let sent = [("daybook-actor", "a/b"), ("correlation-id", "")];
        assert_eq!(caller(&sent).unwrap_err().faults().len(), 2);
        assert!(caller(&[("daybook-actor", "a"), ("daybook-actor", "b")]).is_err());
    }

    #[test]
    fn no_traceparent_is_ignored() {
        for text in [
            "x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(caller(&[("traceparent", text)]).unwrap().traceparent, None, "{text}");
        }
    }
}
