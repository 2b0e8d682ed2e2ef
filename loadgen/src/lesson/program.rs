//! A learner's program: started without a shell, spoken to through its standard input and output, bounded in
//! time and in what it says, and ended with all that it has started.

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::last_words::last_words;

/// Of what it prints, in bytes: far more than any lesson asks for.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Of itself and all that it starts: known here, since a program that has ended has no id any more.
    group: Option<Pid>,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<tokio::io::Take<ChildStdout>>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Everybody may have ended by themselves.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What it does when it is listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A line.
    Line(String),
    /// Nothing for that long, though it runs.
    Silence,
    /// It has ended, or cannot be read.
    Gone,
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
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = id.and_then(Pid::from_raw);
        let input = child.stdin.take();
        let output = child.stdout.take().context("no standard output")?;
        let lines = BufReader::new(output.take(OUTPUT_BYTES_MAX)).lines();
        Ok(Self {
            child,
            group,
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

    /// Its next line, if there is one by then.
    pub async fn hear(&mut self, patience: Duration) -> Heard {
        match timeout(patience, self.lines.next_line()).await {
            Err(_) => Heard::Silence,
            Ok(Ok(Some(line))) => Heard::Line(line),
            Ok(Ok(None) | Err(_)) => Heard::Gone,
        }
    }

    /// Ends its input, and waits for its end.
    pub async fn end(mut self, patience: Duration) -> Ended {
        self.input = None;
        let mut lines = Vec::new();
        let mut errors = self.child.stderr.take();
        let mut said = Vec::new();
        let mut unreadable = None;
        let all = async {
            let printed = async {
                loop {
                    match self.lines.next_line().await {
                        Ok(Some(line)) => lines.push(line),
                        Ok(None) => break,
                        Err(error) => {
                            unreadable = Some(format!("what it printed cannot be read: {error}"));
                            break;
                        }
                    }
                }
                // It goes on printing, and would wait for ever for somebody to read it.
                if self.lines.get_ref().get_ref().limit() == 0 {
                    unreadable = Some(format!("it printed more than {OUTPUT_BYTES_MAX} bytes"));
                }
                if unreadable.is_some() {
                    self.child.start_kill().ok();
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
        let trouble = unreadable
            .or(trouble)
            .map(|trouble| trouble + &last_words(&String::from_utf8_lossy(&said)));
        Ended { lines, trouble }
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
        assert_eq!(
            program.hear(PATIENCE).await,
            Heard::Line("hello one".to_owned())
        );
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
    async fn what_it_left_behind_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 60 >/dev/null 2>&1 & echo $! > {}", file.display());
        let ended = Program::start(&shell(&script), &[])
            .unwrap()
            .end(PATIENCE)
            .await;
        assert_eq!(ended.trouble, None);
        let left: i32 = std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let left = Pid::from_raw(left).unwrap();
        let lives = || rustix::process::test_kill_process(left).is_ok();
        let begun = std::time::Instant::now();
        while lives() && begun.elapsed() < PATIENCE {
            // A killed process is there until its parent, which is init now, has seen it.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.as_raw_nonzero()));
            if stat.is_ok_and(|stat| stat.contains(") Z ")) {
                return;
            }
        }
        assert!(!lives());
    }

    #[tokio::test]
    async fn silence_is_told_from_an_end() {
        let mut program = Program::start(&shell("sleep 60"), &[]).unwrap();
        let heard = program.hear(Duration::from_millis(50)).await;
        assert_eq!(heard, Heard::Silence);
        let mut program = Program::start(&shell("exit 0"), &[]).unwrap();
        assert_eq!(program.hear(PATIENCE).await, Heard::Gone);
        let binary = Program::start(&shell("printf '\\377\\n'"), &[]).unwrap();
        let trouble = binary.end(PATIENCE).await.trouble.unwrap();
        assert!(trouble.contains("cannot be read"), "{trouble}");
    }

    #[tokio::test]
    async fn endless_output_is_cut() {
        let program = Program::start(&shell("yes 0123456789"), &[]).unwrap();
        let ended = program.end(PATIENCE).await;
        let bytes: usize = ended.lines.iter().map(|line| line.len() + 1).sum();
        assert!(bytes as u64 <= OUTPUT_BYTES_MAX + 1, "{bytes}");
        assert!(ended.trouble.unwrap().contains("more than"));
    }
}
