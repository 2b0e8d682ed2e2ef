//! `pushbench serve`: the server alone. With `--child` it is the server of a trial.

mod child;

use std::{io::Write, net::SocketAddr, process::ExitCode};

use anyhow::{Context, bail};
use pushbench_server::{
    config::Config, contract::certificate::Certificate, counters::Counters, limits::Limits,
    server::Server,
};
use tempfile::NamedTempFile;
use url::Url;

use super::{note, say, stop_signal};
use crate::meter::limits::{enough_open_files, raise_open_files};

/// Serve without measuring: the streams over both transports, and the articles' samples
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Address and port to listen on, several times if need be [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,

    /// Allow addresses that other machines can reach
    #[arg(long)]
    public: bool,

    /// Speak TLS 1.3 and nothing else, by a certificate that is made now for localhost, its addresses and
    /// every --allow-host; the file to trust it by (`curl --cacert FILE`) is printed, and gone with the server
    #[arg(long)]
    tls: bool,

    /// Let pages of this origin, such as `https://example.org`, open a WebSocket
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<String>,

    /// Answer to this name in `Host`, beside localhost and addresses
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,

    /// Live connections at most [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Serve a trial: driven through standard input and output
    #[arg(long, hide = true, exclusive = true)]
    child: bool,
}

/// Messages a second on the feed: a pace that a person can read.
const FEED_RATE: f64 = 10.0;

/// What is served where, a line each, below the addresses.
const OFFERS: &str = "
  GET  /               the articles' page: connect and disconnect an EventSource
  GET  /sse?content=…  its stream: ten events, one a second
  POST /fetch-sse      the articles' fetch sample, {\"content\": …}
  POST /api/gpt/get    the articles' ChatGPT sample, {\"message\": …, \"role\": …}
  GET  /sse/chat       one answer, token by token, for EventSource
  POST /sse/chat       the same for fetch
  GET  /sse/feed       one feed for many subscribers, 10 messages a second; POST as well
  GET  /ws             WebSocket: send {\"chat\":{}}, {\"feed\":{}} or \"cancel\"
  GET  /health         ok
";

/// Serves until Ctrl-C or SIGTERM.
///
/// # Errors
/// When it may not or cannot listen.
pub fn run(args: Serve) -> anyhow::Result<ExitCode> {
    if args.child {
        return child::run();
    }
    let config = args.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

impl Serve {
    fn config(self) -> anyhow::Result<Config> {
        let mut config = Config {
            allow_origins: self.allow_origin,
            allow_hosts: self.allow_host,
            feed_rate: Some(FEED_RATE),
            ..Config::default()
        };
        config.factors.tls = self.tls;
        if !self.listen.is_empty() {
            config.listen = self.listen;
        }
        let exposed = config
            .listen
            .iter()
            .find(|address| !address.ip().is_loopback());
        match exposed {
            Some(address) if !self.public => bail!(
                "{address} can be reached from other machines: listen on 127.0.0.1, or add --public if that is meant"
            ),
            Some(address) => {
                let lack = if self.tls { "" } else { " and no encryption" };
                note(&format!(
                    "warning: {address} can be reached from other machines; there is no password{lack}"
                ));
            }
            None => {}
        }
        raise_open_files();
        let default = Limits::default().connections;
        config.limits.connections = self
            .max_connections
            .map_or(default, |connections| connections as usize);
        enough_open_files(config.limits.connections as u64)?;
        Ok(config)
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let counters = Counters::private().context("cannot allocate the counters")?;
    let server = Server::bind(config, counters).await?;
    let certificate = server.endpoint().and_then(|endpoint| endpoint.certificate);
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let urls = server
        .addresses()
        .iter()
        .map(|address| format!("{scheme}://{address}\n"))
        .collect::<String>();
    // Gone when this returns.
    let file = certificate.as_ref().map(certificate_file).transpose()?;
    let trust = file.as_ref().map_or_else(String::new, |file| {
        format!("certificate: {}\n", file.path().display())
    });
    let head = format!("{urls}{trust}");
    say(&format!("{}{OFFERS}Ctrl-C stops.\n", head.trim_end()))?;
    server.run(stop).await;
    Ok(())
}

/// The certificate in a file that other programs can be told to trust.
fn certificate_file(certificate: &Certificate) -> anyhow::Result<NamedTempFile> {
    let file = tempfile::Builder::new()
        .prefix("pushbench-")
        .suffix(".pem")
        .tempfile();
    let mut file = file.context("cannot create a file for the certificate")?;
    file.write_all(certificate.pem().as_bytes())
        .context("cannot write the certificate")?;
    Ok(file)
}

/// An origin as a browser sends it; one written otherwise would never match.
fn origin(text: &str) -> Result<String, String> {
    let sent = Url::parse(text).map(|url| url.origin().ascii_serialization());
    match sent {
        _ if text == "null" => Ok(text.to_owned()),
        Ok(sent) if sent.eq_ignore_ascii_case(text) => Ok(sent),
        Ok(sent) if sent != "null" => Err(format!("browsers send it as `{sent}`: use that")),
        _ => Err("use scheme, host and port, such as https://example.org:8443".to_owned()),
    }
}
