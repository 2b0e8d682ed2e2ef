//! A rate held against a stated one by an exact binomial test.

use pushbench_reports::{
    calibration::Row,
    quantity::{number, percent},
    statistics::{Side, binomial, holm},
};

use super::grouped;

/// At which a rate is rejected: of a hundred calibrations of a sound testbed one fails. Shared by the
/// rows of a check, by Holm: sixteen rows at 1 % each would fail one in seven.
pub const REJECTED: f64 = 0.01;

/// What was counted, and what was promised.
#[derive(Debug, Clone)]
pub struct Rate {
    /// Of what.
    pub subject: String,
    /// How often it happened.
    pub hits: u64,
    /// How often it could.
    pub tries: u64,
    /// What is promised.
    pub stated: f64,
    /// Which way.
    pub bound: Bound,
}

/// What is promised of a rate. A departure the other way keeps the promise, with room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It happens so often or less.
    AtMost,
    /// It happens so often or more.
    AtLeast,
}

/// A row for each: it fails where the test rejects what is stated, corrected over all of them.
pub fn judge(rates: &[Rate]) -> Vec<Row> {
    let p: Vec<f64> = rates.iter().map(|rate| rate.p(rate.bound)).collect();
    let corrected = holm(&p);
    let rows = rates.iter().zip(p).zip(corrected);
    rows.map(|((rate, p), corrected)| rate.row(p, corrected))
        .collect()
}

impl Rate {
    /// Per cent.
    pub fn percent(&self) -> f64 {
        100.0 * self.hits as f64 / self.tries.max(1) as f64
    }

    /// Of what was counted or further past the bound, were the stated rate true; nothing tried has shown
    /// nothing.
    fn p(&self, way: Bound) -> f64 {
        let side = match way {
            Bound::AtMost => Side::Above,
            Bound::AtLeast => Side::Below,
        };
        let tried = (self.tries > 0).then_some(self.tries);
        let p = tried.and_then(|tries| binomial(self.hits, tries, self.stated, side));
        p.unwrap_or(0.0)
    }

    fn row(&self, p: f64, corrected: f64) -> Row {
        let (words, other) = match self.bound {
            Bound::AtMost => ("at most", Bound::AtLeast),
            Bound::AtLeast => ("at least", Bound::AtMost),
        };
        let pass = corrected >= REJECTED;
        // A rate well on the promise's side is no failure, but it is not the stated one either.
        let room = match pass && self.p(other) < REJECTED {
            true => ", better than stated",
            false => "",
        };
        Row {
            subject: self.subject.clone(),
            truth: format!("{words} {}", percent(self.stated)),
            measured: format!(
                "{} % ({} of {}){room}",
                number(self.percent()),
                grouped(self.hits),
                grouped(self.tries)
            ),
            tolerance: format!(
                "rejected at p < {REJECTED} over all rows; here {}",
                shown(p, corrected)
            ),
            pass,
        }
    }
}

fn shown(p: f64, corrected: f64) -> String {
    let of = |p: f64| match p {
        p if p < 0.001 => "below 0.001".to_owned(),
        p => format!("{p:.3}"),
    };
    format!("{}, alone {}", of(corrected), of(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hits: u64, stated: f64, bound: Bound) -> Rate {
        Rate {
            subject: "x".into(),
            hits,
            tries: 2_000,
            stated,
            bound,
        }
    }

    #[test]
    fn a_promise_is_broken_in_one_direction_only() {
        let rows = judge(&[
            rate(100, 0.05, Bound::AtMost),
            rate(150, 0.05, Bound::AtMost),
            rate(20, 0.05, Bound::AtMost),
            rate(1_800, 0.9, Bound::AtLeast),
            rate(1_700, 0.9, Bound::AtLeast),
            rate(2_000, 0.9, Bound::AtLeast),
        ]);
        let pass: Vec<bool> = rows.iter().map(|row| row.pass).collect();
        assert_eq!(pass, [true, false, true, true, false, true], "{rows:#?}");
        assert!(rows[2].measured.ends_with("better than stated"));
        assert_eq!(rows[0].measured, "5 % (100 of 2,000)");
        assert_eq!(rows[3].truth, "at least 90 %");
    }

    #[test]
    fn one_unlucky_row_of_many_does_not_fail_a_check_and_nothing_tried_does() {
        // 124 of 2,000 has a p of 0.009 by itself.
        let unlucky = rate(124, 0.05, Bound::AtMost);
        assert!(!judge(std::slice::from_ref(&unlucky))[0].pass);
        let mut rates = vec![rate(100, 0.05, Bound::AtMost); 15];
        rates.push(unlucky);
        assert!(judge(&rates).iter().all(|row| row.pass));
        let nothing = Rate {
            tries: 0,
            ..rate(0, 0.05, Bound::AtMost)
        };
        assert!(!judge(&[nothing])[0].pass);
    }
}
