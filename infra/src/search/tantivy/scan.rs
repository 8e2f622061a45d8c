//! One pass over what a text matches: filters, counts, the total and the best of a page, all from
//! columns. Facets are counted by ordinal; strings are looked up only for what is handed back.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io,
};

use tantivy::{
    DocAddress, DocId, SegmentOrdinal, SegmentReader, TantivyError,
    columnar::{Column, Dictionary, StrColumn},
};

use super::fields::{FLAGS, Fields, ID, LENGTH};
use crate::search::{Cursor, Facet, FacetCount, Key, Query, SearchError, Sort};

/// A query, checked against the schema.
pub(super) struct Plan<'a> {
    query: &'a Query,
    flags: u64,
    /// For each facet the filter of the same field, if there is one.
    own_filters: Vec<Option<usize>>,
    /// One more than the page, to know whether there is a next one.
    best: usize,
}

/// What the passes over the segments found together.
pub(super) struct Scan {
    pub(super) total: u64,
    counts: Vec<BTreeMap<String, u64>>,
    hits: Vec<Hit>,
}

/// A document of the page.
pub(super) struct Hit {
    pub(super) key: Key,
    pub(super) id: String,
    pub(super) address: DocAddress,
}

impl<'a> Plan<'a> {
    pub(super) fn new(fields: &Fields, query: &'a Query) -> Result<Self, SearchError> {
        for (field, _) in &query.keywords {
            fields.keyword(field)?;
        }
        for field in &query.facets {
            fields.keyword(field)?;
        }
        for (field, _, _) in &query.ranges {
            fields.check_integer(field)?;
        }
        match query.sort {
            Sort::Relevance => {}
            Sort::Integer { field, .. } => fields.check_integer(field)?,
            Sort::Text { field, .. } => fields.check_sortable(field)?,
        }
        let own = |facet: &&str| query.keywords.iter().position(|(field, _)| field == facet);
        Ok(Self {
            query,
            flags: fields.bits(&query.flags)?,
            own_filters: query.facets.iter().map(own).collect(),
            best: query.limit.saturating_add(1),
        })
    }

    pub(super) fn empty(&self) -> Scan {
        Scan { total: 0, counts: vec![BTreeMap::new(); self.query.facets.len()], hits: Vec::new() }
    }
}

impl Scan {
    /// The facets, the documents of the page, and whether more follow.
    pub(super) fn finish(mut self, plan: &Plan) -> (u64, Vec<Facet>, Vec<Hit>, bool) {
        let descending = matches!(plan.query.sort, Sort::Text { descending: true, .. });
        self.hits.sort_unstable_by(|a, b| {
            let keys = if descending { b.key.cmp(&a.key) } else { a.key.cmp(&b.key) };
            keys.then_with(|| a.id.cmp(&b.id))
        });
        let more = self.hits.len() > plan.query.limit;
        self.hits.truncate(plan.query.limit);
        let facets = plan.query.facets.iter().zip(self.counts).map(|(field, counts)| {
            let mut counts: Vec<_> =
                counts.into_iter().map(|(key, count)| FacetCount { key, count }).collect();
            counts.sort_by_key(|count| Reverse(count.count));
            counts.truncate(plan.query.facet_limit);
            Facet { field, counts }
        });
        (self.total, facets.collect(), self.hits, more)
    }
}

/// A keyword column as ordinals of a dictionary.
struct Ordinals {
    column: Column<u64>,
    dictionary: std::sync::Arc<Dictionary>,
}

/// A filter of a keyword field: which ordinals it lets pass.
struct Allowed {
    column: Column<u64>,
    ordinals: Vec<bool>,
}

struct Counter {
    ordinals: Ordinals,
    own_filter: Option<usize>,
    counts: Vec<u32>,
}

struct Range {
    column: Column<i64>,
    least: i64,
    greatest: i64,
}

/// What the sort key of a document is made of; lower comes first.
enum SortColumn {
    /// The score, then the length of the title.
    Relevance(Column<u64>),
    /// Nothing but the id.
    None,
    Integer {
        column: Column<i64>,
        descending: bool,
    },
    Text {
        ordinals: Ordinals,
        descending: bool,
    },
}

/// Only what lies behind it belongs to the page: a greater key, or this key and at least this
/// ordinal of the id.
struct Behind {
    key: u64,
    id: u64,
}

/// The pass over one segment.
pub(super) struct Pass {
    segment: SegmentOrdinal,
    flags: Option<(Column<u64>, u64)>,
    ranges: Vec<Range>,
    filters: Vec<Allowed>,
    counters: Vec<Counter>,
    sort: SortColumn,
    ids: Ordinals,
    behind: Option<Behind>,
    best: usize,
    total: u64,
    heap: BinaryHeap<(u64, u64, DocId)>,
}

impl Pass {
    pub(super) fn new(
        plan: &Plan,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
        scored: bool,
    ) -> tantivy::Result<Self> {
        let columns = reader.fast_fields();
        let query = plan.query;
        let filters = query.keywords.iter().map(|(field, values)| allowed(reader, field, values));
        let counters = query.facets.iter().zip(&plan.own_filters).map(|(field, own_filter)| {
            let ordinals = ordinals(reader, field)?;
            let counts = vec![0; ordinals.dictionary.num_terms()];
            Ok(Counter { ordinals, own_filter: *own_filter, counts })
        });
        let ranges = query.ranges.iter().map(|(field, least, greatest)| {
            Ok(Range {
                column: columns.i64(field)?,
                least: least.unwrap_or(i64::MIN),
                greatest: greatest.unwrap_or(i64::MAX),
            })
        });
        let sort = match query.sort {
            Sort::Relevance if scored => SortColumn::Relevance(columns.u64(LENGTH)?),
            Sort::Relevance => SortColumn::None,
            Sort::Integer { field, descending } => {
                SortColumn::Integer { column: columns.i64(field)?, descending }
            }
            Sort::Text { field, descending } => {
                SortColumn::Text { ordinals: ordinals(reader, field)?, descending }
            }
        };
        let ids = ordinals(reader, ID)?;
        let behind = match &query.after {
            Some(cursor) => Some(behind(cursor, &sort, &ids)?),
            None => None,
        };
        Ok(Self {
            segment,
            flags: (plan.flags != 0).then_some((columns.u64(FLAGS)?, plan.flags)),
            ranges: ranges.collect::<tantivy::Result<_>>()?,
            filters: filters.collect::<tantivy::Result<_>>()?,
            counters: counters.collect::<tantivy::Result<_>>()?,
            sort,
            ids,
            behind,
            best: plan.best,
            total: 0,
            heap: BinaryHeap::new(),
        })
    }

    /// Looks at one document that the text matches.
    pub(super) fn visit(&mut self, document: DocId, score: f32) {
        if let Some((column, wanted)) = &self.flags
            && column.first(document).unwrap_or(0) & wanted != *wanted
        {
            return;
        }
        let within = |range: &Range| {
            let value = range.column.first(document);
            value.is_some_and(|value| range.least <= value && value <= range.greatest)
        };
        if !self.ranges.iter().all(within) {
            return;
        }
        // Missing one filter it still counts for that filter's own facet.
        let mut missed = None;
        for (at, filter) in self.filters.iter().enumerate() {
            if !filter.passes(document) {
                if missed.is_some() {
                    return;
                }
                missed = Some(at);
            }
        }
        for counter in &mut self.counters {
            if missed.is_none() || missed == counter.own_filter {
                counter.count(document);
            }
        }
        if missed.is_none() {
            self.total += 1;
            self.keep(document, score);
        }
    }

    fn keep(&mut self, document: DocId, score: f32) {
        let key = self.sort.key(document, score);
        let full = self.heap.len() == self.best;
        if full && self.heap.peek().is_some_and(|worst| key > worst.0) {
            return;
        }
        if self.behind.as_ref().is_some_and(|behind| key < behind.key) {
            return;
        }
        let id = self.ids.column.first(document).unwrap_or(u64::MAX);
        if self.behind.as_ref().is_some_and(|behind| key == behind.key && id < behind.id) {
            return;
        }
        if !full {
            self.heap.push((key, id, document));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && (key, id) < (worst.0, worst.1)
        {
            *worst = (key, id, document);
        }
    }

    /// Adds what this segment gave to the whole.
    pub(super) fn finish(self, scan: &mut Scan) -> tantivy::Result<()> {
        scan.total += self.total;
        for (counter, counts) in self.counters.into_iter().zip(&mut scan.counts) {
            counter.add_to(counts)?;
        }
        for (key, id, document) in self.heap {
            let key = match &self.sort {
                SortColumn::Text { ordinals, descending } => {
                    Key::Text(ordinals.term(if *descending { !key } else { key })?)
                }
                _ => Key::Number(key),
            };
            let address = DocAddress::new(self.segment, document);
            scan.hits.push(Hit { key, id: self.ids.term(id)?, address });
        }
        Ok(())
    }
}

impl SortColumn {
    fn key(&self, document: DocId, score: f32) -> u64 {
        match self {
            Self::None => 0,
            Self::Relevance(length) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a score is a sum of at most 100 words at 4,000 each"
                )]
                let score = score as u32;
                let length = length.first(document).unwrap_or(0).min(u64::from(u32::MAX));
                u64::from(u32::MAX - score) << 32 | length
            }
            Self::Integer { column, descending } => {
                let value = column.first(document).unwrap_or(i64::MAX);
                turn(tantivy::i64_to_u64(value), *descending)
            }
            Self::Text { ordinals, descending } => {
                turn(ordinals.column.first(document).unwrap_or(u64::MAX), *descending)
            }
        }
    }
}

impl Allowed {
    fn passes(&self, document: DocId) -> bool {
        self.column
            .values_for_doc(document)
            .any(|ordinal| usize::try_from(ordinal).is_ok_and(|at| self.ordinals[at]))
    }
}

impl Counter {
    fn count(&mut self, document: DocId) {
        for ordinal in self.ordinals.column.values_for_doc(document) {
            if let Ok(at) = usize::try_from(ordinal) {
                self.counts[at] += 1;
            }
        }
    }

    fn add_to(self, counts: &mut BTreeMap<String, u64>) -> io::Result<()> {
        let counted: Vec<(u64, u32)> =
            (0..).zip(self.counts).filter(|(_, count)| *count > 0).collect();
        let ordinals: Vec<u64> = counted.iter().map(|(ordinal, _)| *ordinal).collect();
        let mut counted = counted.into_iter();
        self.ordinals.dictionary.sorted_ords_to_term_cb(&ordinals, |term| {
            if let Some((_, count)) = counted.next() {
                let key = String::from_utf8_lossy(term).into_owned();
                *counts.entry(key).or_default() += u64::from(count);
            }
        })?;
        Ok(())
    }
}

impl Ordinals {
    fn term(&self, ordinal: u64) -> io::Result<String> {
        let mut term = Vec::new();
        self.dictionary.ord_to_term(ordinal, &mut term)?;
        Ok(String::from_utf8_lossy(&term).into_owned())
    }

    /// The first ordinal that is not below the term, and whether it is the term's own.
    fn position(&self, term: &str) -> io::Result<(u64, bool)> {
        use tantivy::columnar::TermOrdHit;
        Ok(match self.dictionary.term_ord_or_next(term)? {
            TermOrdHit::Exact(ordinal) => (ordinal, true),
            TermOrdHit::Next(ordinal) => (ordinal, false),
        })
    }
}

/// Ordered integers the other way round.
fn turn(key: u64, descending: bool) -> u64 {
    if descending { !key } else { key }
}

fn behind(cursor: &Cursor, sort: &SortColumn, ids: &Ordinals) -> io::Result<Behind> {
    let (ordinal, known) = ids.position(&cursor.id)?;
    let id = ordinal.saturating_add(u64::from(known));
    Ok(match (&cursor.key, sort) {
        (Key::Number(key), _) => Behind { key: *key, id },
        (Key::Text(text), SortColumn::Text { ordinals, descending }) => {
            let (ordinal, known) = ordinals.position(text)?;
            let key = turn(ordinal, *descending);
            match (known, descending) {
                (true, _) => Behind { key, id },
                (false, false) => Behind { key, id: 0 },
                (false, true) => Behind { key, id: u64::MAX },
            }
        }
        // A cursor of another sort: callers keep them apart; nothing lies behind it.
        (Key::Text(_), _) => Behind { key: u64::MAX, id: u64::MAX },
    })
}

fn ordinals(reader: &SegmentReader, field: &str) -> tantivy::Result<Ordinals> {
    let (dictionary, column) = match reader.fast_fields().str(field)? {
        Some(column) => StrColumn::into_parts(column),
        // No document of the segment has a value.
        None => (Dictionary::empty().into(), Column::build_empty_column(reader.max_doc())),
    };
    Ok(Ordinals { column, dictionary })
}

fn allowed(reader: &SegmentReader, field: &str, values: &[String]) -> tantivy::Result<Allowed> {
    let Ordinals { column, dictionary } = ordinals(reader, field)?;
    let mut ordinals = vec![false; dictionary.num_terms()];
    for value in values {
        let ordinal = dictionary.term_ord(value).map_err(TantivyError::from)?;
        if let Some(at) = ordinal.and_then(|ordinal| usize::try_from(ordinal).ok()) {
            ordinals[at] = true;
        }
    }
    Ok(Allowed { column, ordinals })
}
