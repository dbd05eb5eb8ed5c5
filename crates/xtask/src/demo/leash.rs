//! A process that ends when we do, however that happens.
//!
//! `ControlPlane::spawn` guards what runs beside a control plane of our own. This is for what runs without one: builds,
//! the commands that are shown, and everything in somebody's own cluster. A shell leads a process group and reads from
//! a pipe whose other end only we hold; when the pipe ends, the whole group is killed. The group is not the terminal's:
//! Ctrl-C reaches us alone, and we decide what it means.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

/// `$1` is a directory to remove at the end, or empty; the rest is the command. A line on the pipe names a signal for the
/// command.
const SCRIPT: &str = r#"
directory=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
{
    trap '' TERM
    while read -r signal <&3; do kill -s "$signal" "$child"; done
    [ -z "$directory" ] || rm -rf -- "$directory"
    kill -s KILL 0
} >/dev/null 2>&1 &
exec 3<&-
wait "$child"
"#;

#[derive(Debug)]
pub(super) struct Leash {
    shell: Child,
    /// Closed when this is dropped, which ends the group.
    pipe: ChildStdin,
}

impl Leash {
    /// Starts a command. `prepare` sets directory, environment and output.
    pub(super) fn start<S: AsRef<OsStr>>(
        words: impl IntoIterator<Item = S>,
        prepare: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        Self::start_script(OsStr::new(""), words, prepare)
    }

    /// Removes a directory when this is dropped, or when we end in any other way.
    pub(super) fn sweep(directory: &Path) -> io::Result<Self> {
        Self::start_script(directory.as_os_str(), ["true"], |command| {
            command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        })
    }

    fn start_script<S: AsRef<OsStr>>(
        directory: &OsStr,
        words: impl IntoIterator<Item = S>,
        prepare: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "demo-leash"]).arg(directory).args(words);
        command.process_group(0);
        prepare(&mut command);
        let mut shell = command.stdin(Stdio::piped()).spawn()?;
        let pipe = shell.stdin.take().ok_or_else(|| io::Error::other("the shell has no standard input"))?;
        Ok(Self { shell, pipe })
    }

    /// The process itself, for its output. Its standard input is ours.
    pub(super) fn shell(&mut self) -> &mut Child {
        &mut self.shell
    }

    /// Asks the command to end.
    pub(super) async fn terminate(&mut self) -> io::Result<()> {
        self.signal("TERM").await
    }

    /// Ends the command, without asking.
    pub(super) async fn kill(&mut self) -> io::Result<()> {
        self.signal("KILL").await
    }

    async fn signal(&mut self, name: &str) -> io::Result<()> {
        self.pipe.write_all(format!("{name}\n").as_bytes()).await?;
        self.pipe.flush().await
    }

    /// Waits for the command's own end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.shell.wait().await
    }

    /// How it ended, or `None` while it runs.
    pub(super) fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.shell.try_wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    const SOON: Duration = Duration::from_secs(10);

    /// A script that runs, as its first line of output says.
    async fn started(script: &str) -> (Leash, tokio::process::ChildStdout) {
        let with_output = |command: &mut Command| {
            command.stdout(Stdio::piped());
        };
        let mut leash = Leash::start(["sh", "-c", script], with_output).unwrap();
        let mut output = leash.shell().stdout.take().unwrap();
        let mut ready = [0; 6];
        output.read_exact(&mut ready).await.unwrap();
        (leash, output)
    }

    #[tokio::test]
    async fn the_status_of_the_command_is_ours() {
        let mut leash = Leash::start(["sh", "-c", "exit 7"], |_| {}).unwrap();
        assert_eq!(leash.wait().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_command_can_be_asked_to_end() {
        let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
        let (mut leash, _output) = started(script).await;

        leash.terminate().await.unwrap();

        assert_eq!(tokio::time::timeout(SOON, leash.wait()).await.unwrap().unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn a_command_that_does_not_listen_can_be_killed() {
        let (mut leash, _output) = started("trap '' TERM; echo ready; while :; do sleep 0.05; done").await;

        leash.kill().await.unwrap();

        let status = tokio::time::timeout(SOON, leash.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(128 + 9));
    }

    #[tokio::test]
    async fn what_a_command_started_ends_when_the_leash_is_dropped() {
        let script = "trap '' TERM INT HUP; sleep 600 & echo ready; wait";
        let (leash, mut output) = started(script).await;

        drop(leash);

        // The pipe ends when the last process that holds it is gone.
        let ended = tokio::time::timeout(SOON, output.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "something still runs");
    }

    #[tokio::test]
    async fn a_swept_directory_is_gone_when_the_leash_is_dropped() {
        let directory = tempfile::tempdir().unwrap().keep();
        drop(Leash::sweep(&directory).unwrap());
        let gone = async {
            while directory.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(SOON, gone).await.is_ok());
    }
}
