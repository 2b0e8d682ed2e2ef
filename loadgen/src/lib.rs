//! How it is measured.
