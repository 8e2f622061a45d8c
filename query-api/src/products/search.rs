use std::time::Duration;

use axum::{extract::State, response::Response};
use event_schemas::MAX_AMOUNT;
use infra::{
    http::{Cursor, CursorValue, Problem},
    search::{self, Facet, FacetCount, SearchError},
};
use projections::search::{BRAND, CATEGORY, DEPARTMENT, IN_STOCK, NAME, ON_SHELF, PRICE, TITLE};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::{
    QueryState,
    answers::SearchResult,
    ask::{Ask, Asked},
    posted::{Posted, diverged, not_yet, unreadable_index, unreadable_log, wait},
};

/// How often an index that another process posts is asked again while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const FACETS: [&str; 3] = [DEPARTMENT, BRAND, CATEGORY];

#[derive(Serialize)]
struct Found<'a> {
    items: Vec<&'a RawValue>,
    total: u64,
    facets: Facets<'a>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Facets<'a> {
    department: &'a [FacetCount],
    brand: &'a [FacetCount],
    category: &'a [FacetCount],
}

/// Search for products
///
/// Only what is on the shelf. Words are found by their stem; small typing errors are forgiven
/// where nothing matches the words as they are. The most relevant first unless `sort` says
/// otherwise; ties by id.
#[utoipa::path(
    get, path = "/v1/products/search", tag = "products", operation_id = "search_products",
    params(
        ("q" = Option<String>, Query, description = "Words, at most 200 characters; none matches all", example = "red mug"),
        ("department" = Option<Vec<String>>, Query, description = "Of this department; repeated: of any of them"),
        ("brand" = Option<Vec<String>>, Query, description = "Of this brand; repeated: of any of them"),
        ("category" = Option<Vec<String>>, Query, description = "Of this category; repeated: of any of them"),
        ("price_min" = Option<i64>, Query, description = "Minor units (inclusive)", minimum = 0),
        ("price_max" = Option<i64>, Query, description = "Minor units (inclusive)", minimum = 0),
        ("in_stock" = Option<bool>, Query, description = "true: only what is available now"),
        ("sort" = Option<String>, Query, description = "relevance, price, -price, title or -title", example = "price"),
    ),
    responses((status = 200, description = "What was found", body = SearchResult))
)]
pub(crate) async fn search(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let (query, fingerprint) = read(&mut ask);
    let asked = ask.finish()?;
    wait(&state, NAME, &asked).await?;
    let (page, posted) = find(&state, &query, &asked).await?;
    let document = document(&page, &fingerprint)?;
    Ok(posted.json(document))
}

fn read(ask: &mut Ask) -> (search::Query, String) {
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let text = query.text("q", 0..=200, faults).unwrap_or_default();
    let mut keywords = Vec::new();
    for field in FACETS {
        let mut values = query.texts(field, 1..=64, faults);
        values.sort_unstable();
        values.dedup();
        if !values.is_empty() {
            keywords.push((field, values));
        }
    }
    let least = query.integer("price_min", 0..=MAX_AMOUNT, faults);
    let most = query.integer("price_max", 0..=MAX_AMOUNT, faults);
    if let (Some(least), Some(most)) = (least, most)
        && most < least
    {
        faults.parameter("price_max", "price_max is below price_min; swap them");
    }
    let in_stock = query.choice("in_stock", &[("true", ())], faults);
    let integer = |descending| search::Sort::Integer { field: PRICE, descending };
    let title = |descending| search::Sort::Text { field: TITLE, descending };
    let sorts = [
        ("relevance", search::Sort::Relevance),
        ("price", integer(false)),
        ("-price", integer(true)),
        ("title", title(false)),
        ("-title", title(true)),
    ];
    let sort = query.choice("sort", &sorts, faults).unwrap_or_default();
    let limit = query.limit(faults);
    let fingerprint =
        format!("search {text:?} {keywords:?} {least:?} {most:?} {in_stock:?} {sort:?}");
    let after = query.take("cursor", faults).and_then(|text| {
        match Cursor::decode(&text, &fingerprint, faults)?.0.as_slice() {
            [CursorValue::Text(json)] => serde_json::from_str(json).ok(),
            _ => None,
        }
    });
    let ranged = least.is_some() || most.is_some();
    let query = search::Query {
        text,
        keywords,
        ranges: if ranged { vec![(PRICE, least, most)] } else { Vec::new() },
        flags: [ON_SHELF].into_iter().chain(in_stock.map(|()| IN_STOCK)).collect(),
        facets: FACETS.to_vec(),
        facet_limit: 20,
        sort,
        after,
        limit,
    };
    (query, fingerprint)
}

/// Asks the index. What another process posts is asked for again until it is posted far enough.
async fn find(
    state: &QueryState,
    query: &search::Query,
    asked: &Asked,
) -> Result<(search::Page, Posted), Problem> {
    let until = Instant::now() + asked.patience();
    loop {
        let page = match state.search.query(query.clone()).await {
            // Whoever posts it may be about to make it, and the engine about to come back.
            Err(SearchError::Missing(_) | SearchError::Unavailable(_))
                if asked.wanted.is_some() && Instant::now() < until =>
            {
                sleep(LOOK_AGAIN).await;
                continue;
            }
            found => found.map_err(|error| unreadable_index(&error))?,
        };
        if let Some(checkpoint) = &page.checkpoint {
            let otherwise = state.search_belongs.otherwise(&state.store, checkpoint).await;
            if let Some(reason) = otherwise.map_err(|error| unreadable_log(&error))? {
                return Err(diverged(NAME, &reason));
            }
        }
        let position = page.checkpoint.as_ref().map(|at| at.position).unwrap_or_default();
        match asked.wanted {
            Some(wanted) if position < wanted => {
                if Instant::now() >= until {
                    return Err(not_yet(state, asked, wanted, position));
                }
            }
            _ => {
                let posted = Posted::at(state, position, asked);
                return Ok((page, posted));
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn document(page: &search::Page, fingerprint: &str) -> Result<Vec<u8>, Problem> {
    let items = page.items.iter().map(|item| serde_json::from_str(item));
    let next = page.next.as_ref().map(serde_json::to_string).transpose();
    let next = next.map_err(Problem::internal)?;
    let counts = |field| -> &[FacetCount] {
        let found = page.facets.iter().find(|facet| facet.field == field);
        found.map_or(&[], |Facet { counts, .. }| counts)
    };
    serde_json::to_vec(&Found {
        items: items.collect::<Result<_, _>>().map_err(Problem::internal)?,
        total: page.total,
        facets: Facets {
            department: counts(DEPARTMENT),
            brand: counts(BRAND),
            category: counts(CATEGORY),
        },
        next: next.map(|json| Cursor::encode(fingerprint, &[CursorValue::Text(json)])),
    })
    .map_err(Problem::internal)
}
