//! What every search engine owes, stated once. Another engine is one more line in `engines`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/elasticsearch.rs"]
mod elasticsearch;

use elasticsearch::Place;
use event_schemas::{Position, StoreId};
use infra::{
    read_models::{Checkpoint, Skipped},
    search::{
        Change, Cursor, Document, Page, Query, Schema, SearchError, SearchIndex, Sort, TextField,
    },
};
use uuid::Uuid;

/// An empty index and what must live as long as it.
struct Engine {
    index: SearchIndex,
    _dir: Option<tempfile::TempDir>,
    _place: Option<Place>,
}

async fn engines() -> Vec<Engine> {
    let dir = tempfile::tempdir().unwrap();
    let index = SearchIndex::open_tantivy(dir.path().join("search"), schema()).await.unwrap();
    let tantivy = Engine { index, _dir: Some(dir), _place: None };
    let Some(place) = Place::new() else { return vec![tantivy] };
    let index = open_elasticsearch(&place, schema());
    assert_eq!(index.checkpoint().await.unwrap(), None);
    vec![tantivy, Engine { index, _dir: None, _place: Some(place) }]
}

fn open_elasticsearch(place: &Place, schema: Schema) -> SearchIndex {
    SearchIndex::open_elasticsearch(&place.url().parse().unwrap(), "goods", schema).unwrap()
}

fn read_elasticsearch(place: &Place, schema: Schema) -> SearchIndex {
    SearchIndex::read_elasticsearch(&place.url().parse().unwrap(), "goods", schema).unwrap()
}

fn of_other_fields() -> Schema {
    let mut other = schema();
    other.keywords.push("material");
    Schema { version: 2, ..other }
}

fn schema() -> Schema {
    let text = |name, boost, sortable| TextField { name, boost, sortable };
    Schema {
        version: 1,
        texts: vec![text("title", 8, true), text("maker", 3, false)],
        keywords: vec!["shelf", "colour", "part"],
        integers: vec!["price"],
        flags: vec!["shown", "there"],
    }
}

fn at(position: u64) -> Checkpoint {
    let store = StoreId(Uuid::from_u128(7));
    let position = Position(position);
    Checkpoint { store, position, last: Some((position, Uuid::from_u128(9))), skipped: Vec::new() }
}

fn document(id: &str, title: &str) -> Document {
    Document {
        id: id.to_owned(),
        texts: vec![("title", title.to_owned())],
        flags: vec!["shown"],
        body: format!(r#"{{"id":"{id}"}}"#),
        ..Document::default()
    }
}

fn put(position: u64, document: Document) -> Change {
    Change::Put(Document { position: Position(position), ..document })
}

fn delete(position: u64, id: &str) -> Change {
    Change::Delete { id: id.to_owned(), position: Position(position) }
}

async fn fill(index: &SearchIndex, documents: Vec<Document>) {
    let before = index.checkpoint().await.unwrap();
    let after = at(before.as_ref().map_or(1, |checkpoint| checkpoint.position.0 + 1));
    let changes = documents.into_iter().map(|document| put(after.position.0, document)).collect();
    index.commit(before, changes, after).await.unwrap();
}

fn words(text: &str) -> Query {
    Query { text: text.to_owned(), facet_limit: 20, limit: 50, ..Query::default() }
}

fn ids(page: &Page) -> Vec<String> {
    let id = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    };
    page.items.iter().map(id).collect()
}

async fn found(index: &SearchIndex, query: Query) -> Vec<String> {
    let page = index.query(query).await.unwrap();
    assert!(page.total >= page.items.len() as u64);
    ids(&page)
}

/// All pages after the first, following the cursors.
async fn follow(index: &SearchIndex, query: &Query, mut next: Option<Cursor>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(after) = next {
        let page = index.query(Query { after: Some(after), ..query.clone() }).await.unwrap();
        all.extend(ids(&page));
        next = page.next;
    }
    all
}

#[tokio::test]
async fn what_was_committed_is_visible_with_its_checkpoint() {
    for Engine { index, .. } in engines().await {
        assert_eq!(index.checkpoint().await.unwrap(), None);
        let page = index.query(words("")).await.unwrap();
        assert_eq!((page.total, page.checkpoint, page.next), (0, None, None));
        for n in 1..30_u64 {
            let id = format!("d{n}");
            let before = index.checkpoint().await.unwrap();
            index.commit(before, vec![put(n, document(&id, "A mug"))], at(n)).await.unwrap();
            let page = index.query(words("mug")).await.unwrap();
            assert_eq!((page.total, page.checkpoint), (n, Some(at(n))));
        }
    }
}

#[tokio::test]
async fn a_commit_builds_on_the_checkpoint_it_names() {
    for Engine { index, .. } in engines().await {
        fill(&index, vec![document("a", "One")]).await;
        let late = index.commit(None, vec![put(9, document("b", "Two"))], at(9)).await;
        assert!(matches!(late, Err(SearchError::Moved { found }) if found == Some(at(1))));
        assert_eq!(found(&index, words("")).await, ["a"]);
        assert_eq!(index.checkpoint().await.unwrap(), Some(at(1)));
    }
}

#[tokio::test]
async fn a_checkpoint_moves_without_documents() {
    for Engine { index, .. } in engines().await {
        for position in [1, 5, 90_000, 90_001] {
            index.commit(index.checkpoint().await.unwrap(), vec![], at(position)).await.unwrap();
            assert_eq!(index.checkpoint().await.unwrap(), Some(at(position)));
            let page = index.query(words("")).await.unwrap();
            assert_eq!(page.checkpoint, Some(at(position)));
        }
    }
}

#[tokio::test]
async fn a_document_is_replaced_and_deleted_by_its_id() {
    for Engine { index, .. } in engines().await {
        fill(&index, vec![document("a", "Red mug"), document("b", "Red bowl")]).await;
        fill(&index, vec![document("a", "Blue cup")]).await;
        assert_eq!(found(&index, words("red")).await, ["b"]);
        assert_eq!(found(&index, words("cup")).await, ["a"]);
        let before = index.checkpoint().await.unwrap();
        // Within one batch the last word counts.
        let changes = vec![
            delete(9, "a"),
            delete(9, "never there"),
            put(8, document("c", "Green plate")),
            put(9, document("c", "Green jug")),
        ];
        index.commit(before, changes, at(9)).await.unwrap();
        assert_eq!(found(&index, words("")).await, ["b", "c"]);
        assert_eq!(found(&index, words("plate")).await, [""; 0]);
    }
}

#[tokio::test]
async fn documents_are_read_back_by_id_and_by_keyword() {
    for Engine { index, .. } in engines().await {
        let mut first = document("a", "Mug");
        first.keywords = vec![("part", "p-1".to_owned()), ("part", "p-2".to_owned())];
        first.flags = vec!["there", "shown"];
        let mut second = document("b", "Cup");
        second.keywords = vec![("part", "p-3".to_owned())];
        second.flags = vec![];
        fill(&index, vec![first.clone(), second]).await;
        let back = index.by_id(vec!["a".to_owned(), "x".to_owned()]).await.unwrap();
        assert_eq!(back.len(), 1);
        assert_eq!((back[0].id.as_str(), &back[0].body), ("a", &first.body));
        assert_eq!(back[0].flags, ["shown", "there"]);
        let parts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        let back = index.by_keyword("part", parts(&["p-2", "p-1"])).await.unwrap();
        assert_eq!(back.iter().map(|found| &found.id).collect::<Vec<_>>(), ["a"]);
        let mut back = index.by_keyword("part", parts(&["p-3", "p-1", "P-1"])).await.unwrap();
        back.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(back.iter().map(|found| &found.id).collect::<Vec<_>>(), ["a", "b"]);
        assert!(back[1].flags.is_empty());
        assert!(matches!(
            index.by_keyword("size", vec![]).await,
            Err(SearchError::NoSuchField { kind: "keyword", .. })
        ));
    }
}

#[tokio::test]
async fn every_word_must_be_found_by_its_stem() {
    for Engine { index, .. } in engines().await {
        let mut maker = document("maker", "Plate");
        maker.texts.push(("maker", "Mug Brothers".to_owned()));
        fill(
            &index,
            vec![
                document("long", "Large red mugs for the garden"),
                document("short", "Red mug"),
                document("blue", "Blue mug, crème brûlée"),
                maker,
            ],
        )
        .await;
        // The title before the maker, the shorter title before the longer one.
        assert_eq!(found(&index, words("MUG")).await, ["short", "blue", "long", "maker"]);
        assert_eq!(found(&index, words("mugs red")).await, ["short", "long"]);
        assert_eq!(found(&index, words("mugs of the reds")).await, ["short", "long"]);
        assert_eq!(found(&index, words("creme brulees")).await, ["blue"]);
        assert_eq!(found(&index, words("red plate")).await, [""; 0]);
        assert_eq!(found(&index, words("  ")).await.len(), 4);
        assert_eq!(found(&index, words("?!")).await, [""; 0]);
    }
}

#[tokio::test]
async fn typing_errors_are_forgiven_where_nothing_else_is_found() {
    for Engine { index, .. } in engines().await {
        fill(
            &index,
            vec![
                document("broccoli", "Fresh broccoli"),
                document("bread", "White bread"),
                document("strawberry", "Strawberry jam"),
                document("broad", "Broad beans"),
            ],
        )
        .await;
        assert_eq!(found(&index, words("brocoli")).await, ["broccoli"]);
        assert_eq!(found(&index, words("stawbery")).await, ["strawberry"]);
        assert_eq!(found(&index, words("braed")).await, ["bread"]);
        assert_eq!(found(&index, words("fresh brocolli")).await, ["broccoli"]);
        // As it is written before anything like it.
        assert_eq!(found(&index, words("bread")).await, ["bread"]);
        // The beginning of the last word.
        assert_eq!(found(&index, words("fresh broc")).await, ["broccoli"]);
        assert_eq!(found(&index, words("xylophone")).await, [""; 0]);
    }
}

fn goods() -> Vec<Document> {
    let good = |n: i64| {
        let shelf = ["top", "middle", "low"][usize::try_from(n % 3).unwrap()];
        let colour = ["red", "blue"][usize::try_from(n % 2).unwrap()];
        Document {
            keywords: vec![("shelf", shelf.to_owned()), ("colour", colour.to_owned())],
            integers: vec![("price", 100 * (n / 2))],
            flags: if n % 5 == 0 { vec!["shown", "there"] } else { vec!["shown"] },
            ..document(&format!("g{n:02}"), &format!("Good {}", n / 4))
        }
    };
    (0..30).map(good).collect()
}

fn count(page: &Page, facet: usize) -> Vec<(&str, u64)> {
    page.facets[facet].counts.iter().map(|count| (count.key.as_str(), count.count)).collect()
}

#[tokio::test]
async fn filters_narrow_and_facets_ignore_their_own() {
    for Engine { index, .. } in engines().await {
        // In two commits, so that an engine with segments has several.
        let mut first = goods();
        let second = first.split_off(11);
        fill(&index, first).await;
        fill(&index, second).await;
        let query = Query { facets: vec!["shelf", "colour"], ..words("") };
        let page = index.query(query.clone()).await.unwrap();
        assert_eq!(page.total, 30);
        assert_eq!(count(&page, 0), [("low", 10), ("middle", 10), ("top", 10)]);
        assert_eq!(count(&page, 1), [("blue", 15), ("red", 15)]);

        let shelves = vec![("shelf", vec!["top".to_owned(), "low".to_owned(), "no".to_owned()])];
        let page = index.query(Query { keywords: shelves, ..query.clone() }).await.unwrap();
        assert_eq!(page.total, 20);
        assert_eq!(count(&page, 0), [("low", 10), ("middle", 10), ("top", 10)]);
        assert_eq!(count(&page, 1), [("blue", 10), ("red", 10)]);

        let both = vec![("shelf", vec!["top".to_owned()]), ("colour", vec!["red".to_owned()])];
        let page = index.query(Query { keywords: both, ..query.clone() }).await.unwrap();
        assert_eq!(page.total, 5);
        assert_eq!(count(&page, 0), [("low", 5), ("middle", 5), ("top", 5)]);
        assert_eq!(count(&page, 1), [("blue", 5), ("red", 5)]);

        let dear = Query { ranges: vec![("price", Some(1000), Some(1200))], ..query.clone() };
        let page = index.query(dear).await.unwrap();
        assert_eq!(ids(&page), ["g20", "g21", "g22", "g23", "g24", "g25"]);
        let there = Query { flags: vec!["shown", "there"], ..query.clone() };
        assert_eq!(found(&index, there).await, ["g00", "g05", "g10", "g15", "g20", "g25"]);
        let cheap = Query { ranges: vec![("price", None, Some(0))], ..query.clone() };
        assert_eq!(found(&index, cheap).await, ["g00", "g01"]);
        let nothing = Query { ranges: vec![("price", Some(1), Some(0))], ..query };
        assert_eq!(found(&index, nothing).await, [""; 0]);
    }
}

#[tokio::test]
async fn facets_are_the_most_frequent_by_count_and_key() {
    for Engine { index, .. } in engines().await {
        let coloured = |n: u64| {
            let mut coloured = document(&format!("d{n}"), "Thing");
            coloured.keywords =
                vec![("colour", format!("c{:02}", n % 25)), ("shelf", String::new())];
            coloured
        };
        fill(&index, (0..60).map(coloured).collect()).await;
        let query = Query { facets: vec!["colour", "shelf"], ..words("thing") };
        let page = index.query(query).await.unwrap();
        let expected: Vec<_> =
            (0..20).map(|n| (format!("c{n:02}"), if n < 10 { 3 } else { 2 })).collect();
        assert_eq!(
            count(&page, 0),
            expected.iter().map(|(key, count)| (key.as_str(), *count)).collect::<Vec<_>>()
        );
        assert!(page.facets[1].counts.is_empty());
    }
}

#[tokio::test]
async fn sorts_with_ties_by_id_and_pages_through_everything_once() {
    for Engine { index, .. } in engines().await {
        let mut all = goods();
        all.reverse();
        let second = all.split_off(9);
        fill(&index, all).await;
        fill(&index, second).await;
        let price = |descending| Sort::Integer { field: "price", descending };
        let title = |descending| Sort::Text { field: "title", descending };
        let number = |id: &String| id[1..].parse::<i64>().unwrap();
        let titled = |id: &String| format!("Good {}", number(id) / 4);
        for sort in [Sort::Relevance, price(false), price(true), title(false), title(true)] {
            for text in ["", "good"] {
                let query = Query { sort, limit: 7, ..words(text) };
                let page = index.query(query.clone()).await.unwrap();
                assert_eq!(page.total, 30);
                let mut got = ids(&page);
                assert_eq!(got.len(), 7);
                got.extend(follow(&index, &query, page.next).await);
                let mut expected: Vec<String> = (0..30).map(|n| format!("g{n:02}")).collect();
                match sort {
                    Sort::Relevance => {}
                    Sort::Integer { descending: false, .. } => {
                        expected.sort_by_key(|id| number(id) / 2);
                    }
                    Sort::Integer { .. } => expected.sort_by_key(|id| -(number(id) / 2)),
                    Sort::Text { descending: false, .. } => expected.sort_by_key(titled),
                    Sort::Text { .. } => expected.sort_by_key(|id| std::cmp::Reverse(titled(id))),
                }
                assert_eq!(got, expected, "{sort:?} {text:?}");
            }
        }
        assert!(matches!(
            index
                .query(Query {
                    sort: Sort::Text { field: "maker", descending: false },
                    ..words("")
                })
                .await,
            Err(SearchError::NoSuchField { .. })
        ));
    }
}

#[tokio::test]
async fn a_cursor_stays_right_while_documents_come_and_go() {
    for Engine { index, .. } in engines().await {
        fill(&index, goods()).await;
        let price = Sort::Integer { field: "price", descending: false };
        let title = Sort::Text { field: "title", descending: false };
        let back = Sort::Text { field: "title", descending: true };
        for (sort, text) in [
            (Sort::Relevance, "good"),
            (Sort::Relevance, "goid"),
            (price, ""),
            (title, ""),
            (back, ""),
        ] {
            let query = Query { sort, limit: 10, ..words(text) };
            let page = index.query(query.clone()).await.unwrap();
            let rest = follow(&index, &query, page.next.clone()).await;
            // Others come, on both sides of the cursor, and the cursor's own document goes.
            let at = ids(&page).pop().unwrap();
            let next = index.checkpoint().await.unwrap().unwrap().position.0 + 1;
            let mut changes = vec![delete(next, &at)];
            for n in 0..40 {
                let mut other = document(&format!("h{n:02}"), &format!("Good {n} indeed, good"));
                other.integers = vec![("price", n * 50)];
                changes.push(put(next, other));
            }
            index.commit(index.checkpoint().await.unwrap(), changes, self::at(next)).await.unwrap();
            let mut now = follow(&index, &query, page.next).await;
            now.retain(|id| id.starts_with('g'));
            assert_eq!(now, rest, "{sort:?}");
            let gone = (0..40).map(|n| delete(next + 1, &format!("h{n:02}")));
            let back =
                goods().into_iter().filter(|good| good.id == at).map(|good| put(next + 1, good));
            let changes = gone.chain(back).collect();
            index
                .commit(index.checkpoint().await.unwrap(), changes, self::at(next + 1))
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn an_index_made_anew_takes_the_place_of_the_one_before() {
    for Engine { index, .. } in engines().await {
        let mut before = goods();
        before.push(document("old", "Good of old"));
        fill(&index, before).await;
        let fresh = index.anew().await.unwrap();
        assert_eq!(fresh.checkpoint().await.unwrap(), None);
        assert_eq!(found(&fresh, words("")).await, [""; 0]);
        fill(&fresh, goods()).await;
        fresh.install().await.unwrap();
        assert_eq!(index.checkpoint().await.unwrap(), Some(at(1)));
        assert_eq!(found(&index, words("")).await.len(), 30);
        index.commit(Some(at(1)), vec![put(2, document("new", "New good"))], at(2)).await.unwrap();
        assert_eq!(found(&index, words("new")).await, ["new"]);
    }
}

#[tokio::test]
async fn an_index_takes_no_place_before_it_is_as_far_and_goes_on_where_it_was_left() {
    for Engine { index, .. } in engines().await {
        fill(&index, goods()).await;
        index.commit(Some(at(1)), vec![], at(2)).await.unwrap();
        assert!(index.unfinished().await.unwrap().is_none());
        let left = index.anew().await.unwrap();
        fill(&left, vec![document("half", "Half")]).await;
        assert!(matches!(left.install().await, Err(SearchError::Behind(Position(2)))));
        assert_eq!(found(&index, words("")).await.len(), 30);
        left.close().await.unwrap();
        drop(left);
        let fresh = index.unfinished().await.unwrap().expect("what was left");
        assert_eq!(fresh.checkpoint().await.unwrap(), Some(at(1)));
        fresh.commit(Some(at(1)), vec![put(2, document("whole", "Whole"))], at(2)).await.unwrap();
        fresh.install().await.unwrap();
        // Who posted into the one before goes on in this one.
        let late = index.commit(Some(at(2)), vec![put(3, document("x", "X"))], at(3)).await;
        if late.is_err() {
            assert_eq!(index.checkpoint().await.unwrap(), Some(at(2)));
            index.commit(Some(at(2)), vec![put(3, document("x", "X"))], at(3)).await.unwrap();
        }
        assert_eq!(found(&index, words("")).await, ["half", "whole", "x"]);
        assert_eq!(index.drop_old().await.unwrap(), 1);
        assert_eq!(index.drop_old().await.unwrap(), 0);
        assert_eq!(found(&index, words("")).await.len(), 3);
    }
}

#[tokio::test]
async fn a_closed_index_takes_no_commit() {
    for Engine { index, .. } in engines().await {
        fill(&index, goods()).await;
        index.close().await.unwrap();
        let refused = index.commit(Some(at(1)), vec![], at(2)).await;
        assert!(matches!(refused, Err(SearchError::Closed)));
        assert_eq!(found(&index, words("")).await.len(), 30);
        index.close().await.unwrap();
    }
}

mod tantivy_directory {
    use super::*;

    #[tokio::test]
    async fn what_was_posted_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("search");
        let index = SearchIndex::open_tantivy(path.clone(), schema()).await.unwrap();
        fill(&index, goods()).await;
        index.commit(Some(at(1)), vec![], at(500)).await.unwrap();
        let beside = SearchIndex::read_tantivy(path.clone(), schema()).await.unwrap();
        assert_eq!(
            beside.checkpoint().await.unwrap(),
            Some(at(1)),
            "the stored one may lie behind"
        );
        assert_eq!(found(&beside, words("")).await.len(), 30);
        index.close().await.unwrap();
        drop(index);
        let again = SearchIndex::open_tantivy(path, schema()).await.unwrap();
        assert_eq!(again.checkpoint().await.unwrap(), Some(at(500)));
        assert_eq!(found(&again, words("")).await.len(), 30);
    }

    #[tokio::test]
    async fn a_second_writer_is_refused_and_a_reader_does_not_write() {
        let dir = tempfile::tempdir().unwrap();
        let index = SearchIndex::open_tantivy(dir.path().into(), schema()).await.unwrap();
        let second = SearchIndex::open_tantivy(dir.path().into(), schema()).await;
        assert!(matches!(second, Err(SearchError::Locked(_))));
        let reader = SearchIndex::read_tantivy(dir.path().into(), schema()).await.unwrap();
        let refused = reader.commit(None, vec![], at(1)).await;
        assert!(matches!(refused, Err(SearchError::ReadOnly)));
        assert!(matches!(reader.anew().await, Err(SearchError::ReadOnly)));
        index.close().await.unwrap();
        SearchIndex::open_tantivy(dir.path().into(), schema()).await.unwrap();
    }

    #[tokio::test]
    async fn other_fields_empty_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let index = SearchIndex::open_tantivy(dir.path().into(), schema()).await.unwrap();
        fill(&index, goods()).await;
        index.close().await.unwrap();
        let newer = of_other_fields();
        let reader = SearchIndex::read_tantivy(dir.path().into(), newer.clone()).await;
        assert!(matches!(reader, Err(SearchError::Missing(_))));
        let index = SearchIndex::open_tantivy(dir.path().into(), newer).await.unwrap();
        assert_eq!(index.checkpoint().await.unwrap(), None);
        assert_eq!(found(&index, words("")).await, [""; 0]);
        fill(&index, goods()).await;
        assert_eq!(found(&index, words("")).await.len(), 30);
    }

    #[tokio::test]
    async fn a_directory_of_other_things_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("letter.txt"), "Dear Ada").unwrap();
        let opened = SearchIndex::open_tantivy(dir.path().into(), schema()).await;
        assert!(matches!(opened, Err(SearchError::Foreign(_))));
        assert!(dir.path().join("letter.txt").exists());
        let read = SearchIndex::read_tantivy(dir.path().join("none"), schema()).await;
        assert!(matches!(read, Err(SearchError::Missing(_))));
    }
}

mod elasticsearch_server {
    use super::*;

    fn names(place: &Place) -> Vec<String> {
        place.indexes().into_keys().collect()
    }

    #[tokio::test]
    async fn an_index_is_made_by_who_writes_and_read_by_others() {
        let Some(place) = Place::new() else { return };
        let reader = read_elasticsearch(&place, schema());
        assert_eq!(reader.checkpoint().await.unwrap(), None);
        let early = reader.query(words("")).await;
        assert!(matches!(early, Err(SearchError::Missing(_))), "{early:?}");
        assert!(names(&place).is_empty());
        let writer = open_elasticsearch(&place, schema());
        assert_eq!(writer.checkpoint().await.unwrap(), None);
        fill(&writer, goods()).await;
        let alias = format!("{}-goods", place.name);
        let aliases = vec![alias.clone(), format!("{alias}-1-write")];
        assert_eq!(place.indexes(), [(format!("{alias}-1"), aliases)].into());
        assert_eq!(reader.checkpoint().await.unwrap(), Some(at(1)));
        assert_eq!(found(&reader, words("")).await.len(), 30);
        let refused = reader.commit(Some(at(1)), vec![], at(2)).await;
        assert!(matches!(refused, Err(SearchError::ReadOnly)));
        assert!(matches!(reader.anew().await, Err(SearchError::ReadOnly)));
        // What is not in the mapping is refused by the server, not taken silently.
        let document = r#"{"id":"x","colour":"red"}"#;
        let (status, said) = place.call("PUT", &format!("{alias}/_doc/x"), document);
        assert_eq!(
            (status, &said["error"]["type"]),
            (400, &"strict_dynamic_mapping_exception".into())
        );
    }

    #[tokio::test]
    async fn what_has_other_fields_is_made_anew_in_the_same_place() {
        let Some(place) = Place::new() else { return };
        let old = open_elasticsearch(&place, schema());
        assert_eq!(old.checkpoint().await.unwrap(), None);
        fill(&old, goods()).await;
        let newer = of_other_fields();
        let reader = read_elasticsearch(&place, newer.clone());
        assert!(matches!(reader.query(words("")).await, Err(SearchError::Missing(_))));
        let index = open_elasticsearch(&place, newer);
        assert_eq!(index.checkpoint().await.unwrap(), None);
        assert_eq!(names(&place), [1, 2].map(|number| format!("{}-goods-{number}", place.name)));
        fill(&index, goods()).await;
        assert_eq!(found(&reader, words("")).await.len(), 30);
        // Who still writes to the old one is told, and makes no index by it.
        let late = old.commit(Some(at(1)), vec![put(2, document("x", "X"))], at(2)).await;
        assert!(matches!(late, Err(SearchError::Unavailable(_))), "{late:?}");
        let kept = [1, 2].map(|number| format!("{}-goods-{number}", place.name));
        assert_eq!(names(&place), kept);
        assert_eq!(index.drop_old().await.unwrap(), 1);
        assert_eq!(names(&place), kept[1..]);
    }

    #[tokio::test]
    async fn a_rebuild_that_was_broken_off_leaves_what_there_was() {
        let Some(place) = Place::new() else { return };
        let index = open_elasticsearch(&place, schema());
        assert_eq!(index.checkpoint().await.unwrap(), None);
        fill(&index, goods()).await;
        let broken_off = index.anew().await.unwrap();
        fill(&broken_off, vec![document("half", "Half")]).await;
        assert_eq!(found(&index, words("")).await.len(), 30);
        index.commit(Some(at(1)), vec![], at(2)).await.unwrap();
        let fresh = index.anew().await.unwrap();
        fill(&fresh, vec![document("whole", "Whole")]).await;
        let behind = fresh.install().await;
        assert!(matches!(behind, Err(SearchError::Behind(Position(2)))), "{behind:?}");
        fresh.commit(Some(at(1)), vec![], at(2)).await.unwrap();
        fresh.install().await.unwrap();
        assert_eq!(found(&index, words("")).await, ["whole"]);
        assert_eq!(names(&place), [1, 3].map(|number| format!("{}-goods-{number}", place.name)));
    }

    #[tokio::test]
    async fn of_two_writers_one_is_told_and_documents_never_grow_older() {
        let Some(place) = Place::new() else { return };
        let (one, two) =
            (open_elasticsearch(&place, schema()), open_elasticsearch(&place, schema()));
        let begin = async |index: &SearchIndex| loop {
            match index.checkpoint().await {
                // The index has just been made, and its shard is about to start.
                Err(SearchError::Unavailable(_)) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        };
        assert_eq!(tokio::join!(begin(&one), begin(&two)), (None, None));
        assert_eq!(names(&place).len(), 1);
        one.commit(None, vec![put(7, document("a", "New mug"))], at(7)).await.unwrap();
        let late = two.commit(None, vec![put(3, document("a", "Old mug"))], at(3)).await;
        assert!(matches!(late, Err(SearchError::Moved { found }) if found == Some(at(7))));
        assert_eq!(found(&one, words("new")).await, ["a"]);
        let late = two.commit(None, vec![], at(3)).await;
        assert!(matches!(late, Err(SearchError::Moved { found }) if found == Some(at(7))));
        two.commit(Some(at(7)), vec![], at(8)).await.unwrap();
        assert_eq!(one.checkpoint().await.unwrap(), Some(at(8)));
    }

    #[tokio::test]
    async fn an_index_of_others_is_refused_and_left_alone() {
        let Some(place) = Place::new() else { return };
        let alias = format!("{}-goods", place.name);
        let body = format!(r#"{{"aliases":{{"{alias}":{{}}}}}}"#);
        assert_eq!(place.call("PUT", &format!("{alias}-of-others"), &body).0, 200);
        let index = open_elasticsearch(&place, schema());
        assert!(matches!(index.checkpoint().await, Err(SearchError::Foreign(_))));
        let fresh = index.anew().await.unwrap();
        assert!(matches!(fresh.install().await, Err(SearchError::Foreign(_))));
        assert!(names(&place).contains(&format!("{alias}-of-others")));
    }

    #[tokio::test]
    async fn a_document_that_the_mapping_refuses_is_set_aside() {
        let Some(place) = Place::new() else { return };
        let index = open_elasticsearch(&place, schema());
        assert_eq!(index.checkpoint().await.unwrap(), None);
        let mut huge = document("huge", "Mug");
        huge.keywords = vec![("part", "x".repeat(40_000))];
        fill(&index, vec![document("a", "Mug"), huge, document("b", "Mug")]).await;
        assert_eq!(found(&index, words("mug")).await, ["a", "b"]);
        let said = index.set_aside().unwrap();
        assert!(said.contains("\"huge\"") && said.contains("keywords.part"), "{said}");
        assert_eq!(index.by_id(vec!["huge".to_owned()]).await.unwrap().len(), 1);
        fill(&index, vec![document("huge", "Mug")]).await;
        assert_eq!(index.set_aside(), None);
        assert_eq!(found(&index, words("mug")).await, ["a", "b", "huge"]);
    }
}

#[tokio::test]
async fn what_was_passed_over_is_kept_with_the_checkpoint() {
    for Engine { index, _dir, _place } in engines().await {
        fill(&index, vec![document("a", "one")]).await;
        let skipped = Skipped {
            category: "goods".to_owned(),
            event_type: "Lent".to_owned(),
            schema_version: None,
            events: 3,
            first: Position(2),
        };
        let after = Checkpoint { skipped: vec![skipped], ..at(2) };
        let before = index.checkpoint().await.unwrap();
        let changes = vec![put(2, document("b", "two"))];
        index.commit(before, changes, after.clone()).await.unwrap();
        assert_eq!(index.checkpoint().await.unwrap(), Some(after.clone()));
        // Nothing but the checkpoint moves, and it is another process that reads it.
        let last = Checkpoint { position: Position(3), ..after.clone() };
        index.commit(Some(after), Vec::new(), last.clone()).await.unwrap();
        index.close().await.unwrap();
        let again = match (&_dir, &_place) {
            (Some(dir), _) => {
                SearchIndex::open_tantivy(dir.path().join("search"), schema()).await.unwrap()
            }
            (None, Some(place)) => open_elasticsearch(place, schema()),
            (None, None) => unreachable!("it lies somewhere"),
        };
        assert_eq!(again.checkpoint().await.unwrap(), Some(last));
    }
}
