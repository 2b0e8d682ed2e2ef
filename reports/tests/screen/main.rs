//! A screen of known truth: found within its intervals as often as promised, said in words, drawn, and
//! kept out of what compares arms.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod found;
mod made_up;
mod simulated;
