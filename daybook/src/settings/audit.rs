//! The settings of the audit.

use std::{path::PathBuf, time::Duration};

use audit::PublishTo;

pub(super) fn parse_key(path: &str) -> Result<Option<PathBuf>, String> {
    Ok((!path.is_empty()).then(|| path.into()))
}

pub(super) fn parse_publish(text: &str) -> Result<Option<PublishTo>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.contains("://") {
        return Ok(Some(PublishTo::File(text.into())));
    }
    let http = text.starts_with("http://") || text.starts_with("https://");
    let url = text.parse::<http::Uri>().ok().filter(|url| http && url.host().is_some());
    let refused = || "this is neither a file nor an http(s) URL, such as https://HOST/heads".into();
    url.map(|_| Some(PublishTo::Url(text.to_owned()))).ok_or_else(refused)
}

pub(super) fn parse_every(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no time from 1s to 24h, such as 10m");
    let time = text.parse::<jiff::SignedDuration>().map_err(|_| problem())?;
    let time = Duration::try_from(time).map_err(|_| problem())?;
    let possible = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    if possible.contains(&time) { Ok(time) } else { Err(problem()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_handed_out_to_a_file_or_a_server() {
        assert_eq!(parse_publish(""), Ok(None));
        assert_eq!(parse_publish("/mnt/heads"), Ok(Some(PublishTo::File("/mnt/heads".into()))));
        let url = "https://h:1/x";
        assert_eq!(parse_publish(url), Ok(Some(PublishTo::Url(url.to_owned()))));
        for wrong in ["ftp://h/x", "http://", "http:// h"] {
            assert!(parse_publish(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn they_are_handed_out_every_second_to_every_day() {
        assert_eq!(parse_every("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["", "10", "0s", "999ms", "25h", "-1m"] {
            assert!(parse_every(wrong).is_err(), "{wrong}");
        }
    }
}
