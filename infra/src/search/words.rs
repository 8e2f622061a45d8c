//! The words of a text, the same for every engine: what a query asks for, and how long a title is.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer,
    TextAnalyzer, TokenStream,
};

/// Longer words are left out, of documents and of queries.
pub(super) const LONGEST_WORD: usize = 80;
/// What a word is worth that stands there as it was written, against one that was guessed. All
/// scores are sums of small integers, which floats hold exactly: they do not depend on the order
/// of addition.
pub(super) const AS_WRITTEN: u16 = 4;
/// Of a longer query typing errors are not forgiven: each guess reads a dictionary.
const MOST_FORGIVEN: usize = 8;

/// Words that say nothing where other words do.
const STOP_WORDS: [&str; 28] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "if", "in", "into",
    "is", "it", "no", "not", "of", "on", "or", "that", "the", "this", "to", "was", "will", "with",
];

/// A word of a query.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) stem: String,
    /// As it was written, but for case and accents: a typing error often leads the stemmer astray.
    pub(super) plain: String,
}

/// Letters and digits, lower case, without accents, by stem.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(LONGEST_WORD))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

fn without_stemmer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(LONGEST_WORD))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

fn tokens(mut analyzer: TextAnalyzer, text: &str) -> Vec<String> {
    let mut stream = analyzer.token_stream(text);
    let mut tokens = Vec::new();
    while let Some(token) = stream.next() {
        tokens.push(token.text.clone());
    }
    tokens
}

/// How many words a text has.
pub(super) fn length(text: &str) -> usize {
    tokens(without_stemmer(), text).len()
}

/// The words that a query asks for, each once. Empty if it consists of signs alone.
pub(super) fn wanted(text: &str) -> Vec<Word> {
    let mut wanted: Vec<Word> = Vec::new();
    for (stem, plain) in tokens(analyzer(), text).into_iter().zip(tokens(without_stemmer(), text)) {
        if wanted.iter().all(|word| word.stem != stem) {
            wanted.push(Word { stem, plain });
        }
    }
    let says_something = |word: &Word| !STOP_WORDS.contains(&word.plain.as_str());
    if wanted.iter().any(says_something) {
        wanted.retain(says_something);
    }
    wanted
}

/// Whether a second try with guesses makes sense.
pub(super) fn can_forgive(words: &[Word]) -> bool {
    !words.is_empty() && words.len() <= MOST_FORGIVEN
}

/// How many letters may be wrong, missing, too many or swapped with their neighbour.
pub(super) fn errors(word: &str) -> u8 {
    match word.chars().count() {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stems(text: &str) -> Vec<String> {
        wanted(text).into_iter().map(|word| word.stem).collect()
    }

    #[test]
    fn words_are_stems_without_case_and_accents() {
        assert_eq!(stems("Crème BRÛLÉES, 2x"), ["creme", "brule", "2x"]);
        assert_eq!(stems("mugs Mug mug's"), ["mug", "s"]);
        assert_eq!(length("mugs Mug mug's"), 4);
    }

    #[test]
    fn stop_words_count_only_where_they_stand_alone() {
        assert_eq!(stems("the bread of the day"), ["bread", "day"]);
        assert_eq!(stems("the"), ["the"]);
        assert!(stems("!?").is_empty());
        assert_eq!(stems("milk milk"), ["milk"]);
    }

    #[test]
    fn a_word_beyond_the_limit_is_left_out() {
        assert!(stems(&"x".repeat(81)).is_empty());
        assert_eq!(stems(&"x".repeat(79)).len(), 1);
    }
}
