//! `tailsieve top`: as plain text, and in a terminal that `script` (util-linux) makes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::{listening_at, next_head, tailsieve, told};

/// How long may be waited for something on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// As a member of another version may answer: much is missing, and something is new.
const STATUS: &str = r#"{
    "member": {"version": "9.9.9", "at": "2026-11-30T09:00:10.000Z", "started_at": "2026-11-30T09:00:00.000Z",
        "is_ready": true, "exporters": [{"name": "default", "is_up": true}], "novelty": [1]},
    "flow": {"received": {"traces": 12, "spans": 1234567, "bytes": 99}, "kept": {"traces": 3, "spans": 34567}},
    "partitions": [{"partition": 7, "worker": null}],
    "policies": {"policies": [{"name": "errors\u001b[2J", "type": "status_code", "kept": {"traces": 3}}]},
    "traces": {"kept": []}
}"#;

/// An address where each request gets this answer; it is told of each.
fn member(status: &'static str, body: &'static str) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = asked.clone();
            thread::spawn(move || answer(stream.unwrap(), (status, body), &asked));
        }
    });
    (address, told)
}

fn answer(mut stream: TcpStream, (status, body): (&str, &str), asked: &Sender<()>) {
    while let Some(head) = next_head(&mut stream) {
        assert!(head.starts_with("GET /api/v1/status "), "{head}");
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        let _ = (stream.write_all(answer.as_bytes()), asked.send(()));
    }
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn one_look_is_plain_text_with_exact_numbers() {
    let (address, _asked) = member("200 OK", STATUS);
    let address = address.to_string();
    for args in [&["top", &address, "--once"][..], &["top", &address]] {
        let (code, text, error) = told(&tailsieve(args));
        assert_eq!((code, &*error), (0, ""));
        assert!(text.starts_with("1 of 1 members ready, 1 partitions, "), "{text}");
        for shown in ["1234567", "34567", "9.9.9", "errors\u{fffd}[2J", "10s"] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn who_does_not_answer_is_shown_with_the_reason() {
    let ((here, _asked), gone) = (member("200 OK", STATUS), nobody());
    let (other, _asked) = member("404 Not Found", "");
    let args = [here, gone, other].map(|it| it.to_string());
    let args: Vec<&str> =
        ["top", "--once"].into_iter().chain(args.iter().map(|it| &**it)).collect();
    let (code, text, _) = told(&tailsieve(&args));
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("1 of 3 members ready"), "{text}");
    for reason in ["Connection refused", "answers 404 Not Found: expected the address"] {
        assert!(text.contains(reason), "{reason} in {text}");
    }
}

#[test]
fn the_static_file_says_where_to_ask() {
    let (address, _asked) = member("200 OK", STATUS);
    let file = listening_at(address.port());
    let (code, text, error) = told(&tailsieve(&["top", "--config", file.path().to_str().unwrap()]));
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("1234567"), "{text}");
}

#[test]
fn wrong_arguments_are_another_exit_code() {
    for args in [
        &["top", "https://localhost"][..],
        &["top", "--config", "/nowhere/tailsieve.yaml"],
        &["top", "--config", "a", "localhost"],
        &["top", "--interval", "10ms"],
        &["top", "localhost", "http://localhost/"],
    ] {
        let (code, _, error) = told(&tailsieve(args));
        assert_eq!(code, 2, "{args:?}: {error}");
    }
    let (_, _, error) = told(&tailsieve(&["top", "http://me:secret@localhost"]));
    assert!(error.contains("no login"), "{error}");
}

/// A shell in a terminal of its own, and all that was written to it.
struct Terminal {
    script: Child,
    written: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn run(shell: &str) -> Self {
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", shell, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("TAILSIEVE", env!("CARGO_BIN_EXE_tailsieve"))
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script (bsdutils, util-linux) starts");
        let (sender, written) = channel();
        let mut output = script.stdout.take().unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let _ = sender.send(bytes[..length].to_vec());
            }
        });
        Self { script, written, text: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.script.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this was written.
    fn wait_for(&mut self, text: &str) {
        while !self.text.contains(text) {
            let bytes = self.written.recv_timeout(PATIENCE);
            let bytes = bytes.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.text));
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// All of it, once the shell has ended.
    fn end(mut self) -> String {
        self.wait_for("ended");
        let _ = self.script.wait();
        self.text
    }
}

/// The terminal is what it was: its settings are the same, and the screen was given back.
fn check_restored(text: &str, code: i32) {
    let (before, after) = (text.find(ENTER).unwrap(), text.rfind(LEAVE).unwrap());
    assert!(before < after, "{text:?}");
    assert!(text[after..].contains(SHOW_CURSOR), "{text:?}");
    let settings = |text: &str| {
        let (_, rest) = text.split_once("settings ").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(settings(&text[..before]), settings(&text[after..]), "{text:?}");
    assert!(text[after..].contains(&format!("ended {code}")), "{text:?}");
}

/// Says what `tailsieve top` does between two looks at the settings of the terminal.
fn watched(address: SocketAddr) -> String {
    format!(
        "stty rows 24 cols 100; echo settings $(stty -g); sh -c 'echo pid $$; exec \"$TAILSIEVE\" top {address}'; \
         code=$?; echo settings $(stty -g); echo ended $code"
    )
}

#[test]
fn q_and_control_c_end_it_and_the_terminal_is_as_before() {
    for key in ["q", "\x03"] {
        let (address, _asked) = member("200 OK", STATUS);
        let mut terminal = Terminal::run(&watched(address));
        terminal.wait_for("1.23M");
        terminal.press("2");
        terminal.wait_for("PARTITION");
        terminal.press(key);
        check_restored(&terminal.end(), 0);
    }
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_before() {
    let (address, _asked) = member("200 OK", STATUS);
    let mut terminal = Terminal::run(&watched(address));
    terminal.wait_for("1.23M");
    let pid = terminal.text.split_once("pid ").unwrap().1.split_whitespace().next().unwrap();
    assert!(Command::new("kill").args(["-TERM", pid]).status().unwrap().success());
    check_restored(&terminal.end(), 0);
}

#[test]
fn members_are_asked_again() {
    let (address, asked) = member("200 OK", STATUS);
    let mut terminal =
        Terminal::run(&format!("\"$TAILSIEVE\" top --interval 1s {address}; echo ended"));
    for _ in 0..3 {
        asked.recv_timeout(PATIENCE).unwrap();
    }
    terminal.press("q");
    terminal.end();
}
