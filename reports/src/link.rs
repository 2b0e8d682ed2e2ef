//! Addresses of files beside the page.

/// `path` below the run's directory as a relative URL; what is not plain is percent-encoded, and the
/// leading `./` keeps a colon from being read as a scheme.
pub fn link(path: &str) -> String {
    let mut out = String::from("./");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn a_scheme_or_a_fragment_is_only_a_name() {
        assert_eq!(link("records/a b#c?.json"), "./records/a%20b%23c%3F.json");
        assert_eq!(link("javascript:alert(1)"), "./javascript%3Aalert%281%29");
    }
}
