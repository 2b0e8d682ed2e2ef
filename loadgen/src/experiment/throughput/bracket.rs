//! The search for the highest rate that is sustained: which to try next, and what is known then. Pure.

/// Rates tried in a search: doublings from the fixed rate, then halvings of the interval found. Seven
/// halvings would resolve less than the noise.
pub const DOUBLINGS: u32 = 6;
/// See [`DOUBLINGS`].
pub const HALVINGS: u32 = 4;

/// What is known of the highest rate that is sustained.
#[derive(Debug)]
pub struct Bracket {
    /// The highest rate known to be sustained.
    pub sustained: f64,
    not_sustained: Option<f64>,
    /// Why the rate above is not known to be too much for the server.
    pub other_limit: Option<String>,
    doublings: u32,
    halvings: u32,
}

impl Bracket {
    /// A search that begins at a rate that is sustained.
    pub fn above(sustained: f64) -> Self {
        Self {
            sustained,
            not_sustained: None,
            other_limit: None,
            doublings: 0,
            halvings: 0,
        }
    }

    /// The rate to try next, until enough is known.
    pub fn next(&self) -> Option<f64> {
        match self.not_sustained {
            None => (self.doublings < DOUBLINGS).then_some(self.sustained * 2.0),
            Some(above) => (self.halvings < HALVINGS).then(|| (self.sustained * above).sqrt()),
        }
    }

    /// What came of a rate that was tried.
    pub fn learn(&mut self, rate: f64, attempt: Attempt) {
        match self.not_sustained {
            None => self.doublings += 1,
            Some(_) => self.halvings += 1,
        }
        match attempt {
            Attempt::Sustained => self.sustained = rate,
            Attempt::Failed => (self.not_sustained, self.other_limit) = (Some(rate), None),
            Attempt::Void(reason) => {
                (self.not_sustained, self.other_limit) = (Some(rate), Some(reason));
            }
        }
    }

    /// Whether it is the server that did not bear the rate above.
    pub fn by_server(&self) -> bool {
        self.not_sustained.is_some() && self.other_limit.is_none()
    }
}

/// How a rate was borne.
#[derive(Debug)]
pub enum Attempt {
    /// By the server.
    Sustained,
    /// By the server, it was not.
    Failed,
    /// Something else than the server was the limit, or nothing was measured.
    Void(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches from rate 100 against a known truth.
    fn search(truth: impl Fn(f64) -> Attempt) -> Bracket {
        let mut bracket = Bracket::above(100.0);
        while let Some(rate) = bracket.next() {
            bracket.learn(rate, truth(rate));
        }
        bracket
    }

    #[test]
    fn the_search_closes_in_on_the_servers_limit() {
        let found = search(|rate| match rate <= 1_000.0 {
            true => Attempt::Sustained,
            false => Attempt::Failed,
        });
        assert!((950.0..=1_000.0).contains(&found.sustained), "{found:?}");
        assert!(found.by_server());
    }

    #[test]
    fn a_limit_that_is_not_the_servers_is_named_and_gives_no_figure() {
        let found = search(|rate| match rate <= 300.0 {
            true => Attempt::Sustained,
            false => Attempt::Void("the generator".into()),
        });
        assert!(!found.by_server());
        assert_eq!(found.other_limit.as_deref(), Some("the generator"));
    }

    #[test]
    fn the_server_is_the_limit_where_it_fails_below_another_limit() {
        let found = search(|rate| match rate {
            rate if rate <= 210.0 => Attempt::Sustained,
            rate if rate <= 390.0 => Attempt::Failed,
            _ => Attempt::Void("the generator".into()),
        });
        assert!(found.by_server(), "{found:?}");
    }

    #[test]
    fn a_search_that_never_met_a_limit_found_none() {
        let found = search(|_| Attempt::Sustained);
        assert!(!found.by_server());
        assert_eq!(found.sustained, 6_400.0);
    }
}
