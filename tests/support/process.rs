//! Processes that a test starts: their output goes to a file, and they end with the test.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::{Scrape, eventually, free_address, http_get};

/// How long a process may take to do what is awaited, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The tailsieve binary, ready to be given arguments: the one that `TAILSIEVE_BIN` names, or the
/// one that cargo built for this test.
pub fn tailsieve() -> Command {
    let built = || OsString::from(env!("CARGO_BIN_EXE_tailsieve"));
    Command::new(env::var_os("TAILSIEVE_BIN").unwrap_or_else(built))
}

/// A program that `tests/support/collector` built: `otelcol` or `telemetrygen`.
pub fn collector_tool(name: &str) -> PathBuf {
    let folder = env::var_os("TAILSIEVE_TEST_COLLECTOR").expect(
        "TAILSIEVE_TEST_COLLECTOR names a folder with otelcol and telemetrygen: run ./tests/run interop",
    );
    Path::new(&folder).join(name)
}

/// A process that the test started; killed when it is dropped.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command`; all it prints goes to the file `{name}.log` in `dir`, behind what an
    /// earlier process of that name left there.
    pub fn spawn(mut command: Command, dir: &Path, name: &str) -> Self {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|error| panic!("starting {name}: {error}"));
        Self { name: name.to_owned(), log, child }
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits for a line that contains `text`, and returns it; panics if the process ends first.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let what = format!("{} to print {text:?}", self.name);
        eventually(&what, PATIENCE, || {
            // Looked at before the log: the line may be the last thing the process printed.
            let ended = self.child.try_wait().unwrap();
            let found = self.log().lines().find(|line| line.contains(text)).map(str::to_owned);
            if let (None, Some(status)) = (&found, ended) {
                panic!("{} ended ({status}) without {text:?}", self.name);
            }
            found
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks it to end, by SIGTERM, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Ends it at once, by SIGKILL: it can do nothing about it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `STOP`, `CONT`, `HUP`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(sent.success(), "sending SIG{signal} to {}", self.name);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        eventually(&format!("{} to end", self.name), PATIENCE, || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(30)..].join("\n");
            eprintln!("--- the last lines of {}:\n{last}\n---", self.log.display());
        }
    }
}

/// A running `tailsieve run`, with its admin page.
pub struct Member {
    /// The process.
    pub process: Process,
    admin: String,
}

impl Member {
    /// Starts `tailsieve run` on the static file `config`, in which `$ADMIN` stands for the
    /// address that the admin page shall listen on. Its file and log are named `name`, in `dir`.
    pub fn start(dir: &Path, name: &str, config: &str) -> Self {
        Self::start_with(dir, name, config, &[])
    }

    /// As [`start`](Self::start), with these variables in its environment.
    pub fn start_with(
        dir: &Path,
        name: &str,
        config: &str,
        environment: &[(&str, &OsStr)],
    ) -> Self {
        let admin = free_address();
        let file = dir.join(format!("{name}.yaml"));
        fs::write(&file, config.replace("$ADMIN", &admin)).unwrap();
        let mut command = tailsieve();
        command
            .arg("--log-format=json")
            .args(["run", "--create-topics", "--config"])
            .arg(file)
            .current_dir(dir)
            .envs(environment.iter().copied());
        Self { process: Process::spawn(command, dir, name), admin }
    }

    /// Waits until `/readyz` says that it is ready.
    pub fn wait_ready(&mut self) {
        eventually(&format!("{} to be ready", self.process.name), PATIENCE, || {
            assert!(self.process.is_running(), "{} ended", self.process.name);
            http_get(&self.admin, "/readyz").filter(|(status, _)| *status == 200)
        });
    }

    /// The address of its admin page.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Its metrics; panics if it does not answer.
    pub fn scrape(&self) -> Scrape {
        let (status, text) = http_get(&self.admin, "/metrics").expect("/metrics answers");
        assert_eq!(status, 200, "/metrics: {text}");
        Scrape::parse(&text)
    }

    /// Waits until its metrics satisfy `condition`, and returns them.
    pub fn wait_for_metrics(&mut self, what: &str, condition: impl Fn(&Scrape) -> bool) -> Scrape {
        eventually(&format!("{}: {what}", self.process.name), PATIENCE, || {
            Some(self.scrape()).filter(&condition)
        })
    }
}
