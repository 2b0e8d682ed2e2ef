//! nginx between the clients and the server: one process in the foreground, with a configuration of its own.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use pushbench_server::{affinity, contract::factors::Proxy, sys};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{OutsideError, cannot, failed};
use crate::tethered::Tethered;

const NAME: &str = "nginx";

/// In the task's directory.
const LOG: &str = "nginx.log";

/// nginx has no port 0: one that was free is written into its configuration, and somebody else may have taken it
/// before nginx does. That happens once in a great while, and not five times in a row.
const ATTEMPTS: u32 = 5;

/// Looks for an answer, and the pause between two: a hundred times what nginx needs to start.
const LOOKS: u32 = 1_000;
const LOOK: Duration = Duration::from_millis(5);

/// Of one look.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running nginx; it ends when this is dropped, and with this process.
#[derive(Debug)]
pub struct Nginx {
    _child: Tethered,
    address: SocketAddr,
    /// As it says itself.
    version: String,
    /// The level in force, read back from the configuration that it runs with.
    level: String,
    cores: Vec<usize>,
    pid: u32,
}

/// What it is to do.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// How it passes answers on.
    pub level: Proxy,
    /// The server behind it.
    pub server: SocketAddr,
    /// Clients' connections at most.
    pub connections: u32,
    /// Cores to run on; empty leaves the choice to the kernel.
    pub cores: &'a [usize],
    /// Where its files go.
    pub directory: &'a Path,
}

/// Whether it is installed.
pub(super) fn present(level: Proxy) -> Result<(), OutsideError> {
    let missing = |found: String| OutsideError::Missing {
        program: NAME,
        level: format!("proxy = \"{}\"", level.name()),
        found,
        remedy: "install it, on Debian the package nginx-light, or leave the factor out",
    };
    let version = Command::new(NAME)
        .arg("-v")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match version {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(missing(format!("`nginx -v` ended with {status}"))),
        Err(error) => Err(missing(error.to_string())),
    }
}

impl Nginx {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(task: &Task<'_>) -> Result<Self, OutsideError> {
        let mut attempt = 1;
        loop {
            let log = task.directory.join(LOG);
            let address = free().map_err(cannot(NAME, "find a free port", log))?;
            match Self::start_at(address, task).await {
                Err(OutsideError::Failed { said, .. })
                    if attempt < ATTEMPTS && said.contains("bind()") =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn start_at(address: SocketAddr, task: &Task<'_>) -> Result<Self, OutsideError> {
        let log = task.directory.join(LOG);
        let cannot = |attempt| cannot(NAME, attempt, log.clone());
        let conf = task.directory.join("nginx.conf");
        fs::write(&conf, configuration(task, address))
            .map_err(cannot("write its configuration"))?;
        let stderr = File::create(&log).map_err(cannot("create its log"))?;
        let mut command = tokio::process::Command::new(NAME);
        command
            .arg("-p")
            .arg(task.directory)
            .arg("-c")
            .arg(&conf)
            // An inherited one would have it take over sockets that it was not given.
            .env_remove("NGINX")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        sys::end_with_parent(command.as_std_mut());
        let mut child = Tethered(command.spawn().map_err(cannot("start it"))?);
        let pid = child.pid().map_err(cannot("start it"))?;
        let cores = affinity::pin_other(pid, task.cores).map_err(cannot("keep it on its cores"))?;
        let Answer { version, level } = until_it_answers(&mut child, address, &log).await?;
        Ok(Self {
            _child: child,
            address,
            version,
            level,
            cores,
            pid,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time that it has used, nanoseconds.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_ns(&self) -> io::Result<u64> {
        sys::process_cpu_ns(self.pid)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What is in force, for the record.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("proxy", self.level.clone()),
            ("proxy_version", self.version.clone()),
            ("proxy_cores", format!("{:?}", self.cores)),
        ]
    }
}

/// A port that nobody listens on now.
fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// One process, all its files in the task's directory. What differs between the levels is what their documentation
/// names; all else is nginx's default. A WebSocket needs the two fields of its upgrade set (nginx, "WebSocket
/// proxying").
fn configuration(task: &Task<'_>, address: SocketAddr) -> String {
    let Task {
        level,
        server,
        connections,
        directory,
        ..
    } = task;
    let name = level.name();
    let directory = directory.display();
    // Each has two, one to either side, and nginx some of its own.
    let connections = 2 * connections + 64;
    let buffering = match level {
        Proxy::None | Proxy::Nginx => "",
        Proxy::NginxUnbuffered => "proxy_buffering off;",
        Proxy::NginxBuffering => {
            "proxy_buffering on; proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;"
        }
    };
    format!(
        r#"daemon off;
master_process off;
worker_processes 1;
pid "{directory}/nginx.pid";
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path "{directory}/nginx-body";
    proxy_temp_path "{directory}/nginx-proxy";
    fastcgi_temp_path "{directory}/nginx-fastcgi";
    uwsgi_temp_path "{directory}/nginx-uwsgi";
    scgi_temp_path "{directory}/nginx-scgi";
    server {{
        listen {address};
        location = {PROBE} {{ return 200 "{name}"; }}
        location / {{ proxy_pass http://{server}; {buffering} }}
        location = /ws {{
            proxy_pass http://{server};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"#
    )
}

/// Answered by nginx itself, with its level: that it runs with our configuration, and not another program on the
/// port.
const PROBE: &str = "/pushbench-proxy";

/// What it says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    version: String,
    level: String,
}

async fn until_it_answers(
    child: &mut Tethered,
    address: SocketAddr,
    log: &Path,
) -> Result<Answer, OutsideError> {
    let mut found = String::new();
    for _ in 0..LOOKS {
        // Whoever answers then is somebody else.
        if let Ok(Some(status)) = child.0.try_wait() {
            return Err(failed(NAME, format!("ended with {status}"), log));
        }
        match timeout(PATIENCE, ask(address)).await {
            Ok(Ok(text)) => match read(&text) {
                Some(answer) => return Ok(answer),
                None => found = format!("answers `{}`", text.lines().next().unwrap_or_default()),
            },
            Ok(Err(error)) => found = format!("does not answer: {error}"),
            Err(_) => found = "does not answer".into(),
        }
        sleep(LOOK).await;
    }
    Err(failed(NAME, found, log))
}

async fn ask(address: SocketAddr) -> io::Result<String> {
    /// Of nginx's own answer, which has 200.
    const BYTES_MAX: u64 = 4_096;
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {PROBE} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.take(BYTES_MAX).read_to_string(&mut text).await?;
    Ok(text)
}

/// The version in its signature and the level in its body; none of what others answer.
fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut fields = head.lines();
    let version = fields.find_map(|line| line.strip_prefix("Server: "))?;
    let signed = version.starts_with(NAME) && head.starts_with("HTTP/1.1 200");
    signed.then(|| Answer {
        version: version.to_owned(),
        level: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_is_told_by_what_its_configuration_says() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let of = |level| {
            let task = Task {
                level,
                server: SocketAddr::from((Ipv4Addr::LOCALHOST, 2)),
                connections: 10,
                cores: &[],
                directory: Path::new("/a b"),
            };
            configuration(&task, address)
        };
        let usual = of(Proxy::Nginx);
        for says in [
            "listen 127.0.0.1:1;",
            "http://127.0.0.1:2;",
            "worker_connections 84;",
            "return 200 \"nginx\";",
            "\"/a b/nginx.pid\"",
        ] {
            assert!(usual.contains(says), "{usual} lacks {says}");
        }
        assert!(!usual.contains("proxy_buffering"), "nginx's own default");
        assert!(of(Proxy::NginxUnbuffered).contains("proxy_buffering off;"));
        assert!(of(Proxy::NginxBuffering).contains("proxy_ignore_headers X-Accel-Buffering;"));
    }

    #[tokio::test]
    async fn a_port_that_somebody_else_took_is_known_by_what_it_says() {
        if let Err(missing) = present(Proxy::Nginx) {
            return eprintln!("not tested: {missing}");
        }
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let task = Task {
            level: Proxy::Nginx,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, 2)),
            connections: 10,
            cores: &[],
            directory: directory.path(),
        };
        let failed = Nginx::start_at(taken.local_addr().unwrap(), &task).await;
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.contains("ended with") && failed.contains("bind()"),
            "{failed}"
        );
    }

    #[test]
    fn another_program_on_the_port_is_not_taken_for_it() {
        let ours = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\r\nnginx";
        let answer = read(ours).unwrap();
        assert_eq!(
            (answer.version.as_str(), answer.level.as_str()),
            ("nginx/1.22.1", "nginx")
        );
        for other in [
            ours.replace("nginx/", "caddy/"),
            ours.replace("200 OK", "404 Not Found"),
            ours.replace("Server:", "X:"),
            "SSH-2.0".into(),
        ] {
            assert_eq!(read(&other), None, "{other}");
        }
    }
}
