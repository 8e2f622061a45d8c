//! One pass over what a text matches: filters, counts, the total and the best of a page, all from
//! columns. Facets are counted by ordinal; strings are looked up only for what is handed back.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io,
};

use tantivy::{DocAddress, DocId, SegmentOrdinal, SegmentReader, columnar::Column};

use super::{
    columns::{
        Allowed, Behind, Counter, Ordinals, Range, SortColumn, allowed, behind, load, ordinals,
    },
    fields::{FLAGS, Fields, ID, LENGTH},
};
use crate::search::{Facet, FacetCount, Key, Query, SearchError, Sort};

/// Documents are looked at in blocks: a column is read faster so.
const BLOCK: usize = 128;
/// What stands of a document of a block: it passes all, it is out, or which filter alone it
/// misses, counted from 1.
const PASSES: usize = 0;
const OUT: usize = usize::MAX;

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
    candidates: Vec<Candidate>,
    /// The ids of each segment.
    ids: Vec<Ordinals>,
}

/// A document that may belong to the page. Its id is looked up only if it decides.
struct Candidate {
    key: Key,
    id: u64,
    address: DocAddress,
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
        Scan {
            total: 0,
            counts: vec![BTreeMap::new(); self.query.facets.len()],
            candidates: Vec::new(),
            ids: Vec::new(),
        }
    }
}

/// What a query found, but for the documents themselves.
pub(super) struct Answer {
    pub(super) total: u64,
    pub(super) facets: Vec<Facet>,
    /// The documents of the page.
    pub(super) hits: Vec<Hit>,
    /// Whether others follow.
    pub(super) more: bool,
}

impl Scan {
    /// Puts together what the segments gave.
    pub(super) fn finish(mut self, plan: &Plan) -> io::Result<Answer> {
        let descending = matches!(plan.query.sort, Sort::Text { descending: true, .. });
        let by_key = |a: &Key, b: &Key| if descending { b.cmp(a) } else { a.cmp(b) };
        self.candidates.sort_unstable_by(|a, b| by_key(&a.key, &b.key));
        if let Some(last) = self.candidates.get(plan.best - 1).map(|last| last.key.clone()) {
            self.candidates.retain(|found| by_key(&found.key, &last).is_le());
        }
        let mut hits = named(self.candidates, &self.ids)?;
        hits.sort_unstable_by(|a, b| by_key(&a.key, &b.key).then_with(|| a.id.cmp(&b.id)));
        let more = hits.len() > plan.query.limit;
        hits.truncate(plan.query.limit);
        let facets = plan.query.facets.iter().zip(self.counts).map(|(field, counts)| {
            let mut counts: Vec<_> =
                counts.into_iter().map(|(key, count)| FacetCount { key, count }).collect();
            counts.sort_by_key(|count| Reverse(count.count));
            counts.truncate(plan.query.facet_limit);
            Facet { field, counts }
        });
        Ok(Answer { total: self.total, facets: facets.collect(), hits, more })
    }
}

/// Looks the ids up, those of one segment in one pass over its dictionary.
fn named(mut candidates: Vec<Candidate>, ids: &[Ordinals]) -> io::Result<Vec<Hit>> {
    candidates.sort_unstable_by_key(|found| (found.address.segment_ord, found.id));
    let mut hits = Vec::with_capacity(candidates.len());
    let same_segment =
        |a: &Candidate, b: &Candidate| a.address.segment_ord == b.address.segment_ord;
    for of_segment in candidates.chunk_by(same_segment) {
        let segment = usize::try_from(of_segment[0].address.segment_ord);
        let Some(ids) = segment.ok().and_then(|segment| ids.get(segment)) else { continue };
        let ordinals: Vec<u64> = of_segment.iter().map(|found| found.id).collect();
        let mut found = of_segment.iter();
        ids.dictionary.sorted_ords_to_term_cb(&ordinals, |term| {
            if let Some(Candidate { key, address, .. }) = found.next() {
                let id = String::from_utf8_lossy(term).into_owned();
                hits.push(Hit { key: key.clone(), id, address: *address });
            }
        })?;
    }
    Ok(hits)
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
    block: Block,
}

/// The documents that wait to be looked at, and what is read of them.
#[derive(Default)]
struct Block {
    documents: Vec<DocId>,
    scores: Vec<f32>,
    states: Vec<usize>,
    words: Vec<Option<u64>>,
    integers: Vec<Option<i64>>,
    keys: Vec<u64>,
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
            block: Block::default(),
        })
    }

    /// Takes one document that the text matches.
    pub(super) fn visit(&mut self, document: DocId, score: f32) {
        self.block.documents.push(document);
        self.block.scores.push(score);
        if self.block.documents.len() == BLOCK {
            self.look();
        }
    }

    /// Looks at the documents of the block.
    fn look(&mut self) {
        let mut block = std::mem::take(&mut self.block);
        let Block { documents, scores, states, words, integers, keys } = &mut block;
        states.clear();
        states.resize(documents.len(), PASSES);
        if let Some((column, wanted)) = &self.flags {
            load(column, documents, words);
            for (state, flags) in states.iter_mut().zip(words.iter()) {
                if flags.unwrap_or(0) & wanted != *wanted {
                    *state = OUT;
                }
            }
        }
        for range in &self.ranges {
            load(&range.column, documents, integers);
            for (state, value) in states.iter_mut().zip(integers.iter()) {
                if !value.is_some_and(|value| range.least <= value && value <= range.greatest) {
                    *state = OUT;
                }
            }
        }
        // Missing one filter a document still counts for that filter's own facet.
        for (number, filter) in (1..).zip(&self.filters) {
            filter.stop(documents, words, |at| {
                states[at] = if states[at] == PASSES { number } else { OUT };
            });
        }
        for counter in &mut self.counters {
            let own = counter.own_filter.map_or(PASSES, |filter| filter + 1);
            counter.count(documents, words, |at| states[at] == PASSES || states[at] == own);
        }
        self.sort.keys(documents, scores, (words, integers), keys);
        let by_id = matches!(self.sort, SortColumn::None);
        if by_id {
            load(&self.ids.column, documents, words);
        }
        for (at, document) in documents.iter().enumerate() {
            if states[at] == PASSES {
                self.total += 1;
                let known = if by_id { words[at] } else { None };
                self.keep(*document, keys[at], known);
            }
        }
        documents.clear();
        scores.clear();
        self.block = block;
    }

    /// Keeps the document if it is among the best. The ordinal of its id is read if need be.
    fn keep(&mut self, document: DocId, key: u64, id: Option<u64>) {
        let full = self.heap.len() == self.best;
        if full && self.heap.peek().is_some_and(|worst| key > worst.0) {
            return;
        }
        if self.behind.as_ref().is_some_and(|behind| key < behind.key) {
            return;
        }
        let id = id.or_else(|| self.ids.column.first(document)).unwrap_or(u64::MAX);
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
    pub(super) fn finish(mut self, scan: &mut Scan) -> tantivy::Result<()> {
        self.look();
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
            scan.candidates.push(Candidate { key, id, address });
        }
        scan.ids.push(self.ids);
        Ok(())
    }
}
