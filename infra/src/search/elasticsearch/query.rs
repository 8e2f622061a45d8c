//! A query as Elasticsearch is asked it, and its answer as everybody is given it.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::server::{Method, SHORT, Server};
use crate::{
    read_models::Checkpoint,
    search::{
        Cursor, Facet, FacetCount, Key, Page, Query, Schema, SearchError, Sort,
        words::{self, AS_WRITTEN, Word, errors},
    },
};

#[derive(Deserialize)]
struct Answer {
    hits: Hits,
    #[serde(default)]
    aggregations: HashMap<String, Aggregation>,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: Source,
    sort: Vec<Value>,
}

#[derive(Deserialize)]
struct Source {
    body: Box<RawValue>,
}

#[derive(Deserialize)]
struct Aggregation {
    values: Buckets,
}

#[derive(Deserialize)]
struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    key: String,
    doc_count: u64,
}

/// Asks the index behind `alias`. Typing errors are forgiven where nothing there is as written.
pub(super) async fn ask(
    server: &Server,
    alias: &str,
    schema: &Schema,
    query: &Query,
    checkpoint: Option<Checkpoint>,
) -> Result<Page, SearchError> {
    let words = words::wanted(&query.text);
    let mut forgiving = query.after.as_ref().is_some_and(|cursor| cursor.forgiving);
    let mut text = text(schema, query, &words, forgiving);
    let mut answer = search(server, alias, query, &text).await?;
    if answer.hits.total.value == 0
        && query.after.is_none()
        && words::can_forgive(&words)
        && !any(server, alias, &text).await?
    {
        forgiving = true;
        text = self::text(schema, query, &words, forgiving);
        answer = search(server, alias, query, &text).await?;
    }
    let Answer { hits: Hits { total, mut hits }, mut aggregations } = answer;
    let more = hits.len() > query.limit;
    hits.truncate(query.limit);
    let last = hits.last().filter(|_| more);
    let next = last.map(|last| cursor(query.sort, &last.sort, forgiving)).transpose()?;
    let facets = query.facets.iter().map(|field| {
        let counted = aggregations.remove(*field);
        let buckets = counted.map(|counted| counted.values.buckets).unwrap_or_default();
        let count = |Bucket { key, doc_count }| FacetCount { key, count: doc_count };
        Facet { field, counts: buckets.into_iter().take(query.facet_limit).map(count).collect() }
    });
    Ok(Page {
        facets: facets.collect(),
        items: hits
            .into_iter()
            .map(|hit| String::from(Box::<str>::from(hit.source.body)))
            .collect(),
        total: total.value,
        next,
        checkpoint,
    })
}

async fn search(
    server: &Server,
    alias: &str,
    query: &Query,
    text: &Value,
) -> Result<Answer, SearchError> {
    let scored = is_scored(query);
    // The filters of a facet's own field must not narrow its counts, those of other fields must.
    let without = |field: Option<&str>| {
        let others = query.keywords.iter().filter(|(name, _)| Some(*name) != field);
        let terms =
            others.map(|(name, values)| json!({ "terms": { format!("keywords.{name}"): values } }));
        json!({ "bool": { "filter": terms.collect::<Vec<_>>() } })
    };
    let facets = query.facets.iter().map(|facet| {
        let counted = json!({ "terms": {
            "field": format!("keywords.{facet}"),
            "size": query.facet_limit.max(1),
            "order": [{ "_count": "desc" }, { "_key": "asc" }],
        }});
        let facet_of = json!({ "filter": without(Some(facet)), "aggs": { "values": counted } });
        ((*facet).to_owned(), facet_of)
    });
    let mut filters = vec![json!({ "exists": { "field": "id" } })];
    filters.extend(query.flags.iter().map(|flag| json!({ "term": { "flags": flag } })));
    filters.extend(query.ranges.iter().map(|(field, least, greatest)| {
        let mut range = serde_json::Map::new();
        range.extend(least.map(|least| ("gte".to_owned(), least.into())));
        range.extend(greatest.map(|greatest| ("lte".to_owned(), greatest.into())));
        json!({ "range": { format!("integers.{field}"): range } })
    }));
    let mut asked = json!({
        "size": query.limit.saturating_add(1),
        "track_total_hits": true,
        "_source": ["body"],
        "sort": sort(query.sort, scored),
        "post_filter": without(None),
        "aggs": facets.collect::<serde_json::Map<_, _>>(),
    });
    asked["query"] = if scored {
        json!({ "bool": { "must": text, "filter": filters } })
    } else {
        filters.push(text.clone());
        json!({ "bool": { "filter": filters } })
    };
    if let Some(after) = &query.after {
        asked["search_after"] = behind(query.sort, scored, after)?;
    }
    let path = format!("{alias}/_search?allow_partial_search_results=false");
    let body = Bytes::from(asked.to_string());
    let answer = server.call(Method::Post, &path, body, SHORT).await?;
    if answer.status == 404 {
        return Err(SearchError::Missing(format!("{alias} in Elasticsearch")));
    }
    answer.done()
}

/// Whether any document at all matches the text.
async fn any(server: &Server, alias: &str, text: &Value) -> Result<bool, SearchError> {
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    let path = format!("{alias}/_count?terminate_after=1");
    let body = Bytes::from(json!({ "query": text }).to_string());
    let counted: Count = server.call(Method::Post, &path, body, SHORT).await?.done()?;
    Ok(counted.count > 0)
}

fn is_scored(query: &Query) -> bool {
    query.sort == Sort::Relevance && !query.text.trim().is_empty()
}

/// Every word must be in one of the fields; the best field of each word counts.
fn text(schema: &Schema, query: &Query, words: &[Word], forgiving: bool) -> Value {
    if query.text.trim().is_empty() {
        return json!({ "match_all": {} });
    }
    let Some(last) = words.last() else { return json!({ "match_none": {} }) };
    let clauses = words.iter().map(|word| {
        let mut ways = Vec::new();
        for text in &schema.texts {
            let field = format!("texts.{}", text.name);
            let written =
                json!({ "match": { &field: { "query": word.plain, "operator": "and" } } });
            ways.push(worth(written, u32::from(text.boost) * u32::from(AS_WRITTEN)));
            if forgiving {
                let guesses = guesses(&field, word, std::ptr::eq(word, last));
                ways.extend(guesses.into_iter().map(|guess| worth(guess, u32::from(text.boost))));
            }
        }
        json!({ "dis_max": { "queries": ways } })
    });
    json!({ "bool": { "must": clauses.collect::<Vec<_>>() } })
}

fn guesses(field: &str, word: &Word, last: bool) -> Vec<Value> {
    let mut guesses = Vec::new();
    let mut forms = vec![&word.stem];
    if word.plain != word.stem {
        forms.push(&word.plain);
    }
    for form in forms {
        let errors = errors(form);
        if errors > 0 {
            // Rewritten so, all words that are like it are looked for, not the likest fifty.
            guesses.push(json!({ "fuzzy": { field: {
                "value": form, "fuzziness": errors, "rewrite": "constant_score",
            }}}));
        }
        if last {
            guesses.push(json!({ "prefix": { field: { "value": form } } }));
        }
    }
    guesses
}

fn worth(query: Value, score: u32) -> Value {
    json!({ "constant_score": { "filter": query, "boost": score } })
}

fn sort(sort: Sort, scored: bool) -> Value {
    let order = |descending| if descending { "desc" } else { "asc" };
    let id = json!({ "id": "asc" });
    match sort {
        Sort::Relevance if scored => json!([{ "_score": "desc" }, { "length": "asc" }, id]),
        Sort::Relevance => json!([id]),
        Sort::Integer { field, descending } => json!([
            { format!("integers.{field}"): { "order": order(descending), "missing": "_last" } },
            id
        ]),
        Sort::Text { field, descending } => {
            json!([{ format!("texts.{field}.sort"): order(descending) }, id])
        }
    }
}

/// A signed integer as an unsigned one of the same order.
const SIGN: u64 = 1 << 63;

/// What a cursor keeps is the same for every engine: of a relevance the missing score above the
/// length of the title, of an integer its place in the order.
fn cursor(sort: Sort, keys: &[Value], forgiving: bool) -> Result<Cursor, SearchError> {
    let unreadable =
        || SearchError::Unavailable("Elasticsearch sorted by what is no sort key".to_owned());
    let (id, keys) = keys.split_last().ok_or_else(unreadable)?;
    let key = match (sort, keys) {
        (Sort::Relevance, []) => Some(Key::Number(0)),
        (Sort::Relevance, [score, length]) => {
            score.as_f64().zip(length.as_u64()).map(|(score, length)| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a score is a sum of at most 100 words at 4,000 each"
                )]
                let missing = u32::MAX - score as u32;
                Key::Number(u64::from(missing) << 32 | length.min(u64::from(u32::MAX)))
            })
        }
        (Sort::Integer { descending, .. }, [value]) => value.as_i64().map(|value| {
            let place = value.cast_unsigned() ^ SIGN;
            Key::Number(if descending { !place } else { place })
        }),
        (Sort::Text { .. }, [text]) => text.as_str().map(|text| Key::Text(text.to_owned())),
        _ => None,
    };
    let id = id.as_str().map(str::to_owned);
    let (key, id) = key.zip(id).ok_or_else(unreadable)?;
    Ok(Cursor { key, id, forgiving })
}

/// The sort keys that a page begins behind.
fn behind(sort: Sort, scored: bool, after: &Cursor) -> Result<Value, SearchError> {
    let id = &after.id;
    match (sort, &after.key) {
        (Sort::Relevance, Key::Number(key)) if scored => {
            let score = u64::from(u32::MAX) - (key >> 32);
            Ok(json!([score, key & u64::from(u32::MAX), id]))
        }
        (Sort::Relevance, Key::Number(_)) => Ok(json!([id])),
        (Sort::Integer { descending, .. }, Key::Number(key)) => {
            let place = if descending { !key } else { *key };
            Ok(json!([(place ^ SIGN).cast_signed(), id]))
        }
        (Sort::Text { .. }, Key::Text(text)) => Ok(json!([text, id])),
        (_, Key::Number(_)) => Err(foreign("number")),
        (_, Key::Text(_)) => Err(foreign("text")),
    }
}

/// A cursor of another sort: callers keep them apart.
fn foreign(name: &str) -> SearchError {
    SearchError::NoSuchField { kind: "sort key", name: name.to_owned() }
}
