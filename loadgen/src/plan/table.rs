//! A table of a TOML file, taken apart key by key, so that every fault has its line.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Error, ValueDeserializer},
};

/// Something in the file is wrong: where, and a sentence that says what and what to do.
#[derive(Debug)]
pub struct Flaw {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// The sentence.
    pub message: String,
}

impl Flaw {
    /// At this place.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }
}

impl From<Error> for Flaw {
    fn from(error: Error) -> Self {
        // The parser speaks of Rust's types, and at times in several lines.
        let words = [
            ("unknown field", "unknown key"),
            ("missing field", "missing key"),
            ("expected f64", "expected a number"),
            ("expected u32", "expected a whole number from 0 up"),
            ("expected u64", "expected a whole number from 0 up"),
            (
                "expected a nonzero u32",
                "expected a whole number from 1 up",
            ),
            ("\n", "; "),
        ];
        let message = words.iter().fold(
            error.message().trim().to_owned(),
            |message, (theirs, ours)| message.replace(theirs, ours),
        );
        Self {
            span: error.span().unwrap_or(0..0),
            message,
        }
    }
}

/// What of a table has not been taken yet.
#[derive(Debug)]
pub struct Table<'a> {
    span: Range<usize>,
    items: DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub fn parse(text: &'a str) -> Result<Self, Flaw> {
        let table = DeTable::parse(text)?;
        Ok(Self {
            span: table.span(),
            items: table.into_inner(),
        })
    }

    /// Where it stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Takes the value of a key.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<Spanned<T>>, Flaw> {
        let Some(value) = self.items.remove(key) else {
            return Ok(None);
        };
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Ok(Some(Spanned::new(span, value))),
            // What a type of ours refuses has no place of its own.
            Err(error) => Err(Flaw {
                span: error.span().unwrap_or(span),
                ..Flaw::from(error)
            }),
        }
    }

    /// Takes a table within this one.
    pub fn table(&mut self, key: &str) -> Result<Option<Self>, Flaw> {
        self.items
            .remove(key)
            .map(|value| Self::of(value, key, "["))
            .transpose()
    }

    /// Takes the tables of an array; none when the key is not there.
    pub fn tables(&mut self, key: &str) -> Result<Vec<Self>, Flaw> {
        let Some(value) = self.items.remove(key) else {
            return Ok(Vec::new());
        };
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            return Err(not_a_table(span, key, "[["));
        };
        values
            .into_iter()
            .map(|value| Self::of(value, key, "[["))
            .collect()
    }

    /// All that was not taken, as a type that knows which keys there may be.
    pub fn rest<T: DeserializeOwned>(self) -> Result<T, Flaw> {
        let value = Spanned::new(self.span, DeValue::Table(self.items));
        Ok(T::deserialize(ValueDeserializer::from(value))?)
    }

    /// That nothing is left.
    pub fn end(self, known: &str) -> Result<(), Flaw> {
        match self.items.keys().next() {
            Some(key) => Err(Flaw::at(
                key.span(),
                format!("unknown key `{}`, expected one of {known}", key.get_ref()),
            )),
            None => Ok(()),
        }
    }

    fn of(value: Spanned<DeValue<'a>>, key: &str, bracket: &str) -> Result<Self, Flaw> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(items) => Ok(Self { span, items }),
            _ => Err(not_a_table(span, key, bracket)),
        }
    }
}

fn not_a_table(span: Range<usize>, key: &str, bracket: &str) -> Flaw {
    let closing = bracket.replace('[', "]");
    Flaw::at(
        span,
        format!("`{key}` is a table: write it as {bracket}{key}{closing} with its keys below"),
    )
}
