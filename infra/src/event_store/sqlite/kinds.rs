//! Category and event type of an event are one small number in its row.

use std::{borrow::Cow, collections::HashMap};

use event_schemas::Event;
use rusqlite::{Connection, Result, params};

use super::super::Filter;

/// A number of the table `kinds`, from 1 without gaps.
pub(super) type KindId = i64;

/// Every kind of event met so far.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    kinds: Vec<Kind>,
    ids: HashMap<String, HashMap<String, KindId>>,
}

#[derive(Debug)]
struct Kind {
    id: KindId,
    category: String,
    event_type: Cow<'static, str>,
}

impl Kinds {
    /// Reads what came since the last time.
    pub(super) fn refresh(&mut self, connection: &Connection) -> Result<()> {
        let known = self.kinds.last().map_or(0, |kind| kind.id);
        let mut select = connection
            .prepare_cached("SELECT id, category, type FROM kinds WHERE id > ?1 ORDER BY id")?;
        let mut rows = select.query([known])?;
        while let Some(row) = rows.next()? {
            self.add(row.get(0)?, row.get(1)?, row.get(2)?);
        }
        Ok(())
    }

    /// The id of a kind; a new one gets the next.
    pub(super) fn intern(
        &mut self,
        connection: &Connection,
        category: &str,
        event_type: &str,
    ) -> Result<KindId> {
        if let Some(&id) = self.ids.get(category).and_then(|types| types.get(event_type)) {
            return Ok(id);
        }
        let id = self.kinds.last().map_or(1, |kind| kind.id + 1);
        connection
            .prepare_cached("INSERT INTO kinds (id, category, type) VALUES (?1, ?2, ?3)")?
            .execute(params![id, category, event_type])?;
        self.add(id, category.to_owned(), event_type.to_owned());
        Ok(id)
    }

    /// The event type's name; nothing is allocated for one of Daybook's own.
    pub(super) fn event_type(&self, id: KindId) -> Option<Cow<'static, str>> {
        let at = self.kinds.binary_search_by_key(&id, |kind| kind.id).ok()?;
        Some(self.kinds[at].event_type.clone())
    }

    /// The category of its streams.
    pub(super) fn category(&self, id: KindId) -> Option<&str> {
        let at = self.kinds.binary_search_by_key(&id, |kind| kind.id).ok()?;
        Some(&self.kinds[at].category)
    }

    /// The kinds that may pass a filter; `None` if all do.
    pub(super) fn passing(&self, filter: &Filter) -> Option<Vec<KindId>> {
        if filter.categories.is_empty() && filter.types.is_empty() {
            return None;
        }
        let passes = |kind: &&Kind| filter.matches_kind(&kind.category, &kind.event_type);
        let passing: Vec<_> = self.kinds.iter().filter(passes).map(|kind| kind.id).collect();
        (passing.len() < self.kinds.len()).then_some(passing)
    }

    fn add(&mut self, id: KindId, category: String, event_type: String) {
        let types = self.ids.entry(category.clone()).or_default();
        types.insert(event_type.clone(), id);
        let event_type = Event::type_named(&event_type).map_or(event_type.into(), Cow::Borrowed);
        self.kinds.push(Kind { id, category, event_type });
    }
}
