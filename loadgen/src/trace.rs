//! Reads a trace of real requests: when each arrived and how many tokens it was answered with.
//!
//! The format is that of the Azure LLM inference traces (Patel et al., "Splitwise", ISCA 2024): CSV with
//! the columns `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`, in order of arrival.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use jiff::civil::DateTime;

/// The columns a trace must have, in any order; others are ignored.
const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

/// Real requests in order of arrival: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    requests: Vec<Request>,
    skipped: u64,
}

/// One request of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Arrival, in nanoseconds after the trace's first row.
    pub at_ns: u64,
    /// Length of the prompt, in tokens.
    pub context_tokens: u32,
    /// Length of the answer, in tokens; never 0.
    pub generated_tokens: u32,
}

impl Trace {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`TraceError`] when the file cannot be read, lacks a column, holds a row that is not a request,
    /// runs backwards in time, or holds no request at all.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let fault = |problem| TraceError {
            path: path.to_owned(),
            problem,
        };
        let file = File::open(path).map_err(|error| fault(Problem::Unreadable(error)))?;
        Self::parse(file).map_err(fault)
    }

    /// In order of arrival; never empty.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Rows left out because nothing was generated: a turn without tokens has no latency to measure.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// From the first row to the last request, in nanoseconds.
    pub fn span_ns(&self) -> u64 {
        self.requests.last().map_or(0, |last| last.at_ns)
    }

    fn parse(source: impl Read) -> Result<Self, Problem> {
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(source);
        let columns = Columns::find(reader.headers()?)?;
        let mut requests = Vec::new();
        let mut skipped = 0;
        let mut clock = Clock::default();
        for row in reader.records() {
            let row = row?;
            let (arrived, context_tokens, generated_tokens) = columns.cells(&row)?;
            let at_ns = clock
                .ns_after_first(arrived)
                .map_err(|why| bad_row(&row, why))?;
            match generated_tokens {
                0 => skipped += 1,
                _ => requests.push(Request {
                    at_ns,
                    context_tokens,
                    generated_tokens,
                }),
            }
        }
        if requests.is_empty() {
            return Err(Problem::Empty { skipped });
        }
        Ok(Self { requests, skipped })
    }
}

/// Where each of [`COLUMNS`] stands in a row.
struct Columns([usize; 3]);

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, Problem> {
        let mut places = [0; 3];
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            let found = header.iter().position(|name| name == column);
            *place = found.ok_or_else(|| Problem::MissingColumn {
                column,
                found: header.iter().collect::<Vec<_>>().join(", "),
            })?;
        }
        Ok(Self(places))
    }

    fn cells(&self, row: &StringRecord) -> Result<(DateTime, u32, u32), Problem> {
        let cell = |column: usize| row.get(self.0[column]).unwrap_or_default();
        let arrived = cell(0).parse().map_err(|_| {
            bad_row(
                row,
                format!(
                    "{:?} is not a time like 2023-11-16 18:17:03.9799600",
                    cell(0)
                ),
            )
        })?;
        let count = |column: usize| {
            cell(column).parse().map_err(|_| {
                let (name, value) = (COLUMNS[column], cell(column));
                bad_row(
                    row,
                    format!("{name} is {value:?}, not a whole number from 0 up"),
                )
            })
        };
        Ok((arrived, count(1)?, count(2)?))
    }
}

/// Turns times of day into offsets from the first of them, and refuses to run backwards.
#[derive(Default)]
struct Clock {
    first: Option<DateTime>,
    latest_ns: u64,
}

impl Clock {
    fn ns_after_first(&mut self, arrived: DateTime) -> Result<u64, String> {
        let first = *self.first.get_or_insert(arrived);
        match u64::try_from(arrived.duration_since(first).as_nanos()) {
            Ok(at_ns) if at_ns >= self.latest_ns => {
                self.latest_ns = at_ns;
                Ok(at_ns)
            }
            _ => Err("it arrived before the row above it; sort the rows by TIMESTAMP".to_owned()),
        }
    }
}

/// A trace that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[error("trace {}: {problem}", path.display())]
pub struct TraceError {
    path: PathBuf,
    problem: Problem,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(
        "cannot be read ({0}); give a CSV file with the columns TIMESTAMP,ContextTokens,GeneratedTokens"
    )]
    Unreadable(io::Error),
    #[error(
        "has no column {column}, only: {found}; the first line must name TIMESTAMP,ContextTokens,GeneratedTokens"
    )]
    MissingColumn { column: &'static str, found: String },
    #[error("line {line}: {why}; correct or remove the line")]
    BadRow { line: u64, why: String },
    #[error("has no request to replay ({skipped} rows have no generated tokens)")]
    Empty { skipped: u64 },
}

impl From<csv::Error> for Problem {
    fn from(error: csv::Error) -> Self {
        let line = error.position().map_or(0, csv::Position::line);
        match error.into_kind() {
            ErrorKind::Io(error) => Self::Unreadable(error),
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => Self::BadRow {
                line,
                why: format!("it has {len} columns, the first line {expected_len}"),
            },
            ErrorKind::Utf8 { .. } => Self::BadRow {
                line,
                why: "it is not UTF-8".to_owned(),
            },
            kind => Self::BadRow {
                line,
                why: format!("{kind:?}"),
            },
        }
    }
}

fn bad_row(row: &StringRecord, why: String) -> Problem {
    Problem::BadRow {
        line: row.position().map_or(0, csv::Position::line),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TIMESTAMP,ContextTokens,GeneratedTokens` and these rows.
    fn trace(rows: &str) -> Result<Trace, String> {
        let text = format!("TIMESTAMP,ContextTokens,GeneratedTokens\r\n{rows}");
        Trace::parse(text.as_bytes()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn arrivals_count_from_the_first_row_at_any_number_of_digits() {
        let trace = trace(concat!(
            "2023-11-16 23:59:59.9799600,374,44\r\n",
            "2023-11-16 23:59:59.98,1,2\r\n",
            "2023-11-17 00:00:01,0,1\r\n",
            "2023-11-17 00:00:01.000000001+00:00,5,1900",
        ));
        let request = |at_ns, context_tokens, generated_tokens| Request {
            at_ns,
            context_tokens,
            generated_tokens,
        };
        let expected = [
            request(0, 374, 44),
            request(40_000, 1, 2),
            request(1_020_040_000, 0, 1),
            request(1_020_040_001, 5, 1900),
        ];
        let trace = trace.unwrap();
        assert_eq!(trace.requests(), expected);
        assert_eq!(trace.span_ns(), 1_020_040_001);
    }

    #[test]
    fn columns_may_stand_in_any_order_beside_others() {
        let text =
            "\u{feff}GeneratedTokens,Model,TIMESTAMP,ContextTokens\n9,x,2023-11-16 18:00:00,7\n";
        let trace = Trace::parse(text.as_bytes()).unwrap();
        assert_eq!(
            trace.requests(),
            [Request {
                at_ns: 0,
                context_tokens: 7,
                generated_tokens: 9
            }]
        );
    }

    #[test]
    fn rows_without_generated_tokens_are_skipped_and_counted() {
        let trace = trace("2023-11-16 18:00:00,9,0\n2023-11-16 18:00:01,9,3\n").unwrap();
        assert_eq!(trace.skipped(), 1);
        assert_eq!(trace.requests()[0].at_ns, 1_000_000_000);
    }

    #[test]
    fn a_missing_column_is_named_beside_those_found() {
        let problem = Trace::parse("TIMESTAMP,Tokens\n".as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            problem.contains("no column ContextTokens, only: TIMESTAMP, Tokens;"),
            "{problem}"
        );
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let good = "2023-11-16 18:00:00.5,9,3\n";
        for (bad, why) in [
            ("noon,9,3", r#""noon" is not a time"#),
            ("2023-02-30 18:00:00,9,3", "is not a time"),
            ("2023-11-16 18:00:01,many,3", r#"ContextTokens is "many""#),
            ("2023-11-16 18:00:01,9,-3", r#"GeneratedTokens is "-3""#),
            ("2023-11-16 18:00:01,9,", r#"GeneratedTokens is """#),
            (
                "2023-11-16 18:00:01,9",
                "it has 2 columns, the first line 3",
            ),
            ("2023-11-16 18:00:00.4,9,3", "before the row above"),
        ] {
            let problem = trace(&format!("{good}{bad}\n{good}")).unwrap_err();
            assert!(
                problem.contains("line 3: ") && problem.contains(why),
                "{bad}: {problem}"
            );
            assert!(problem.contains("correct or remove the line"), "{problem}");
        }
    }

    #[test]
    fn time_running_backwards_is_named_by_its_line() {
        let rows = ["18:00:00", "18:00:02", "18:00:02", "18:00:01"];
        let rows = rows.map(|time| format!("2023-11-16 {time},9,3\n")).concat();
        let problem = trace(&rows).unwrap_err();
        assert!(
            problem.contains("line 5: it arrived before the row above"),
            "{problem}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_a_bad_row() {
        let text = [
            b"TIMESTAMP,ContextTokens,GeneratedTokens\n".as_slice(),
            b"\xff,1,1\n",
        ]
        .concat();
        let problem = Trace::parse(text.as_slice()).unwrap_err().to_string();
        assert!(problem.contains("line 2: it is not UTF-8"), "{problem}");
    }

    #[test]
    fn nothing_to_replay_is_refused() {
        assert!(trace("").unwrap_err().contains("no request to replay"));
        assert!(
            trace("2023-11-16 18:00:00,9,0\n")
                .unwrap_err()
                .contains("1 rows have no")
        );
        assert!(
            Trace::parse(io::empty())
                .unwrap_err()
                .to_string()
                .contains("no column TIMESTAMP")
        );
    }

    #[test]
    fn a_missing_file_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("none.csv"), folder.path().to_owned()] {
            let error = Trace::read(&path).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(
                error.contains("cannot be read") && error.contains("give a CSV file"),
                "{error}"
            );
        }
    }
}
