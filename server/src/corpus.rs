//! Real tokens to stream: English and Chinese text, cut at the boundaries of the o200k vocabulary.
//!
//! `server/corpus/README.md` says where the texts come from and how they were cut.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Between two tokens in the committed files. It is in neither text, so splitting at it cannot fail.
const SEPARATOR: char = '\u{1f}';

static EN: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    include_str!("../corpus/en.tokens")
        .split(SEPARATOR)
        .collect()
});

static ZH: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    include_str!("../corpus/zh.tokens")
        .split(SEPARATOR)
        .collect()
});

/// The language of a streamed text: English tokens are mostly ASCII, Chinese ones are three bytes a
/// character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// Every language there is.
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// Its name in URLs, plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name is none of [`Language::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown language {0:?}; use en or zh")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(name: &str) -> Result<Self, UnknownLanguage> {
        let known = Self::ALL
            .into_iter()
            .find(|language| language.name() == name);
        known.ok_or_else(|| UnknownLanguage(name.to_owned()))
    }
}

/// Every token of a language in the text's order: never none, and each whole UTF-8.
pub fn tokens(language: Language) -> &'static [&'static str] {
    match language {
        Language::En => &EN,
        Language::Zh => &ZH,
    }
}

/// The text without end, from a token that the seed chooses; after the last token comes the first.
pub fn stream(language: Language, seed: u64) -> impl Iterator<Item = &'static str> + Clone {
    let tokens = tokens(language);
    let start = ChaCha8Rng::seed_from_u64(seed).random_range(0..tokens.len());
    let (before, after) = tokens.split_at(start);
    after.iter().chain(before).copied().cycle()
}

/// Every token there is, of every language.
pub fn texts() -> impl Iterator<Item = &'static str> {
    Language::ALL
        .into_iter()
        .flat_map(|language| tokens(language).iter().copied())
}

/// The same texts, cut into pieces of exactly so many bytes instead of at tokens.
///
/// A character that does not fit any more opens the next piece, and spaces fill the place it leaves. Line
/// breaks become spaces, because server-sent events would frame them as lines of their own, and JSON as
/// two bytes: a piece is as long in every envelope and on every transport.
pub fn sized(
    mut texts: impl Iterator<Item = &'static str>,
    bytes: usize,
) -> impl Iterator<Item = String> {
    let mut rest = "";
    std::iter::from_fn(move || {
        let mut piece = String::with_capacity(bytes);
        while piece.len() < bytes {
            if rest.is_empty() {
                rest = texts.next()?;
            }
            let space = bytes - piece.len();
            let (fitting, left) = rest.split_at(rest.floor_char_boundary(space));
            if fitting.is_empty() {
                piece.extend(std::iter::repeat_n(' ', space));
            }
            piece.extend(fitting.chars().map(|c| if c == '\n' { ' ' } else { c }));
            rest = left;
        }
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(language: Language) -> &'static str {
        match language {
            Language::En => include_str!("../corpus/en.txt"),
            Language::Zh => include_str!("../corpus/zh.txt"),
        }
    }

    #[test]
    fn tokens_give_the_text_back_byte_for_byte() {
        for language in Language::ALL {
            assert_eq!(tokens(language).concat(), text(language), "{language}");
        }
    }

    #[test]
    fn tokens_are_as_many_and_as_long_as_a_vocabulary_makes_them() {
        for (language, bytes) in [(Language::En, 3.5..5.0), (Language::Zh, 3.0..5.0)] {
            let tokens = tokens(language);
            assert!(tokens.len() >= 1_500, "{language}: {} tokens", tokens.len());
            assert!(
                tokens.iter().all(|token| !token.is_empty()),
                "{language}: an empty token"
            );
            let mean = text(language).len() as f64 / tokens.len() as f64;
            assert!(bytes.contains(&mean), "{language}: {mean} bytes a token");
        }
    }

    #[test]
    fn a_stream_repeats_by_its_seed_and_runs_past_the_end() {
        for language in Language::ALL {
            let tokens = tokens(language);
            let once = stream(language, 7)
                .take(3 * tokens.len())
                .collect::<Vec<_>>();
            assert!(
                once.iter()
                    .copied()
                    .eq(stream(language, 7).take(once.len()))
            );
            assert_eq!(once[..tokens.len()], once[tokens.len()..2 * tokens.len()]);
            assert!(
                text(language)
                    .repeat(2)
                    .contains(&once[..tokens.len()].concat())
            );
            assert!((0..8).any(|seed| {
                !once
                    .iter()
                    .copied()
                    .eq(stream(language, seed).take(once.len()))
            }));
        }
    }

    #[test]
    fn pieces_have_exactly_so_many_bytes_and_are_the_text_where_it_fits() {
        for language in Language::ALL {
            for bytes in [1, 2, 3, 20, 180, 16_384] {
                for piece in sized(stream(language, 1), bytes).take(300) {
                    assert_eq!(piece.len(), bytes, "{language}: {piece:?}");
                    let escaped = serde_json::to_string(&piece).unwrap();
                    assert_eq!(escaped.len(), bytes + 2, "{language}: {escaped}");
                }
            }
            // Spaces apart, nothing is left out and nothing comes twice.
            let without_spaces = |text: &str| text.replace([' ', '\n'], "");
            let pieces: String = sized(stream(language, 1), 20).take(300).collect();
            let text: String = stream(language, 1).take(3_000).collect();
            let (pieces, text) = (without_spaces(&pieces), without_spaces(&text));
            assert!(text.starts_with(&pieces), "{language}");
            assert!(pieces.len() > 300 * 14, "{language}: mostly text");
        }
    }

    #[test]
    fn names_are_the_same_in_every_direction() {
        for language in Language::ALL {
            assert_eq!(language.name().parse(), Ok(language));
            assert_eq!(serde_json::to_value(language).unwrap(), language.name());
        }
        assert!(
            "fr".parse::<Language>()
                .unwrap_err()
                .to_string()
                .contains("use en or zh")
        );
    }
}
