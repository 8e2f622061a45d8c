use event_schemas::Revision;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Faults;

/// What `If-Match` or `If-None-Match` names (RFC 9110, 13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whatever exists.
    Any,
    /// Entity tags without their quotes, each with whether it is weak.
    Tags(Vec<(String, bool)>),
}

impl EntityTags {
    /// Whether a strong comparison finds the tag of `revision`: as `If-Match` compares.
    pub fn has(&self, revision: Revision) -> bool {
        self.finds(revision, false)
    }

    /// Whether a weak comparison finds it: as `If-None-Match` compares.
    pub fn has_weakly(&self, revision: Revision) -> bool {
        self.finds(revision, true)
    }

    fn finds(&self, revision: Revision, weakly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => {
                let wanted = revision.to_string();
                tags.iter().any(|(tag, weak)| *tag == wanted && (weakly || !weak))
            }
        }
    }
}

/// The entity tag of a revision, `"REVISION"`.
pub fn etag(revision: Revision) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// `If-Match`, if one was sent.
pub fn if_match(headers: &HeaderMap, faults: &mut Faults) -> Option<EntityTags> {
    read(headers, &header::IF_MATCH, "If-Match", faults)
}

/// `If-None-Match`, if one was sent.
pub fn if_none_match(headers: &HeaderMap, faults: &mut Faults) -> Option<EntityTags> {
    read(headers, &header::IF_NONE_MATCH, "If-None-Match", faults)
}

fn read(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
    faults: &mut Faults,
) -> Option<EntityTags> {
    let mut tags = Vec::new();
    let mut any = false;
    let mut sent = false;
    for value in headers.get_all(name) {
        sent = true;
        match value.to_str().ok().and_then(parse) {
            Some(EntityTags::Any) => any = true,
            Some(EntityTags::Tags(more)) => tags.extend(more),
            None => {
                faults.header(
                    shown,
                    "cannot be read; send * or entity tags in double quotes, such as \"3\", \"4\"",
                );
                return None;
            }
        }
    }
    if any && !tags.is_empty() {
        faults.header(shown, "has both * and entity tags; send one of them");
        return None;
    }
    sent.then_some(if any { EntityTags::Any } else { EntityTags::Tags(tags) })
}

fn parse(text: &str) -> Option<EntityTags> {
    let mut rest = text.trim_matches([' ', '\t']);
    if rest == "*" {
        return Some(EntityTags::Any);
    }
    let mut tags = Vec::new();
    loop {
        // A list may have empty elements (RFC 9110, 5.6.1.2).
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(EntityTags::Tags(tags));
        }
        let weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (tag, after) = quoted.split_once('"')?;
        if tag.bytes().any(|byte| byte == b' ' || byte.is_ascii_control()) {
            return None;
        }
        tags.push((tag.to_owned(), weak));
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(texts: &[&str]) -> Result<Option<EntityTags>, usize> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(header::IF_MATCH, HeaderValue::from_str(text).unwrap());
        }
        let mut faults = Faults::new();
        let read = if_match(&headers, &mut faults);
        if faults.is_empty() { Ok(read) } else { Err(faults.len()) }
    }

    #[test]
    fn lists_stars_and_weak_tags() {
        assert_eq!(sent(&[]), Ok(None));
        assert_eq!(sent(&["*"]), Ok(Some(EntityTags::Any)));
        let tags = sent(&["\"3\", W/\"4\",,\"a,b\"", "\"5\""]).unwrap().unwrap();
        assert!(tags.has(Revision(3)) && tags.has(Revision(5)));
        assert!(!tags.has(Revision(4)) && tags.has_weakly(Revision(4)));
        assert!(!tags.has_weakly(Revision(6)));
        assert!(EntityTags::Any.has(Revision(9)));
        assert_eq!(etag(Revision(12)), "\"12\"");
    }

    #[test]
    fn what_is_no_entity_tag_is_a_fault() {
        for bad in ["3", "\"3", "\"3\" \"4\"", "w/\"3\"", "", ",", "\"a b\"", "*, \"3\""] {
            assert_eq!(sent(&[bad]), Err(1), "{bad}");
        }
        assert_eq!(sent(&["*", "\"3\""]), Err(1));
    }
}
