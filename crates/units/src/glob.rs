//! Names with `*` and `?` in them.
//!
//! Matching takes one step for each character of the name, whatever the pattern: all places of the pattern at which the
//! match may be are followed at once, as bits.

use std::fmt;
use std::str::FromStr;

use crate::limits::GLOB_BYTES_MAX;

/// A pattern for names: `*` stands for any characters or none, `?` for exactly one.
///
/// 1 to [`GLOB_BYTES_MAX`] bytes. It has to match the whole name.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
    /// Where the pattern accepts this character, for each that it has, sorted.
    accepts: Box<[(char, Places)]>,
    /// Where it accepts any character: its `?`.
    accepts_any: Places,
    /// Where it may stay, whatever comes: its `*`.
    stays: Places,
    /// The place after its last character.
    end: Places,
}

/// A set of places between the characters of a pattern that are not `*`, of which there are at most 254.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Places([u64; 4]);

impl Places {
    const NONE: Self = Self([0; 4]);

    fn at(place: usize) -> Self {
        let bit = 1_u64 << (place % 64);
        Self(std::array::from_fn(|word| if word == place / 64 { bit } else { 0 }))
    }

    fn or(self, other: Self) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        Self(words)
    }

    fn and(self, other: Self) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        Self(words)
    }

    /// Each place one further.
    fn advanced(self) -> Self {
        let mut carry = 0;
        Self(self.0.map(|word| {
            let moved = word << 1 | carry;
            carry = word >> 63;
            moved
        }))
    }
}

/// The text is not a pattern for names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a pattern for names: {fault}")]
pub struct InvalidGlob {
    /// What was written, cut to a readable length.
    pub given: String,
    /// What is wrong with it.
    pub fault: GlobFault,
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobFault {
    /// It matches no name, for none is empty.
    #[error("it is empty; write `*` for every name")]
    Empty,
    /// Longer than the longest name.
    #[error("it has more than {GLOB_BYTES_MAX} bytes, and so has no name; write a shorter one")]
    TooLong,
    /// A character that no name has, mostly one of another kind of pattern.
    #[error("no name has a `{0}` in it; write `*` for any characters and `?` for exactly one")]
    Foreign(char),
}

impl Glob {
    /// Whether the pattern matches the whole of this name.
    pub fn matches(&self, name: &str) -> bool {
        let mut places = Places::at(0);
        for c in name.chars() {
            let stayed = places.and(self.stays);
            places = places.and(self.accepting(c)).advanced().or(stayed);
            if places == Places::NONE {
                return false;
            }
        }
        places.and(self.end) != Places::NONE
    }

    fn accepting(&self, c: char) -> Places {
        let found = self.accepts.binary_search_by_key(&c, |(own, _)| *own).ok();
        found.and_then(|at| self.accepts.get(at)).map_or(self.accepts_any, |(_, places)| *places)
    }

    /// The one name that it matches, if it has neither `*` nor `?`.
    pub fn literal(&self) -> Option<&str> {
        Some(&*self.text).filter(|text| !text.contains(['*', '?']))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Glob {
    type Err = InvalidGlob;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text).map_err(|fault| InvalidGlob { given: text.chars().take(80).collect(), fault })?;
        let mut accepts = std::collections::BTreeMap::<char, Places>::new();
        let (mut accepts_any, mut stays) = (Places::NONE, Places::NONE);
        let mut place = 0;
        for c in text.chars() {
            match c {
                '*' => {
                    stays = stays.or(Places::at(place));
                    continue;
                }
                '?' => accepts_any = accepts_any.or(Places::at(place)),
                _ => {
                    let places = accepts.entry(c).or_insert(Places::NONE);
                    *places = places.or(Places::at(place));
                }
            }
            place += 1;
        }
        let accepts = accepts.into_iter().map(|(c, places)| (c, places.or(accepts_any))).collect();
        Ok(Self { text: text.into(), accepts, accepts_any, stays, end: Places::at(place) })
    }
}

fn check(text: &str) -> Result<(), GlobFault> {
    if text.is_empty() {
        return Err(GlobFault::Empty);
    }
    if text.len() > GLOB_BYTES_MAX {
        return Err(GlobFault::TooLong);
    }
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || "/\\[]{}()|^$+!%,".contains(c);
    text.chars().find(|c| is_foreign(*c)).map_or(Ok(()), |c| Err(GlobFault::Foreign(c)))
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        let table = [
            ("*", "", true),
            ("*", "anything", true),
            ("report", "report", true),
            ("report", "report-1", false),
            ("report", "a-report", false),
            ("report-*", "report-", true),
            ("report-*", "report", false),
            ("*-tmp", "a-tmp-tmp", true),
            ("*-tmp", "a-tmp-x", false),
            ("pr-?", "pr-1", true),
            ("pr-?", "pr-12", false),
            ("pr-?", "pr-é", true),
            ("pr-?*", "pr-", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("é*", "éa", true),
            ("é*", "è", false),
            ("a**b", "ab", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(glob(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_not_a_pattern_is_refused_with_what_to_write() {
        let long = "a".repeat(254);
        for text in ["", &*long, "a b", "[ab]", "^a$", "a|b", r"a\*", "a/b", "{a,b}", "a\n"] {
            let error = text.parse::<Glob>().expect_err(text).to_string();
            assert!(error.contains("write "), "{error}");
        }
        assert_eq!(glob(&"?".repeat(253)).to_string(), "?".repeat(253));
    }

    #[test]
    fn a_pattern_without_wildcards_is_one_name() {
        assert_eq!(glob("report").literal(), Some("report"));
        assert_eq!((glob("report*").literal(), glob("repor?").literal()), (None, None));
    }

    #[test]
    fn the_longest_pattern_reaches_its_end() {
        let name = "a".repeat(253);
        assert!(glob(&"a".repeat(253)).matches(&name) && glob(&"?".repeat(253)).matches(&name));
        assert!(!glob(&"?".repeat(253)).matches(&"a".repeat(252)));
        assert!(!glob(&"?".repeat(253)).matches(&"a".repeat(254)));
    }

    #[test]
    fn a_bomb_takes_no_longer_than_any_pattern() {
        let bombs = [
            format!("{}b", "*a".repeat(126)),
            format!("*{}b", "a".repeat(251)),
            format!("{}b", "*?".repeat(126)),
        ];
        let name = "a".repeat(253);
        for bomb in bombs {
            let bomb = glob(&bomb);
            // Exponential time would never end; the product of both lengths would take minutes.
            assert!((0..2_000).all(|_| !bomb.matches(&name)));
        }
    }

    /// Tries every split, straight from the definition.
    fn by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', pattern)), _) => (0..=name.len()).any(|at| by_definition(pattern, &name[at..])),
            (Some((p, pattern)), Some((n, name))) => (p == n || *p == '?') && by_definition(pattern, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_match_is_what_the_definition_says(pattern in "[ab*?]{1,10}", name in "[abc]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern).matches(&name), by_definition(&chars(&pattern), &chars(&name)));
        }

        #[test]
        fn any_text_is_a_pattern_or_is_refused(text in "\\PC{0,260}", name in "\\PC{0,260}") {
            if let Ok(glob) = text.parse::<Glob>() {
                glob.matches(&name);
                prop_assert_eq!(glob.as_str(), &text);
            }
        }
    }
}
