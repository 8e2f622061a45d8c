//! Reading the whole log again, against signed heads. What is signed is the root alone; the leaves
//! on this machine tell which event differs, as far as they themselves lead to the signed root.

use std::{collections::VecDeque, fmt, io};

use event_schemas::{Logged, Position};
use infra::event_store::{Direction, EventStore, Filter, IndexCheck, LogPage, MAX_PAGE, ReadError};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    cover::Cover,
    hash::Hash,
    head::SignedHead,
    keeper::hashed,
    stored::{Leaves, StoredTree},
};

/// How far an event is looked for that is not where it should be.
const WINDOW: usize = 1_000;

/// What was found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// How many events the newest head covers that was checked.
    pub events: u64,
    /// How many events lie behind it.
    pub beyond: u64,
    /// How many heads were checked.
    pub heads: usize,
    /// What differs, if anything does.
    pub difference: Option<Difference>,
}

/// An event, where it stands or stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Its number in the tree, from 0.
    pub index: u64,
    /// Its position in the log.
    pub position: Position,
    /// Its id.
    pub id: Uuid,
    /// Its stream, revision and type, where it is there to be read.
    pub shown: Option<String>,
}

/// The first thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An event is not what it was.
    Changed(At),
    /// An event is not there any more.
    Missing(At),
    /// An event was not there.
    Added(At),
    /// Another event stands where this one stood, which stands elsewhere.
    Moved(At),
    /// An event cannot be read any more.
    Unreadable {
        /// Its number in the tree.
        index: u64,
        /// The event before it.
        after: Position,
        /// What was there, if this machine's tree knows it.
        was: Option<At>,
        /// What the store said.
        reason: String,
    },
    /// An index of the store does not lead to every event: reads of streams would miss some.
    Index(Option<Position>),
    /// The root differs, and this machine has no leaves that lead to what was signed: somewhere
    /// among these events.
    Between {
        /// The newest head that is right covers so many events.
        right: u64,
        /// The next one covers so many.
        wrong: u64,
    },
}

/// Why the log could not be read to its end.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The log.
    #[error("the log cannot be read: {0}")]
    Log(#[from] ReadError),
    /// This machine's tree.
    #[error("the audit tree cannot be read: {0}")]
    Tree(#[from] io::Error),
}

/// Reads the log from its beginning and holds it against the heads, of which there is one at least.
/// `progress` is told how many events have been read.
///
/// # Errors
/// [`VerifyError`]
pub async fn verify(
    store: &EventStore,
    tree: Option<&StoredTree>,
    mut heads: Vec<SignedHead>,
    progress: impl FnMut(u64),
) -> Result<Verified, VerifyError> {
    heads.sort_by_key(|head| head.size);
    let mut checked = Verified {
        events: heads.last().map_or(0, |head| head.size),
        beyond: 0,
        heads: heads.len(),
        difference: None,
    };
    let scan = Scan::new(store, tree, checked.events);
    let (outcome, indexes) = tokio::join!(scan.run(&heads, progress), check_indexes(store));
    let outcome = outcome?;
    checked.beyond = outcome.read.saturating_sub(checked.events);
    // What differs in the log says more than an index that differs with it.
    checked.difference = match outcome.difference {
        None => indexes?,
        different => different,
    };
    Ok(checked)
}

struct Outcome {
    read: u64,
    difference: Option<Difference>,
}

struct Scan<'a> {
    store: &'a EventStore,
    tree: Option<&'a StoredTree>,
    /// Leaves of this machine that are still to be met.
    leaves: Option<Leaves>,
    /// How many events the newest head covers.
    size: u64,
    cover: Cover,
    /// The root of this machine's leaves: what they lead to.
    known: Cover,
    first: Option<First>,
}

/// The first place where the log and this machine's leaves differ.
struct First {
    /// The event that stands there, and those behind it.
    found: VecDeque<(Logged, Hash)>,
    index: u64,
}

impl<'a> Scan<'a> {
    fn new(store: &'a EventStore, tree: Option<&'a StoredTree>, size: u64) -> Self {
        // A tree that does not reach as far tells nothing about what is missing.
        let tree = tree.filter(|tree| tree.size() >= size);
        let leaves = tree.map(StoredTree::leaves);
        let (cover, known) = (Cover::from(0), Cover::from(0));
        Self { store, tree, leaves, size, cover, known, first: None }
    }

    async fn run(
        mut self,
        heads: &[SignedHead],
        mut progress: impl FnMut(u64),
    ) -> Result<Outcome, VerifyError> {
        let (mut after, mut limit, mut read) = (Position::START, MAX_PAGE, 0);
        let mut waiting = heads.iter().peekable();
        let (mut right, mut wrong) = (0, None);
        let mut check = |cover: &Cover| {
            while let Some(head) = waiting.next_if(|head| head.size == cover.end()) {
                if head.root == cover.root() && wrong.is_none() {
                    right = head.size;
                } else if wrong.is_none() {
                    wrong = Some(head.size);
                }
            }
        };
        check(&self.cover);
        // The next page is read while this one is hashed.
        let mut next = Some(read_page(self.store, after, limit).await);
        while let Some(page) = next.take() {
            let page = match page {
                Ok(page) => page,
                // The event that cannot be read is found by asking for ever fewer.
                Err(_) if limit > 1 => {
                    limit /= 2;
                    next = Some(read_page(self.store, after, limit).await);
                    continue;
                }
                Err(error) => return self.unreadable(after, error, read),
            };
            let (at_end, scanned_to) = (page.at_end, page.scanned_to);
            after = scanned_to;
            let reading = async {
                match at_end {
                    true => None,
                    false => Some(read_page(self.store, after, limit).await),
                }
            };
            let (events, following) = tokio::join!(hashed(page.events), reading);
            for (event, leaf) in events? {
                read += 1;
                if self.cover.end() < self.size {
                    self.cover.push(leaf, |_| {});
                    check(&self.cover);
                }
                self.compare(event, leaf)?;
            }
            progress(read);
            next = following;
        }
        // A log that ends before what was signed is wrong as well.
        if let Some(short) = waiting.next() {
            wrong = wrong.or(Some(short.size));
        }
        let Some(wrong) = wrong else { return Ok(Outcome { read, difference: None }) };
        let newest = heads.last().map(|head| head.root);
        let difference = match self.locate(newest)? {
            Some(difference) => difference,
            None => Difference::Between { right, wrong },
        };
        Ok(Outcome { read, difference: Some(difference) })
    }

    /// Holds an event against this machine's leaf.
    fn compare(&mut self, event: Logged, leaf: Hash) -> io::Result<()> {
        if let Some(first) = &mut self.first {
            if first.found.len() < WINDOW {
                first.found.push_back((event, leaf));
            }
            return Ok(());
        }
        let Some(expected) = self.next_leaf()? else { return Ok(()) };
        if expected != leaf {
            let index = self.known.end() - 1;
            self.first = Some(First { found: VecDeque::from([(event, leaf)]), index });
        }
        Ok(())
    }

    fn next_leaf(&mut self) -> io::Result<Option<Hash>> {
        if self.known.end() >= self.size {
            return Ok(None);
        }
        let Some(leaves) = &mut self.leaves else { return Ok(None) };
        let Some(leaf) = leaves.next().transpose()? else { return Ok(None) };
        self.known.push(leaf, |_| {});
        Ok(Some(leaf))
    }

    /// What differs first, if this machine's leaves lead to the signed root.
    fn locate(&mut self, newest: Option<Hash>) -> io::Result<Option<Difference>> {
        let Some(tree) = self.tree else { return Ok(None) };
        let end = self.known.end();
        while self.next_leaf()?.is_some() {}
        if Some(self.known.root()) != newest {
            return Ok(None);
        }
        let was = |index| {
            let (position, id) = tree.place(index)?;
            Ok::<_, io::Error>(At { index, position, id, shown: None })
        };
        let Some(First { found, index }) = &self.first else {
            // All that is there is right: the rest is missing.
            return if end < self.size {
                was(end).map(Difference::Missing).map(Some)
            } else {
                Ok(None)
            };
        };
        let Some((event, leaf)) = found.front() else { return Ok(None) };
        let at = shown(*index, event);
        let expected = tree.leaf(*index)?;
        let expected_later = found.iter().any(|(_, leaf)| *leaf == expected);
        let mut found_later = false;
        for later in (index + 1)..self.size.min(index + WINDOW as u64) {
            found_later |= tree.leaf(later)? == *leaf;
        }
        Ok(Some(match (expected_later, found_later) {
            (true, true) => Difference::Moved(was(*index)?),
            (true, false) => Difference::Added(at),
            (false, true) => Difference::Missing(was(*index)?),
            (false, false) => Difference::Changed(At { id: was(*index)?.id, ..at }),
        }))
    }

    /// An embedded store that cannot be read was changed; a server may be away.
    fn unreadable(
        &self,
        after: Position,
        error: ReadError,
        read: u64,
    ) -> Result<Outcome, VerifyError> {
        let (EventStore::Sqlite(_), ReadError::Unavailable(reason)) = (self.store, &error) else {
            return Err(error.into());
        };
        let known = self.tree.filter(|tree| read < tree.size() && self.first.is_none());
        let was = known.map(|tree| tree.place(read)).transpose()?;
        let was = was.map(|(position, id)| At { index: read, position, id, shown: None });
        let difference = Difference::Unreadable { index: read, after, was, reason: reason.clone() };
        Ok(Outcome { read, difference: Some(difference) })
    }
}

async fn read_page(store: &EventStore, from: Position, limit: usize) -> Result<LogPage, ReadError> {
    store.read_log(from, Direction::Forwards, &Filter::all(), limit).await
}

async fn check_indexes(store: &EventStore) -> Result<Option<Difference>, VerifyError> {
    match store.check_indexes().await {
        Ok(IndexCheck::Sound) => Ok(None),
        Ok(IndexCheck::Lost(position)) => Ok(Some(Difference::Index(Some(position)))),
        Ok(IndexCheck::Surplus) => Ok(Some(Difference::Index(None))),
        Err(ReadError::Unavailable(reason)) if matches!(store, EventStore::Sqlite(_)) => {
            tracing::warn!(reason, "an index cannot be read");
            Ok(Some(Difference::Index(None)))
        }
        Err(error) => Err(error.into()),
    }
}

fn shown(index: u64, event: &Logged) -> At {
    let shown = Some(format!("{} of {}@{}", event.event_type, event.stream, event.revision));
    At { index, position: event.position, id: event.id, shown }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, position, id, shown } = self;
        write!(f, "event {id}, number {index} of the log, at position {position}")?;
        shown.as_ref().map_or(Ok(()), |shown| write!(f, " ({shown})"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(at) => write!(f, "the {at} is not what was signed"),
            Self::Missing(at) => write!(f, "the {at} is missing"),
            Self::Added(at) => write!(f, "the {at} was added"),
            Self::Moved(at) => write!(f, "the {at} no longer stands in its place"),
            Self::Unreadable { index, after, was, reason } => {
                write!(f, "event number {index} of the log, behind position {after}")?;
                if let Some(At { id, .. }) = was {
                    write!(f, " (it was {id})")?;
                }
                write!(f, ", cannot be read: {reason}")
            }
            Self::Index(Some(position)) => write!(
                f,
                "the event at position {position} is not found in its stream: an index of the event \
                 store was changed"
            ),
            Self::Index(None) => write!(f, "an index of the event store was changed"),
            Self::Between { right, wrong } => write!(
                f,
                "the root differs: among the events number {right} to {} of the log at least one was \
                 changed, removed or added (this machine's audit tree cannot tell which)",
                wrong.saturating_sub(1)
            ),
        }
    }
}
