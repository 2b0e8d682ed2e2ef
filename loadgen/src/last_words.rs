//! What a program that failed said at its end, to be appended to what is said of it.

use std::path::Path;

/// Its last lines say why it ended; a traceback's are at its end too.
const LINES: usize = 3;

/// Of what it said; empty of one that said nothing. Blank lines say nothing either.
pub fn last_words(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut last: Vec<_> = lines.rev().take(LINES).collect();
    last.reverse();
    match last.is_empty() {
        true => String::new(),
        false => format!("; it said: {}", last.join(" / ")),
    }
}

/// Of what is in its log, if there is one.
pub fn last_words_in(log: &Path) -> String {
    last_words(&std::fs::read_to_string(log).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_and_of_nothing_nothing() {
        assert_eq!(last_words("a\nb\n\nc\nd\n"), "; it said: b / c / d");
        assert_eq!(last_words("\n \n"), "");
        assert_eq!(last_words_in(Path::new("no such log")), "");
    }
}
