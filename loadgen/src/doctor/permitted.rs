//! What pushbench may do here beyond loopback: network namespaces, TUN devices, packets delayed by the
//! kernel. Tried where trying changes nothing.

use std::{
    fs::OpenOptions,
    io,
    process::{Command, Stdio},
};

use super::{Finding, Grade};

/// Runs `true` in user and network namespaces of its own, which end with it.
pub(super) fn try_namespace() -> io::Result<bool> {
    Command::new("unshare")
        .args(["--map-root-user", "--net", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|status| status.success())
}

/// Opens the device and lets go of it: without a further call there is no interface.
pub(super) fn open_tun() -> io::Result<()> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .map(drop)
}

/// What is missing keeps from no experiment on loopback.
const ONLY_LINKS: &str =
    "needed only for a network between server and generator; experiments on loopback do without it";

pub(super) fn namespaces(tried: io::Result<bool>) -> Finding {
    const NAME: &str = "namespaces";
    let missing = |what: &str, remedy: &str| {
        Finding::new(
            NAME,
            Grade::WorthKnowing,
            format!("{what}; {ONLY_LINKS}"),
            remedy,
        )
    };
    match tried {
        Ok(true) => Finding::fine(NAME, "network namespaces can be made"),
        Ok(false) => missing(
            "network namespaces cannot be made",
            "Allow unprivileged user namespaces (user.max_net_namespaces, kernel.unprivileged_userns_clone) or run as root.",
        ),
        Err(error) => missing(
            &format!("whether network namespaces can be made is not known: unshare: {error}"),
            "Install util-linux, which has `unshare`.",
        ),
    }
}

pub(super) fn tun(opened: io::Result<()>) -> Finding {
    const NAME: &str = "tun";
    match opened {
        Ok(()) => Finding::fine(NAME, "TUN devices can be opened"),
        Err(error) => Finding::new(
            NAME,
            Grade::WorthKnowing,
            format!("TUN devices cannot be opened: {error}; {ONLY_LINKS}"),
            "Load the module tun and give this process the device, or run as root.",
        ),
    }
}

pub(super) fn netem(there: bool) -> Finding {
    const NAME: &str = "netem";
    if there {
        return Finding::fine(NAME, "the kernel can delay and lose packets (sch_netem)");
    }
    Finding::new(
        NAME,
        Grade::WorthKnowing,
        format!("the kernel cannot delay and lose packets: it has no sch_netem; {ONLY_LINKS}"),
        "Install the kernel's extra modules where a link is to be emulated by the kernel.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_worth_knowing_and_never_bad() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        for finding in [
            namespaces(Ok(false)),
            namespaces(Err(refused())),
            tun(Err(refused())),
            netem(false),
        ] {
            assert_eq!(finding.grade, Grade::WorthKnowing, "{finding:?}");
            assert!(finding.found.contains("only for a network"), "{finding:?}");
        }
        for finding in [namespaces(Ok(true)), tun(Ok(())), netem(true)] {
            assert_eq!(finding.grade, Grade::Fine, "{finding:?}");
        }
    }
}
