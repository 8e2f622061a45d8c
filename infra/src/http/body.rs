use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::{BAD_REQUEST, Faults, PAYLOAD_TOO_LARGE, Problem, UNSUPPORTED_MEDIA_TYPE};

/// The largest body: 1 MiB.
pub const MAX_BODY: usize = 1 << 20;

/// How long the server waits for the next part of a body, and for all of it.
const PART_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of a body that is too large is read and thrown away, so that the client, still
/// sending, gets to see the answer.
const DRAINED: usize = 16 << 20;

/// The whole body of a request, whose media type has to be one of `media_types`.
///
/// # Errors
/// 415 with `Accept`, 413 above `limit` bytes, 400 if the body breaks off or does not come.
pub async fn read_body(
    request: Request<Body>,
    limit: usize,
    media_types: &[&'static str],
) -> Result<Bytes, Problem> {
    check_media_type(request.headers(), media_types)?;
    let body = request.into_body();
    timeout(BODY_TIMEOUT, collect(body, limit, PART_TIMEOUT))
        .await
        .unwrap_or_else(|_| Err(cut("did not come")))
}

async fn collect(mut body: Body, limit: usize, patience: Duration) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut size = 0usize;
    while let Some(part) =
        timeout(patience, body.frame()).await.map_err(|_| cut("stopped coming"))?
    {
        let Ok(data) = part.map_err(|_| cut("broke off"))?.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > limit {
            joined.clear();
            if size > DRAINED {
                break;
            }
        } else if first.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    if size > limit {
        return Err(Problem::new(
            &PAYLOAD_TOO_LARGE,
            format!("The body has more than {limit} bytes. Send less at once."),
        ));
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn cut(what: &str) -> Problem {
    let mut faults = Faults::new();
    faults.pointer("#", format!("the body {what} before its end; send the request again, whole"));
    faults.into_problem(&BAD_REQUEST).header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn check_media_type(headers: &HeaderMap, media_types: &[&'static str]) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE);
    let known = sent.and_then(|value| value.to_str().ok()).is_some_and(|text| {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("");
        media_types.iter().any(|known| known.eq_ignore_ascii_case(media_type))
            && parts.filter(|part| !part.is_empty()).all(is_utf8)
    });
    let plain = headers.get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
    if known && plain {
        return Ok(());
    }
    let accept = media_types.join(", ");
    let detail = match (sent, known) {
        (None, _) => format!("The header Content-Type is missing. Send {accept}."),
        (Some(_), true) => format!("Send {accept} uncompressed, without Content-Encoding."),
        (Some(sent), false) => {
            let sent = String::from_utf8_lossy(sent.as_bytes());
            format!("The Content-Type {sent:?} is not taken here. Send {accept}, in UTF-8.")
        }
    };
    let accept = HeaderValue::try_from(accept).unwrap_or_else(|_| HeaderValue::from_static("*/*"));
    Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail).header(header::ACCEPT, accept))
}

fn is_utf8(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[&str] = &["application/json"];

    async fn read(content_type: Option<&str>, body: impl Into<Body>) -> Result<Bytes, Problem> {
        let mut request = Request::new(body.into());
        if let Some(text) = content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, text.parse().unwrap());
        }
        read_body(request, 10, JSON).await
    }

    #[tokio::test]
    async fn json_in_utf8_up_to_the_limit() {
        for content_type in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert_eq!(read(Some(content_type), "1234567890").await.unwrap(), "1234567890");
        }
        let large = read(Some("application/json"), "12345678901").await.unwrap_err();
        assert_eq!(large.kind(), &PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn parts_are_joined() {
        let parts = ["123", "45", "67890"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        let body = Body::from_stream(futures::stream::iter(parts));
        assert_eq!(read(Some("application/json"), body).await.unwrap(), "1234567890");
    }

    #[tokio::test]
    async fn other_media_types_are_told_what_is_taken() {
        for content_type in
            [None, Some("text/plain"), Some("application/json; charset=iso-8859-1"), Some("")]
        {
            let problem = read(content_type, "1").await.unwrap_err();
            assert_eq!(problem.kind(), &UNSUPPORTED_MEDIA_TYPE, "{content_type:?}");
        }
        let mut request = Request::new(Body::from("1"));
        request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        request.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(read_body(request, 10, JSON).await.unwrap_err().detail().contains("uncompressed"));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_fault() {
        let parts = [Ok(Bytes::from("{")), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(futures::stream::iter(parts));
        let problem = read(Some("application/json"), body).await.unwrap_err();
        assert!(problem.kind() == &BAD_REQUEST && problem.detail().contains("broke off"));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = collect(body, 10, Duration::from_millis(1)).await.unwrap_err();
        assert!(problem.detail().contains("stopped coming"));
    }
}
