//! Runs the command and reads what it says.

use std::fs;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::notation::capture;

/// What the command came to.
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `tailsieve` with `args` in a folder that holds `files`, with `input` on standard input.
pub fn tailsieve(args: &[&str], files: &[(&str, &[u8])], input: &[u8]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailsieve"));
    command.args(args).current_dir(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || match stdin.write_all(input) {
            // It may end before it has read everything.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        });
        child.wait_with_output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Answer { code, out: text(output.stdout), err: text(output.stderr) }
}

/// The decisions on a capture, in the order in which they were made, and the summary.
pub struct Decided {
    pub lines: Vec<Value>,
    pub summary: Value,
    /// The ids of the traces, by number.
    pub traces: Vec<String>,
}

impl Decided {
    /// The decision on the trace with the number `number`, from 1.
    pub fn of(&self, number: usize) -> &Value {
        let id = &self.traces[number - 1];
        let mut lines = self.lines.iter().filter(|line| line["traceId"] == id.as_str());
        lines.next().unwrap_or_else(|| panic!("trace {number} was not decided"))
    }

    /// What the decision on a trace says of a policy.
    pub fn vote(&self, number: usize, policy: &str) -> &Value {
        let votes = self.of(number)["votes"].as_array().unwrap();
        votes.iter().find(|vote| vote["policy"] == policy).unwrap()
    }

    /// By trace: K kept, D dropped by a policy, N dropped because no policy keeps it.
    pub fn outcomes(&self) -> String {
        let outcome = |number| match (&self.of(number)["decision"], &self.of(number)["policy"]) {
            (Value::String(decision), _) if decision == "keep" => 'K',
            (_, Value::Null) => 'N',
            _ => 'D',
        };
        (1..=self.traces.len()).map(outcome).collect()
    }
}

/// What the policy file `policies` makes of the capture that `notation` describes.
pub fn decide(policies: &str, notation: &str) -> Decided {
    let (lines, traces) = capture(notation);
    let (lines, summary) = decide_lines(policies, &lines);
    Decided { lines, summary, traces }
}

/// The same of OTLP JSON lines: the decisions, and the summary.
pub fn decide_lines(policies: &str, input: &str) -> (Vec<Value>, Value) {
    let args = ["decide", "--policies", "policies.yaml", "--output", "json"];
    let answer = tailsieve(&args, &[("policies.yaml", policies.as_bytes())], input.as_bytes());
    assert_eq!(answer.code, 0, "{}\n{policies}", answer.err);
    let lines = answer.out.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    let summary = lines.pop().unwrap()["summary"].take();
    (lines, summary)
}

/// What the command says of a policy file that it does not take.
pub fn refused(policies: &str) -> String {
    let args = ["decide", "--policies", "policies.yaml"];
    let answer = tailsieve(&args, &[("policies.yaml", policies.as_bytes())], b"{}");
    assert_eq!(answer.code, 2, "{policies} is taken\n{}", answer.err);
    assert_eq!(answer.out, "", "{policies}");
    answer.err
}
