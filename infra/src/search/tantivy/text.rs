use tantivy::{
    Term,
    query::{
        BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, FuzzyTermQuery, Occur,
        Query as EngineQuery, TermQuery,
    },
    schema::{Field, IndexRecordOption},
};

use super::fields::Fields;
use crate::search::words::{AS_WRITTEN, Word, errors};

/// The name of the analyzer of every text field.
pub(super) const ANALYZER: &str = "english";

/// Every word must be in one of the fields; the best field of each word counts.
pub(super) fn query(fields: &Fields, words: &[Word], forgiving: bool) -> Box<dyn EngineQuery> {
    if words.is_empty() {
        return Box::new(EmptyQuery);
    }
    let last = words.len() - 1;
    let clauses = words.iter().enumerate().map(|(at, word)| {
        let mut ways: Vec<Box<dyn EngineQuery>> = Vec::new();
        for (text, field) in fields.schema.texts.iter().zip(&fields.texts) {
            let term = Term::from_field_text(*field, &word.stem);
            ways.push(worth(
                TermQuery::new(term, IndexRecordOption::Basic),
                u32::from(text.boost) * u32::from(AS_WRITTEN),
            ));
            if forgiving {
                ways.extend(guesses(*field, word, at == last, u32::from(text.boost)));
            }
        }
        (Occur::Must, Box::new(DisjunctionMaxQuery::new(ways)) as Box<dyn EngineQuery>)
    });
    Box::new(BooleanQuery::new(clauses.collect()))
}

fn guesses(field: Field, word: &Word, last: bool, boost: u32) -> Vec<Box<dyn EngineQuery>> {
    let mut guesses = Vec::new();
    let mut forms = vec![&word.stem];
    if word.plain != word.stem {
        forms.push(&word.plain);
    }
    for form in forms {
        let term = Term::from_field_text(field, form);
        let errors = errors(form);
        if errors > 0 {
            guesses.push(worth(FuzzyTermQuery::new(term.clone(), errors, true), boost));
        }
        if last {
            guesses.push(worth(FuzzyTermQuery::new_prefix(term, 0, true), boost));
        }
    }
    guesses
}

fn worth(query: impl EngineQuery, score: u32) -> Box<dyn EngineQuery> {
    #[expect(clippy::cast_precision_loss, reason = "at most 4,000: a float holds it exactly")]
    let score = score as f32;
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}
