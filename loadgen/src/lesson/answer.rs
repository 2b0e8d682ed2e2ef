//! Answers as they are typed: `KEY=VALUE`.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

/// By key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<String, String>);

impl Answers {
    /// Reads them.
    ///
    /// # Errors
    /// Something else than `KEY=VALUE`, or a key twice.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Self> {
        let mut answers = BTreeMap::new();
        for text in texts {
            let (key, value) = text
                .split_once('=')
                .with_context(|| format!("`{text}` is no answer: write KEY=VALUE"))?;
            if answers.insert(key.to_owned(), value.to_owned()).is_some() {
                bail!("`{key}` is answered twice: answer it once");
            }
        }
        Ok(Self(answers))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As typed.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// As a number.
    pub(super) fn number(&self, key: &str) -> anyhow::Result<Option<f64>> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        let number: f64 = text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .with_context(|| format!("`{key}={text}` is no number: write digits, such as 12.5"))?;
        Ok(Some(number))
    }

    /// Refuses what nobody asked for.
    pub(super) fn only(&self, keys: &[&str]) -> anyhow::Result<()> {
        match self.0.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => bail!("`{key}` is not asked here: answer {}", keys.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_others_refused() {
        let answers = Answers::parse(["a=true", "p99_ms=12.5", "c="]).unwrap();
        assert_eq!(answers.text("a"), Some("true"));
        assert_eq!(answers.number("p99_ms").unwrap(), Some(12.5));
        assert_eq!(answers.number("none").unwrap(), None);
        assert!(answers.number("a").is_err() && answers.number("c").is_err());
        assert!(answers.only(&["a", "p99_ms", "c"]).is_ok());
        let refused = answers.only(&["a", "c"]).unwrap_err().to_string();
        assert!(refused.contains("`p99_ms`") && refused.contains("answer a, c"));
        assert!(Answers::parse(["a"]).is_err() && Answers::parse(["a=1", "a=2"]).is_err());
        assert!(Answers::parse(["x=inf"]).unwrap().number("x").is_err());
    }
}
