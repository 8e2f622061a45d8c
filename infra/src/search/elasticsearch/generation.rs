//! The indexes of one place: `ALIAS-1`, `ALIAS-2` and so on, one of them behind the alias.
//!
//! Beside it each index has an alias of its own, by which it is written: a call that writes to a
//! name which is not there would otherwise make an index, and none of ours.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{
    checkpoint,
    mapping::{Definition, Meta},
    server::{LONG, Method, SHORT, Server},
};
use crate::{fingerprint::Fingerprint, search::SearchError};

/// How often a number that somebody else has just taken is followed by the next.
const ATTEMPTS: u64 = 8;

/// The index behind an alias.
pub(super) struct InPlace {
    pub(super) index: String,
    pub(super) fingerprint: Fingerprint,
}

/// The alias by which an index is written.
pub(super) fn to_write(index: &str) -> String {
    format!("{index}-write")
}

/// The index behind the alias, if there is one.
pub(super) async fn in_place(server: &Server, alias: &str) -> Result<Option<InPlace>, SearchError> {
    #[derive(Deserialize)]
    struct Index {
        mappings: Mappings,
    }
    #[derive(Deserialize)]
    struct Mappings {
        #[serde(rename = "_meta", default)]
        meta: serde_json::Value,
    }
    let answer = server.call(Method::Get, &format!("{alias}/_mapping"), None, SHORT).await?;
    if answer.status == 404 {
        return Ok(None);
    }
    let indexes: BTreeMap<String, Index> = answer.done()?;
    let foreign = || SearchError::Foreign(format!("{alias} in Elasticsearch"));
    let mut indexes = indexes.into_iter();
    let (Some((index, Index { mappings })), None) = (indexes.next(), indexes.next()) else {
        return Err(foreign());
    };
    let meta = serde_json::from_value::<Meta>(mappings.meta).ok().filter(Meta::is_ours);
    let meta = meta.filter(|_| number(alias, &index).is_some()).ok_or_else(foreign)?;
    Ok(Some(InPlace { index, fingerprint: meta.fingerprint }))
}

/// The index behind the alias. Where there is none, or one of other fields, an empty one takes its
/// place.
///
/// # Errors
/// [`SearchError::OtherVersion`], [`SearchError::NewerVersion`] if that is to be built beside it.
pub(super) async fn ensure(
    server: &Server,
    alias: &str,
    definition: &Definition,
) -> Result<String, SearchError> {
    for _ in 0..ATTEMPTS {
        // Read before the alias is: whoever makes an index meanwhile takes the number.
        let next = next_number(server, alias).await?;
        let Some(found) = in_place(server, alias).await? else {
            if let Some(index) = make(server, alias, next, definition, &[alias]).await? {
                return Ok(index);
            }
            continue;
        };
        if found.fingerprint == definition.fingerprint {
            return Ok(found.index);
        }
        if definition.fingerprint.reads(&found.fingerprint) {
            if found.fingerprint.is_newer_than(&definition.fingerprint) {
                return Err(SearchError::NewerVersion);
            }
            let placed = checkpoint::read(server, &found.index).await?;
            let found = placed.map(|placed| placed.stored.checkpoint());
            return Err(SearchError::OtherVersion { found });
        }
        tracing::info!(index = found.index, "the search index was made otherwise: it is made anew");
        if let Some(index) = make(server, alias, next, definition, &[]).await? {
            install(server, alias, &index).await?;
            return Ok(index);
        }
    }
    Err(busy(alias))
}

/// An empty index that is not in place.
pub(super) async fn beside(
    server: &Server,
    alias: &str,
    definition: &Definition,
) -> Result<String, SearchError> {
    let first = next_number(server, alias).await?;
    for number in first..first + ATTEMPTS {
        if let Some(index) = make(server, alias, number, definition, &[]).await? {
            return Ok(index);
        }
    }
    Err(busy(alias))
}

/// The newest index behind the one in place, if it was made the same way: begun and left.
pub(super) async fn left(
    server: &Server,
    alias: &str,
    definition: &Definition,
) -> Result<Option<String>, SearchError> {
    let Some(placed) = in_place(server, alias).await? else { return Ok(None) };
    let Some((newest, index)) = numbered(server, alias).await?.pop_last() else { return Ok(None) };
    if Some(newest) <= number(alias, &placed.index) {
        return Ok(None);
    }
    let found = checkpoint::read(server, &index).await?;
    let found = found.filter(|found| found.stored.fingerprint == definition.fingerprint);
    Ok(found.map(|_| index))
}

/// Deletes the indexes before the one in place. Returns how many there were.
pub(super) async fn drop_old(server: &Server, alias: &str) -> Result<usize, SearchError> {
    let placed = in_place(server, alias).await?;
    let Some(own) = placed.and_then(|placed| number(alias, &placed.index)) else { return Ok(0) };
    delete(server, alias, |number| number < own).await
}

/// Puts an index in place, in one step: nobody writes to the one before from then on. That one
/// stays; all others that were made before it are deleted.
pub(super) async fn install(server: &Server, alias: &str, index: &str) -> Result<(), SearchError> {
    let before = in_place(server, alias).await?.map(|found| found.index);
    if before.as_deref() == Some(index) {
        return Ok(());
    }
    // If somebody else has changed places meanwhile, the server refuses all of it.
    let remove = |index: &str, alias: &str, must_exist: bool| json!({ "remove": { "index": index, "alias": alias, "must_exist": must_exist } });
    let removed = before
        .as_deref()
        .map(|before| [remove(before, alias, true), remove(before, &to_write(before), false)]);
    let add = json!({ "add": { "index": index, "alias": alias } });
    let actions: Vec<_> = removed.into_iter().flatten().chain([add]).collect();
    let body = json!({ "actions": actions }).to_string();
    let swapped = server.call(Method::Post, "_aliases", bytes(body), LONG).await?;
    swapped.done::<serde_json::Value>()?;
    let (own, before) = (number(alias, index), before.and_then(|before| number(alias, &before)));
    delete(server, alias, |number| Some(number) < own && Some(number) != before).await.map(drop)
}

/// Deletes the indexes of the place whose numbers are `gone`. Returns how many there were.
async fn delete(
    server: &Server,
    alias: &str,
    gone: impl Fn(u64) -> bool,
) -> Result<usize, SearchError> {
    let mut count = 0;
    for (number, name) in numbered(server, alias).await? {
        if gone(number) {
            let deleted = server.call(Method::Delete, &name, None, LONG).await?;
            if deleted.is_success() || deleted.status == 404 {
                count += 1;
            } else {
                // It is in nobody's way; the next rebuild tries again.
                tracing::warn!(index = name, error = %deleted.refused(), "an old index stays");
            }
        }
    }
    Ok(count)
}

/// Makes an index; none if there is one of that number.
async fn make(
    server: &Server,
    alias: &str,
    number: u64,
    definition: &Definition,
    aliases: &[&str],
) -> Result<Option<String>, SearchError> {
    let index = format!("{alias}-{number}");
    let to_write = to_write(&index);
    let aliases = [aliases, &[&to_write]].concat();
    let made = server.call(Method::Put, &index, definition.body(&aliases), LONG).await?;
    if made.status == 400 && made.kind() == "resource_already_exists_exception" {
        return Ok(None);
    }
    made.done::<serde_json::Value>()?;
    Ok(Some(index))
}

async fn next_number(server: &Server, alias: &str) -> Result<u64, SearchError> {
    let numbered = numbered(server, alias).await?;
    Ok(numbered.last_key_value().map_or(1, |(number, _)| number + 1))
}

/// All indexes of the place by their numbers, in place or not.
async fn numbered(server: &Server, alias: &str) -> Result<BTreeMap<u64, String>, SearchError> {
    let path = format!("{alias}-*/_alias?expand_wildcards=all");
    let answer = server.call(Method::Get, &path, None, SHORT).await?;
    if answer.status == 404 {
        return Ok(BTreeMap::new());
    }
    let indexes: BTreeMap<String, serde_json::Value> = answer.done()?;
    Ok(indexes.into_keys().filter_map(|index| Some((number(alias, &index)?, index))).collect())
}

/// The number of an index of the place; others' names may begin like ours.
pub(super) fn number(alias: &str, index: &str) -> Option<u64> {
    let digits = index.strip_prefix(alias)?.strip_prefix('-')?;
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn busy(alias: &str) -> SearchError {
    SearchError::Unavailable(format!("somebody else makes indexes of {alias} at the same time"))
}

fn bytes(text: String) -> bytes::Bytes {
    text.into()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn an_index_of_another_place_has_no_number_here() {
        assert_eq!(number("shop-products", "shop-products-12"), Some(12));
        for other in [
            "shop-products",
            "shop-products-",
            "shop-products-+1",
            "shop-products-1-write",
            "shop-products-b-1",
            "x-shop-products-1",
        ] {
            assert_eq!(number("shop-products", other), None, "{other}");
        }
    }
}
