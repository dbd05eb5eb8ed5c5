//! Runs the very lines that are shown.
//!
//! Each line goes to `/bin/sh` in the root of the repository, with our `kubectl` and `groundskeeper` first in the
//! `PATH`: what stands behind a `$` on the screen is what was run, and what stands below it is what was printed.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, bail};
use control::{Clock as _, SystemClock};
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};

use super::leash::Leash;
use super::limits::{COMMAND_DEADLINE, POLL_EVERY, SOON};
use super::screen::Screen;

#[derive(Clone, Debug)]
pub(super) struct Shell {
    screen: Screen,
    root: PathBuf,
    programs: Vec<PathBuf>,
    kubeconfig: Option<PathBuf>,
}

/// What a line came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) succeeded: bool,
    /// Standard output.
    pub(super) output: String,
    /// Standard error.
    pub(super) errors: String,
}

impl Shell {
    pub(super) fn new(screen: &Screen, root: &Path) -> Self {
        Self { screen: screen.clone(), root: root.to_owned(), programs: Vec::new(), kubeconfig: None }
    }

    /// Finds the programs in this directory first.
    pub(super) fn with_programs(mut self, directory: &Path) -> Self {
        self.programs.insert(0, directory.to_owned());
        self
    }

    /// Works on the cluster of this file, which is on this machine: no proxy is used.
    pub(super) fn with_kubeconfig(mut self, file: &Path) -> Self {
        self.kubeconfig = Some(file.to_owned());
        self
    }

    /// Shows a line, runs it and shows what it prints; returns that. A failure ends the demo.
    pub(super) async fn show(&self, line: &str) -> Result<String> {
        let answer = self.show_any(line).await?;
        if !answer.succeeded {
            bail!("`{line}` failed; its output is above");
        }
        Ok(answer.output)
    }

    /// As [`Shell::show`], for a line that is meant to fail; returns all that it says.
    pub(super) async fn show_refused(&self, line: &str) -> Result<String> {
        let answer = self.show_any(line).await?;
        if answer.succeeded {
            bail!("`{line}` succeeded, but was to be refused");
        }
        Ok(answer.output + &answer.errors)
    }

    async fn show_any(&self, line: &str) -> Result<Answer> {
        self.screen.command(line);
        let answer = self.run(line).await?;
        self.screen.output(&answer.output);
        self.screen.output(&answer.errors);
        Ok(answer)
    }

    /// Runs a line and shows nothing; a failure ends the demo with what it said.
    pub(super) async fn quietly(&self, line: &str) -> Result<String> {
        let Answer { succeeded, output, errors } = self.run(line).await?;
        if succeeded { Ok(output) } else { Err(anyhow!("`{line}` failed: {}", errors.trim())) }
    }

    /// Runs a line, in silence, until what it prints is right; returns that.
    pub(super) async fn eventually(
        &self,
        what: &str,
        line: &str,
        is_right: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let since = SystemClock.now();
        loop {
            let Answer { output, errors, .. } = self.run(line).await?;
            if is_right(&output) {
                return Ok(output);
            }
            let elapsed = SystemClock.now().duration_since(since);
            if elapsed.unsigned_abs() > SOON {
                let seen = format!("{}{}", output.trim(), errors.trim());
                bail!("not within {} s: {what}\n`{line}` prints:\n{seen}", SOON.as_secs());
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Runs a line, whatever comes of it.
    pub(super) async fn run(&self, line: &str) -> Result<Answer> {
        let running = || format!("running `{line}`");
        let mut leash = Leash::start(["/bin/sh", "-c", line], |command| {
            command.current_dir(&self.root).envs(self.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
            for name in private_settings() {
                command.env_remove(name);
            }
            if let Some(kubeconfig) = &self.kubeconfig {
                command.env("KUBECONFIG", kubeconfig);
                for name in PROXY_SETTINGS {
                    command.env_remove(name);
                }
            }
        })
        .with_context(running)?;
        let (output, errors) = (leash.shell().stdout.take(), leash.shell().stderr.take());
        let (mut output, mut errors) = (output.context("no output")?, errors.context("no errors")?);
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let ending = async {
            let reading =
                tokio::try_join!(output.read_to_end(&mut said), errors.read_to_end(&mut complained));
            reading?;
            leash.wait().await
        };
        let status = match timeout(COMMAND_DEADLINE, ending).await {
            Ok(status) => status.with_context(running)?,
            Err(_) => bail!("`{line}` has not ended after {} s", COMMAND_DEADLINE.as_secs()),
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { succeeded: status.success(), output: text(said), errors: text(complained) })
    }

    fn path(&self) -> Option<(&'static str, OsString)> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let directories = self.programs.iter().cloned().chain(env::split_paths(&inherited));
        env::join_paths(directories).ok().map(|path| ("PATH", path))
    }
}

/// Settings of our own programs that somebody may have made for something else.
pub(super) fn private_settings() -> Vec<OsString> {
    let is_ours = |name: &OsString| {
        name == "POD_NAMESPACE" || name == "POD_NAME" || name.to_string_lossy().starts_with("GROUNDSKEEPER_")
    };
    env::vars_os().map(|(name, _)| name).filter(is_ours).collect()
}

/// What would send calls to this machine elsewhere.
pub(super) const PROXY_SETTINGS: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A word as the shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reaches_the_program_as_it_is() {
        assert_eq!(quoted("kind-a"), "kind-a");
        assert_eq!(quoted("a b;c"), "'a b;c'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[tokio::test]
    async fn a_line_is_run_as_a_shell_would() {
        let shell = Shell::new(&Screen::new(), Path::new("/"));
        let answer =
            shell.run("printf 'one two\\n' | cut -d ' ' -f 2; pwd; echo no >&2; exit 3").await.unwrap();
        assert_eq!((answer.output.as_str(), answer.errors.as_str()), ("two\n/\n", "no\n"));
        assert!(!answer.succeeded);
    }
}
