use std::{convert::Infallible, time::Duration};

use axum::extract::FromRequestParts;
use event_schemas::{Position, Timestamp};
use http::request::Parts;
use infra::http::{
    EntityTags, Faults, Problem, Query, if_none_match, prefer_wait, wanted_position,
};

use crate::QueryState;

/// How long a wanted position is waited for unless `Prefer: wait=N` says otherwise.
const WAIT: Duration = Duration::from_secs(2);

/// What a query asks for beside its path, while its parameters are still being read. All faults
/// are told at once, by [`Ask::finish`].
pub(crate) struct Ask {
    pub(crate) query: Query,
    pub(crate) faults: Faults,
    asked: Asked,
}

/// What a query asks for that is common to all of them.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The position that the answer has to include.
    pub(crate) wanted: Option<Position>,
    /// The wait that was asked for.
    pub(crate) preferred: Option<Duration>,
    /// What the caller has already.
    pub(crate) known: Option<EntityTags>,
}

impl Ask {
    /// Two times of which the second is not before the first.
    pub(crate) fn times(
        &mut self,
        from: &'static str,
        to: &'static str,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let range =
            (self.query.time(from, &mut self.faults), self.query.time(to, &mut self.faults));
        if let (Some(begin), Some(end)) = range
            && end < begin
        {
            self.faults.parameter(to, format!("{to} is before {from}; swap them"));
        }
        range
    }

    /// Nothing else may have been asked.
    ///
    /// # Errors
    /// 400 with every fault found.
    pub(crate) fn finish(mut self) -> Result<Asked, Problem> {
        self.query.finish(&mut self.faults);
        self.faults.check()?;
        Ok(self.asked)
    }
}

impl Asked {
    /// How long to wait for the wanted position.
    pub(crate) fn patience(&self) -> Duration {
        self.preferred.unwrap_or(WAIT)
    }
}

impl FromRequestParts<QueryState> for Ask {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &QueryState) -> Result<Self, Infallible> {
        let mut faults = Faults::new();
        let asked = Asked {
            wanted: wanted_position(&parts.headers, state.store.id(), &mut faults),
            preferred: prefer_wait(&parts.headers, &mut faults),
            known: if_none_match(&parts.headers, &mut faults),
        };
        Ok(Self { query: Query::parse(parts.uri.query(), &mut faults), faults, asked })
    }
}
