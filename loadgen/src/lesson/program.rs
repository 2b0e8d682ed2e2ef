//! A learner's program: started without a shell, spoken to through its standard input and output, bounded in
//! time and in what it says, and ended with us.

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Of what it prints, in bytes: far more than any lesson asks for.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Lines of its standard error that are shown.
const LAST_LINES: usize = 3;

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<tokio::io::Take<ChildStdout>>>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The lines that it printed and that were not taken yet.
    pub lines: Vec<String>,
    /// Why that is not all, if it is not.
    pub trouble: Option<String>,
}

impl Program {
    /// Starts it with these variables beside our own.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(command: &[String], variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let [program, arguments @ ..] = command else {
            anyhow::bail!("no program is named");
        };
        let mut child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its children end with it, and all with us.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{program}`: is it there, and executable?"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("no standard output")?;
        let lines = BufReader::new(output.take(OUTPUT_BYTES_MAX)).lines();
        Ok(Self {
            child,
            input,
            lines,
        })
    }

    /// Gives it a line; one that has left does not take it, which its output tells.
    pub async fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let told = input.write_all(format!("{line}\n").as_bytes()).await;
            if told.is_err() || input.flush().await.is_err() {
                self.input = None;
            }
        }
    }

    /// Its next line; none when it has ended, or says nothing for that long.
    pub async fn hear(&mut self, patience: Duration) -> Option<String> {
        let line = timeout(patience, self.lines.next_line()).await;
        line.ok()?.ok().flatten()
    }

    /// Ends its input, and waits for its end.
    pub async fn end(mut self, patience: Duration) -> Ended {
        self.input = None;
        let mut lines = Vec::new();
        let mut errors = self.child.stderr.take();
        let mut said = Vec::new();
        let all = async {
            let printed = async {
                while let Ok(Some(line)) = self.lines.next_line().await {
                    lines.push(line);
                }
            };
            let complained = async {
                if let Some(errors) = &mut errors {
                    let mut errors = errors.take(OUTPUT_BYTES_MAX);
                    let _ = errors.read_to_end(&mut said).await;
                }
            };
            tokio::join!(printed, complained);
            self.child.wait().await
        };
        let status = timeout(patience, all).await;
        let trouble = match status {
            Err(_) => {
                let seconds = patience.as_secs();
                Some(format!("it did not end within {seconds} s"))
            }
            Ok(Err(error)) => Some(format!("it could not be waited for: {error}")),
            Ok(Ok(status)) if !status.success() => Some(format!("it ended with {status}")),
            Ok(Ok(_)) => None,
        };
        self.kill().await;
        let trouble = trouble.map(|trouble| trouble + &last(&said));
        Ended { lines, trouble }
    }

    /// And all that it has started.
    async fn kill(&mut self) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let signal = rustix::process::Signal::KILL;
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(group, signal);
        }
        let _ = self.child.kill().await;
    }
}

/// The end of what it complained.
fn last(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let lines = &lines[lines.len().saturating_sub(LAST_LINES)..];
    match lines.is_empty() {
        true => String::new(),
        false => format!("; it said: {}", lines.join(" / ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_program_is_told_and_heard_line_by_line() {
        let script = "while read line; do echo \"$GREETING $line\"; done; echo end";
        let mut program =
            Program::start(&shell(script), &[("GREETING", "hello".to_owned())]).unwrap();
        program.tell("one").await;
        assert_eq!(program.hear(PATIENCE).await.as_deref(), Some("hello one"));
        program.tell("two").await;
        let ended = program.end(PATIENCE).await;
        assert_eq!(ended.lines, ["hello two", "end"]);
        assert_eq!(ended.trouble, None);
    }

    #[tokio::test]
    async fn one_that_fails_or_hangs_is_told() {
        let program = Program::start(&shell("echo why >&2; exit 3"), &[]).unwrap();
        let trouble = program.end(PATIENCE).await.trouble.unwrap();
        assert!(
            trouble.contains('3') && trouble.contains("why"),
            "{trouble}"
        );
        let program = Program::start(&shell("sleep 60 & sleep 60"), &[]).unwrap();
        let ended = program.end(Duration::from_millis(200)).await;
        assert!(ended.trouble.unwrap().contains("did not end"));
        assert!(Program::start(&["no-such-program".to_owned()], &[]).is_err());
        assert!(Program::start(&[], &[]).is_err());
    }

    #[tokio::test]
    async fn endless_output_is_cut() {
        let program = Program::start(&shell("yes 0123456789"), &[]).unwrap();
        let ended = program.end(PATIENCE).await;
        let bytes: usize = ended.lines.iter().map(|line| line.len() + 1).sum();
        assert!(bytes as u64 <= OUTPUT_BYTES_MAX + 1, "{bytes}");
        assert!(ended.trouble.is_some());
    }
}
