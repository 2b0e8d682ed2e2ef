//! Cuts `en.txt` and `zh.txt` at o200k token boundaries and writes `en.tokens` and `zh.tokens`.

use std::error::Error;
use std::path::Path;
use std::{fs, str};

/// Between two tokens in the written file: U+001F, which no text here contains.
const SEPARATOR: &str = "\u{1f}";

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for language in ["en", "zh"] {
        let text = fs::read_to_string(corpus.join(language).with_extension("txt"))?;
        let cut = cut(&text)?;
        if text.contains(SEPARATOR) || cut.tokens.concat() != text {
            return Err(format!("{language}: the tokens do not give the text back").into());
        }
        fs::write(
            corpus.join(language).with_extension("tokens"),
            cut.tokens.join(SEPARATOR),
        )?;
        println!(
            "{language}: {} bytes, {} o200k tokens, {} after joining split characters",
            text.len(),
            cut.vocabulary_tokens,
            cut.tokens.len()
        );
    }
    Ok(())
}

struct Cut {
    /// How many tokens the vocabulary makes of the text.
    vocabulary_tokens: usize,
    /// Their texts, whole UTF-8 only.
    tokens: Vec<String>,
}

/// Splits the text as a model's server sends it: the bytes of a character that is split over several
/// tokens are held back until the last of them arrives, and go out with it.
fn cut(text: &str) -> Result<Cut, Box<dyn Error>> {
    let vocabulary = tiktoken_rs::o200k_base_singleton();
    let ids = vocabulary.encode_ordinary(text);
    let mut tokens = Vec::new();
    let mut held = Vec::new();
    for &id in &ids {
        held.extend(vocabulary.decode_bytes(&[id])?);
        let whole = match str::from_utf8(&held) {
            Ok(whole) => whole.len(),
            Err(error) => error.valid_up_to(),
        };
        if whole > 0 {
            let rest = held.split_off(whole);
            tokens.push(String::from_utf8(std::mem::replace(&mut held, rest))?);
        }
    }
    Ok(Cut {
        vocabulary_tokens: ids.len(),
        tokens,
    })
}
