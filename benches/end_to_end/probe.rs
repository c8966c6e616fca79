//! What processes have used, from /proc.

use std::fs;
use std::process::Child;
use std::time::Duration;

/// CPU time of processes so far, user and system.
pub fn cpu(children: &[Child]) -> Duration {
    let ticks: u64 = children.iter().map(|child| ticks(child.id())).sum();
    Duration::from_millis(ticks * 10)
}

/// What processes have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// How often one of their threads gave its core up, or had to.
    pub switches: u64,
}

/// What processes have used so far.
pub fn usage(children: &[Child]) -> Usage {
    Usage { cpu: cpu(children), switches: children.iter().map(switches).sum() }
}

/// Of the threads that there are now.
fn switches(child: &Child) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("the process runs");
    let of = |status: &str| {
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        lines.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    // A thread may have ended meanwhile.
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .map(|status| of(&status))
        .sum()
}

/// True if a process has ended, though nobody has waited for it yet.
pub fn has_ended(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it is there");
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// Peak of the resident memory of a process and what it is now, in bytes; `None` once it has ended.
pub fn memory_while_running(child: &Child) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    field(&status, "VmHWM:").zip(field(&status, "VmRSS:"))
}

/// In hundredths of a second: fields 14 and 15 of proc(5), counted after the name.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    fields[11..=12].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// Peak of the resident memory of processes, each at its own time, in bytes.
pub fn peak_rss(children: &[Child]) -> u64 {
    memory(children, "VmHWM:")
}

/// Resident memory of processes now, in bytes.
pub fn rss(children: &[Child]) -> u64 {
    memory(children, "VmRSS:")
}

fn memory(children: &[Child], name: &str) -> u64 {
    let of = |child: &Child| {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        field(&status.expect("the process runs"), name).expect("a size")
    };
    children.iter().map(of).sum()
}

/// A size from proc_pid_status(5), in bytes.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let size: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    Some(size * 1024)
}
