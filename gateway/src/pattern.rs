//! Regular expressions of filters, in time that is linear in what they are matched with.

use regex::{Regex, RegexBuilder};

use crate::failure::Failure;

/// The most bytes that an expression may have, written and compiled.
const WRITTEN: usize = 4 << 10;
const COMPILED: usize = 1 << 20;

/// An expression, with what may not (or has to) stand at the begin besides.
///
/// An automaton knows no look-ahead. But official clients leave types out by one right behind the
/// begin, such as `^(?!(\$.+$|Result$))`: that is the same as two expressions, of which the first
/// must not match.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    ahead: Vec<(Regex, bool)>,
    rest: Regex,
}

impl Pattern {
    /// # Errors
    /// [`Failure::Invalid`] if it is no expression, is too large, or needs to look around
    /// elsewhere than at the begin.
    pub(crate) fn new(text: &str) -> Result<Self, Failure> {
        let mut ahead = Vec::new();
        let mut rest = text;
        if let Some(mut behind) = text.strip_prefix('^') {
            while let Some((group, wanted, after)) = look_ahead(behind) {
                ahead.push((compile(&format!("^(?:{group})"))?, wanted));
                behind = after;
            }
            // An alternative on the outermost level would not be under the look-ahead.
            if ahead.is_empty() || has_alternative(behind) {
                ahead.clear();
            } else {
                rest = behind;
            }
        }
        let rest =
            if ahead.is_empty() { compile(rest)? } else { compile(&format!("^(?:{rest})"))? };
        Ok(Self { ahead, rest })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.ahead.iter().all(|(group, wanted)| group.is_match(text) == *wanted)
            && self.rest.is_match(text)
    }
}

fn compile(text: &str) -> Result<Regex, Failure> {
    if text.len() > WRITTEN {
        return Err(Failure::Invalid(format!("an expression has at most {WRITTEN} bytes")));
    }
    let built = RegexBuilder::new(text).size_limit(COMPILED).dfa_size_limit(COMPILED).build();
    built.map_err(|error| Failure::Invalid(format!("the filter's expression: {error}")))
}

/// The look-ahead that the text begins with, whether it has to match, and what follows it.
fn look_ahead(text: &str) -> Option<(&str, bool, &str)> {
    let (behind, wanted) = match text.strip_prefix("(?!") {
        Some(behind) => (behind, false),
        None => (text.strip_prefix("(?=")?, true),
    };
    let mut depth = 0_usize;
    let end = outside_classes(behind).find_map(|(at, letter)| {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
        None
    })?;
    Some((&behind[..end], wanted, &behind[end + 1..]))
}

fn has_alternative(text: &str) -> bool {
    let mut depth = 0_usize;
    outside_classes(text).any(|(_, letter)| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' => return depth == 0,
            _ => {}
        }
        false
    })
}

/// The letters that are neither escaped nor in a class.
fn outside_classes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut escaped, mut class) = (false, false);
    text.char_indices().filter(move |(_, letter)| {
        let plain = !escaped && !class;
        match letter {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                return false;
            }
            '[' => class = true,
            ']' => class = false,
            _ => {}
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn an_expression_matches_anywhere_unless_it_says_otherwise() {
        assert!(matches("b+", "abba"));
        assert!(!matches("^b", "abba"));
        assert!(matches(r"^[^\$].*", "order-1"));
        assert!(!matches(r"^[^\$].*", "$order-1"));
    }

    #[test]
    fn what_may_not_stand_at_the_begin_is_left_out() {
        let python = r"^(?!(\$.+$|PersistentConfig\d+$|Result$))";
        for (text, seen) in [
            ("OrderPlaced", true),
            ("$metadata", false),
            ("PersistentConfig1", false),
            ("PersistentConfig", true),
            ("Result", false),
            ("Results", true),
            ("", true),
        ] {
            assert_eq!(matches(python, text), seen, "{text}");
        }
        for (pattern, text, seen) in [
            (r"^(?!a)(?!b)[a-c]", "c", true),
            (r"^(?!a)(?!b)[a-c]", "b", false),
            (r"^(?=ab)a", "abc", true),
            (r"^(?=ab)a", "acb", false),
            (r"^(?!\))[)x]", ")", false),
            (r"^(?![)])[)x]", ")", false),
            (r"^(?!(a|(b)))x", "x", true),
            (r"^(?!a)(x|b)", "b", true),
        ] {
            assert_eq!(matches(pattern, text), seen, "{pattern} {text}");
        }
    }

    #[test]
    fn what_an_automaton_cannot_do_is_refused() {
        for pattern in [
            "(",
            "(?!a)b",
            "a(?!b)",
            "^(?!a",
            "^(?!a)b|c",
            "(?<=a)b",
            r"(a)\1",
            "((a{1000}){1000}){1000}",
            &"a".repeat(WRITTEN + 1),
        ] {
            let refused = Pattern::new(pattern);
            assert!(matches!(refused, Err(Failure::Invalid(_))), "{pattern}: {refused:?}");
        }
    }

    #[test]
    fn what_is_catastrophic_elsewhere_takes_no_time_here() {
        let text = format!("{}b", "a".repeat(100_000));
        for pattern in ["^(a+)+$", "(a|a)*c", "^(?!(a+)+$)(a|aa)+$"] {
            assert!(!matches(pattern, &text));
        }
    }
}
