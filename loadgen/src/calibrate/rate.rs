//! A rate held against a stated one by an exact binomial test.

use pushbench_reports::{
    calibration::Row,
    quantity::{number, percent},
    statistics::{Side, binomial},
};

use super::grouped;

/// At which a rate is rejected, each row for itself: of a hundred rows that keep exactly to what is
/// stated, one fails by chance.
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

/// A row for each: it fails where the test rejects what is stated.
pub fn judge(rates: &[Rate]) -> Vec<Row> {
    rates.iter().map(Rate::row).collect()
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

    fn row(&self) -> Row {
        let (words, other, room) = match self.bound {
            Bound::AtMost => ("at most", Bound::AtLeast, ", significantly fewer"),
            Bound::AtLeast => ("at least", Bound::AtMost, ", significantly more"),
        };
        let p = self.p(self.bound);
        let pass = p >= REJECTED;
        // A rate well on the promise's side is no failure, but it is not the stated one either.
        let room = match pass && self.p(other) < REJECTED {
            true => room,
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
            tolerance: format!("rejected at p < {REJECTED}; here {}", shown(p)),
            pass,
        }
    }
}

fn shown(p: f64) -> String {
    match p {
        p if p < 0.001 => "below 0.001".to_owned(),
        p => format!("{p:.3}"),
    }
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
        assert!(rows[2].measured.ends_with("significantly fewer"));
        assert!(rows[5].measured.ends_with("significantly more"));
        assert_eq!(rows[0].measured, "5 % (100 of 2,000)");
        assert_eq!(rows[3].truth, "at least 90 %");
    }

    #[test]
    fn each_row_is_judged_for_itself_and_nothing_tried_fails() {
        // 123 of 2,000 has a p of 0.012, 124 one of 0.009, whatever stands beside it.
        let passes = |hits| {
            let mut rates = vec![rate(100, 0.05, Bound::AtMost); 15];
            rates.push(rate(hits, 0.05, Bound::AtMost));
            judge(&rates).iter().all(|row| row.pass)
        };
        assert!(passes(123) && !passes(124));
        let nothing = Rate {
            tries: 0,
            ..rate(0, 0.05, Bound::AtMost)
        };
        assert!(!judge(&[nothing])[0].pass);
    }
}
