//! The kernel's congestion controls: which there are, and setting one.

use std::{fs, io, os::fd::AsFd};

use rustix::net::{AddressFamily, SocketType, socket, sockopt::set_tcp_congestion};

/// Which the kernel has at hand, whether or not everybody may use them.
const AVAILABLE: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";

/// Which those may use who are not privileged to use all.
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// The kernel does not offer us this congestion control.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot use the congestion control `{name}`: {source}; available here are {available}, without privileges {allowed}"
)]
pub struct NotOffered {
    name: String,
    source: io::Error,
    available: String,
    allowed: String,
}

/// Sets it on a socket; one that listens hands it on to those it accepts.
///
/// # Errors
/// [`NotOffered`] says what there is instead.
pub fn set(socket: impl AsFd, name: &str) -> Result<(), NotOffered> {
    let listed = |path| {
        let list = fs::read_to_string(path).unwrap_or_else(|_| "unknown".into());
        list.trim().replace(' ', ", ")
    };
    set_tcp_congestion(socket, name).map_err(|error| NotOffered {
        name: name.to_owned(),
        source: error.into(),
        available: listed(AVAILABLE),
        allowed: listed(ALLOWED),
    })
}

/// Whether a server could use it: the kernel is asked, on a socket that goes nowhere.
///
/// # Errors
/// [`NotOffered`] says what there is instead.
pub fn probe(name: &str) -> Result<(), NotOffered> {
    let trial = socket(AddressFamily::INET, SocketType::STREAM, None);
    let trial = trial.map_err(|error| NotOffered {
        name: name.to_owned(),
        source: error.into(),
        available: "unknown".into(),
        allowed: "unknown".into(),
    })?;
    set(&trial, name)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustix::net::sockopt::tcp_congestion;

    use super::*;

    #[test]
    fn every_one_that_is_allowed_is_set_and_handed_on() {
        for name in fs::read_to_string(ALLOWED).unwrap().split_whitespace() {
            probe(name).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            set(&listener, name).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let accepted = listener.accept().unwrap().0;
            assert_eq!(tcp_congestion(&accepted).unwrap(), name);
        }
    }

    #[test]
    fn one_that_there_is_not_is_refused_with_those_there_are() {
        let refusal = probe("nosuch").unwrap_err().to_string();
        let available = fs::read_to_string(AVAILABLE).unwrap();
        let first = available.split_whitespace().next().unwrap();
        assert!(
            refusal.contains("`nosuch`") && refusal.contains(first),
            "{refusal}"
        );
    }
}
