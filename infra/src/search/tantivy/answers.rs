use event_schemas::Position;
use tantivy::{
    TantivyDocument,
    query::{EnableScoring, Query as EngineQuery},
};

use super::{
    Inner,
    fields::{FLAGS, ID},
    matches::{any, scan},
    scan::{self, Plan},
    text,
};
use crate::search::{Cursor, Found, Page, Query, SearchError, words};

impl Inner {
    /// The documents that match, as they are stored.
    pub(super) fn find(&self, query: &dyn EngineQuery) -> tantivy::Result<Vec<Found>> {
        // Documents and checkpoint are committed together.
        let position = self.posted().map_or(Position::START, |checkpoint| checkpoint.position);
        let searcher = self.reader.searcher();
        let weight = query.weight(EnableScoring::disabled_from_searcher(&searcher))?;
        let mut found = Vec::new();
        for (segment, reader) in (0..).zip(searcher.segment_readers()) {
            let mut documents = Vec::new();
            weight.for_each_no_score(reader, &mut |block| {
                documents.extend(block.iter().filter(|document| !reader.is_deleted(**document)));
            })?;
            let Some(ids) = reader.fast_fields().str(ID)? else { continue };
            let flags = reader.fast_fields().u64(FLAGS)?;
            for document in documents {
                let mut id = String::new();
                for ordinal in ids.term_ords(document) {
                    ids.ord_to_str(ordinal, &mut id)?;
                }
                let stored: TantivyDocument =
                    searcher.doc(tantivy::DocAddress::new(segment, document))?;
                let flags = flags.first(document).unwrap_or(0);
                found.push(self.fields.found(id, position, flags, &stored));
            }
        }
        Ok(found)
    }

    /// A page of what was asked for.
    pub(super) fn query(&self, query: &Query) -> Result<Page, SearchError> {
        let plan = Plan::new(&self.fields, query)?;
        // Told before the snapshot is taken: it never promises more than the snapshot holds.
        let checkpoint = self.posted();
        let searcher = self.reader.searcher();
        let mut forgiving = query.after.as_ref().is_some_and(|cursor| cursor.forgiving);
        let scan = if query.text.trim().is_empty() {
            scan(&searcher, &plan, None, query.sort)?
        } else {
            let wanted = words::wanted(&query.text);
            let text = text::query(&self.fields, &wanted, forgiving);
            let mut scanned = scan(&searcher, &plan, Some(&*text), query.sort)?;
            if scanned.total == 0
                && query.after.is_none()
                && words::can_forgive(&wanted)
                && !any(&searcher, &*text)?
            {
                forgiving = true;
                let text = text::query(&self.fields, &wanted, forgiving);
                scanned = scan(&searcher, &plan, Some(&*text), query.sort)?;
            }
            scanned
        };
        let scan::Answer { total, facets, hits, more } = scan.finish(&plan)?;
        let items = hits.iter().map(|hit| {
            let document: TantivyDocument = searcher.doc(hit.address)?;
            Ok(self.fields.body(&document))
        });
        let items = items.collect::<tantivy::Result<_>>()?;
        let last = if more { hits.into_iter().next_back() } else { None };
        let next = last.map(|hit| Cursor { key: hit.key, id: hit.id, forgiving });
        Ok(Page { items, total, facets, next, checkpoint })
    }
}
