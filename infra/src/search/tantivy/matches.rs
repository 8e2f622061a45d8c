use tantivy::{
    Searcher,
    query::{EnableScoring, Query as EngineQuery},
};

use super::scan::{Pass, Plan, Scan};
use crate::search::Sort;

/// One pass over everything that the text matches; over everything there is without a text.
pub(super) fn scan(
    searcher: &Searcher,
    plan: &Plan,
    text: Option<&dyn EngineQuery>,
    sort: Sort,
) -> tantivy::Result<Scan> {
    let mut scan = plan.empty();
    let scored = text.is_some() && sort == Sort::Relevance;
    let scoring = if scored {
        EnableScoring::enabled_from_searcher(searcher)
    } else {
        EnableScoring::disabled_from_searcher(searcher)
    };
    let weight = text.map(|text| text.weight(scoring)).transpose()?;
    for (segment, reader) in (0..).zip(searcher.segment_readers()) {
        let mut pass = Pass::new(plan, segment, reader, scored)?;
        match &weight {
            None if reader.has_deletes() => {
                reader.doc_ids_alive().for_each(|document| pass.visit(document, 0.0));
            }
            None => (0..reader.max_doc()).for_each(|document| pass.visit(document, 0.0)),
            Some(weight) if scored => weight.for_each(reader, &mut |document, score| {
                if !reader.is_deleted(document) {
                    pass.visit(document, score);
                }
            })?,
            Some(weight) => weight.for_each_no_score(reader, &mut |block| {
                for document in block.iter().copied() {
                    if !reader.is_deleted(document) {
                        pass.visit(document, 0.0);
                    }
                }
            })?,
        }
        pass.finish(&mut scan)?;
    }
    Ok(scan)
}

/// Whether any document matches at all.
pub(super) fn any(searcher: &Searcher, text: &dyn EngineQuery) -> tantivy::Result<bool> {
    text.count(searcher).map(|count| count > 0)
}
