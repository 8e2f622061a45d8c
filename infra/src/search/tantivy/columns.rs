//! The columns that a pass reads: a block of documents at a time, by ordinal.

use std::{collections::BTreeMap, io, sync::Arc};

use tantivy::{
    DocId, SegmentReader, TantivyError,
    columnar::{Cardinality, Column, Dictionary, StrColumn, TermOrdHit},
};

use crate::search::{Cursor, Key};

/// A keyword column as ordinals of a dictionary.
pub(super) struct Ordinals {
    pub(super) column: Column<u64>,
    pub(super) dictionary: Arc<Dictionary>,
}

/// A filter of a keyword field: which ordinals it lets pass.
pub(super) struct Allowed {
    column: Column<u64>,
    ordinals: Vec<bool>,
}

pub(super) struct Counter {
    pub(super) ordinals: Ordinals,
    pub(super) own_filter: Option<usize>,
    pub(super) counts: Vec<u32>,
}

pub(super) struct Range {
    pub(super) column: Column<i64>,
    pub(super) least: i64,
    pub(super) greatest: i64,
}

/// What the sort key of a document is made of; lower comes first.
pub(super) enum SortColumn {
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
pub(super) struct Behind {
    pub(super) key: u64,
    pub(super) id: u64,
}

/// The first value of each document of a block.
pub(super) fn load<T>(column: &Column<T>, block: &[DocId], values: &mut Vec<Option<T>>)
where
    T: PartialOrd + Copy + std::fmt::Debug + Send + Sync + 'static,
{
    values.clear();
    values.resize(block.len(), None);
    column.first_vals(block, values);
}

impl SortColumn {
    /// The keys of a block.
    pub(super) fn keys(
        &self,
        block: &[DocId],
        scores: &[f32],
        (words, integers): (&mut Vec<Option<u64>>, &mut Vec<Option<i64>>),
        keys: &mut Vec<u64>,
    ) {
        keys.clear();
        match self {
            Self::None => keys.resize(block.len(), 0),
            Self::Relevance(length) => {
                load(length, block, words);
                keys.extend(scores.iter().zip(words).map(|(score, length)| {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a score is a sum of at most 100 words at 4,000 each"
                    )]
                    let score = *score as u32;
                    let length = length.unwrap_or(0).min(u64::from(u32::MAX));
                    u64::from(u32::MAX - score) << 32 | length
                }));
            }
            Self::Integer { column, descending } => {
                load(column, block, integers);
                // Without a value behind all others, whichever way they are sorted.
                let key = |value: &Option<i64>| {
                    value.map_or(u64::MAX, |value| turn(tantivy::i64_to_u64(value), *descending))
                };
                keys.extend(integers.iter().map(key));
            }
            Self::Text { ordinals, descending } => {
                load(&ordinals.column, block, words);
                let key = |value: &Option<u64>| turn(value.unwrap_or_default(), *descending);
                keys.extend(words.iter().map(key));
            }
        }
    }
}

impl Allowed {
    fn passes(&self, ordinal: u64) -> bool {
        usize::try_from(ordinal).is_ok_and(|at| self.ordinals[at])
    }

    /// Tells of each document of a block whether it does not pass.
    pub(super) fn stop(
        &self,
        block: &[DocId],
        values: &mut Vec<Option<u64>>,
        mut stopped: impl FnMut(usize),
    ) {
        if self.column.get_cardinality() == Cardinality::Multivalued {
            for (at, document) in block.iter().enumerate() {
                if !self.column.values_for_doc(*document).any(|ordinal| self.passes(ordinal)) {
                    stopped(at);
                }
            }
            return;
        }
        load(&self.column, block, values);
        for (at, value) in values.iter().enumerate() {
            if !value.is_some_and(|ordinal| self.passes(ordinal)) {
                stopped(at);
            }
        }
    }
}

impl Counter {
    /// Counts the documents of a block that are `counted`.
    pub(super) fn count(
        &mut self,
        block: &[DocId],
        values: &mut Vec<Option<u64>>,
        counted: impl Fn(usize) -> bool,
    ) {
        let column = &self.ordinals.column;
        if column.get_cardinality() == Cardinality::Multivalued {
            for (at, document) in block.iter().enumerate().filter(|(at, _)| counted(*at)) {
                debug_assert!(at < block.len());
                for ordinal in column.values_for_doc(*document) {
                    increase(&mut self.counts, ordinal);
                }
            }
            return;
        }
        load(column, block, values);
        for (at, value) in values.iter().enumerate() {
            if let Some(ordinal) = value
                && counted(at)
            {
                increase(&mut self.counts, *ordinal);
            }
        }
    }

    pub(super) fn add_to(self, counts: &mut BTreeMap<String, u64>) -> io::Result<()> {
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
    pub(super) fn term(&self, ordinal: u64) -> io::Result<String> {
        let mut term = Vec::new();
        self.dictionary.ord_to_term(ordinal, &mut term)?;
        Ok(String::from_utf8_lossy(&term).into_owned())
    }

    /// The first ordinal that is not below the term, and whether it is the term's own.
    fn position(&self, term: &str) -> io::Result<(u64, bool)> {
        Ok(match self.dictionary.term_ord_or_next(term)? {
            TermOrdHit::Exact(ordinal) => (ordinal, true),
            TermOrdHit::Next(ordinal) => (ordinal, false),
        })
    }
}

fn increase(counts: &mut [u32], ordinal: u64) {
    if let Some(count) = usize::try_from(ordinal).ok().and_then(|at| counts.get_mut(at)) {
        *count += 1;
    }
}

/// Ordered integers the other way round.
fn turn(key: u64, descending: bool) -> u64 {
    if descending { !key } else { key }
}

pub(super) fn behind(cursor: &Cursor, sort: &SortColumn, ids: &Ordinals) -> io::Result<Behind> {
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

pub(super) fn ordinals(reader: &SegmentReader, field: &str) -> tantivy::Result<Ordinals> {
    let (dictionary, column) = match reader.fast_fields().str(field)? {
        Some(column) => StrColumn::into_parts(column),
        // No document of the segment has a value.
        None => (Dictionary::empty().into(), Column::build_empty_column(reader.max_doc())),
    };
    Ok(Ordinals { column, dictionary })
}

pub(super) fn allowed(
    reader: &SegmentReader,
    field: &str,
    values: &[String],
) -> tantivy::Result<Allowed> {
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
