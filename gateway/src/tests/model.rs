//! A stream under any sequence of appends, deletes and metadata, beside a model of what the real
//! server would do.

use proptest::prelude::*;
use tonic::Code;

use super::support::{ANY, EXISTS, NONE, Written, all, at, backwards, events, revisions, serve};
use crate::{
    Access,
    messages::{
        append::Expected,
        read::{FromPosition, FromRevision},
    },
    tests::raw::Raw,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(Expect, usize),
    Delete(Expect),
    Truncate(u64),
    Count(u64),
    Forget,
}

#[derive(Clone, Copy, Debug)]
enum Expect {
    Any,
    None,
    Exists,
    /// The last revision, or one beside it.
    Last(i64),
}

/// What is known of the stream.
#[derive(Debug, Default)]
struct Model {
    /// Events that it ever had.
    length: u64,
    has_metadata: bool,
    truncate_before: u64,
    max_count: Option<u64>,
    deleted: bool,
    /// Events in the whole log.
    log: usize,
}

impl Model {
    fn expected(&self, expect: Expect) -> Option<Expected> {
        match expect {
            Expect::Any => Some(ANY),
            Expect::None => Some(NONE),
            Expect::Exists => Some(EXISTS),
            Expect::Last(beside) => {
                let revision = i64::try_from(self.length).unwrap() - 1 + beside;
                u64::try_from(revision).ok().map(at)
            }
        }
    }

    fn fits(&self, expect: Expect) -> bool {
        match expect {
            Expect::Any => true,
            Expect::None => self.length == 0 || self.deleted,
            Expect::Exists => !self.deleted && (self.length > 0 || self.has_metadata),
            Expect::Last(beside) => beside == 0 && self.length > 0,
        }
    }

    fn visible(&self) -> Vec<u64> {
        if self.deleted {
            return Vec::new();
        }
        let counted = self.max_count.map_or(0, |count| self.length.saturating_sub(count));
        (self.truncate_before.max(counted)..self.length).collect()
    }

    /// Metadata replaces metadata, and brings a deleted stream back without what it held.
    fn describe(&mut self, truncate_before: u64, max_count: Option<u64>) {
        self.log += 1 + usize::from(self.deleted);
        let gone = if self.deleted { self.length } else { truncate_before };
        (self.has_metadata, self.deleted) = (true, false);
        (self.truncate_before, self.max_count) = (gone, max_count);
    }
}

async fn take(raw: &Raw, model: &mut Model, step: Step) {
    match step {
        Step::Append(expect, count) => {
            let Some(expected) = model.expected(expect) else { return };
            let written = raw.append("s", expected, &events(count)).await;
            assert_eq!(matches!(written, Written::Success(_)), model.fits(expect), "{written:?}");
            if model.fits(expect) {
                model.log += count + usize::from(model.deleted);
                if model.deleted {
                    (model.deleted, model.truncate_before) = (false, model.length);
                }
                model.length += count as u64;
            }
        }
        Step::Delete(expect) => {
            let Some(expected) = model.expected(expect) else { return };
            let fits = model.fits(expect) && (model.length > 0 || model.has_metadata);
            let deleted = raw.delete("Delete", "s", expected).await;
            assert_eq!(deleted.is_ok(), fits, "{deleted:?}");
            if fits {
                model.log += 1;
                (model.deleted, model.has_metadata, model.max_count) = (true, true, None);
            }
        }
        Step::Truncate(before) => {
            raw.describe("s", &format!("{{\"$tb\":{before}}}")).await;
            model.describe(before, None);
        }
        Step::Count(count) => {
            raw.describe("s", &format!("{{\"$maxCount\":{count}}}")).await;
            model.describe(0, Some(count));
        }
        Step::Forget => {
            raw.describe("s", "{}").await;
            model.describe(0, None);
        }
    }
}

async fn check(raw: &Raw, model: &Model) {
    let visible = model.visible();
    assert_eq!(raw.revisions("s").await, visible);
    let (contents, ended) = raw.read(backwards("s", FromRevision::End(()))).await;
    assert_eq!(ended.code, Code::Ok);
    assert_eq!(revisions(&contents), visible.into_iter().rev().collect::<Vec<_>>());
    let (contents, _) = raw.read(all(FromPosition::Start(()), false)).await;
    assert_eq!(contents.len(), model.log);
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        2 => Just(Expect::Any),
        2 => Just(Expect::None),
        1 => Just(Expect::Exists),
        2 => Just(Expect::Last(0)),
        1 => (-1_i64..=1).prop_map(Expect::Last),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (expect(), 1_usize..4).prop_map(|(expect, count)| Step::Append(expect, count)),
        3 => expect().prop_map(Step::Delete),
        1 => (0_u64..8).prop_map(Step::Truncate),
        1 => (1_u64..4).prop_map(Step::Count),
        1 => Just(Step::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_what_the_model_says(steps in prop::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_served, raw) = serve(Access::All).await;
            let mut model = Model::default();
            for step in &steps {
                take(&raw, &mut model, *step).await;
                check(&raw, &model).await;
            }
        });
    }
}
