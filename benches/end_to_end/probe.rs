//! What processes have used, from /proc; and what a member says of itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::time::Duration;

/// CPU time of processes so far, user and system.
pub fn cpu(children: &[Child]) -> Duration {
    let ticks: u64 = children.iter().map(|child| ticks(child.id())).sum();
    Duration::from_millis(ticks * 10)
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

fn memory(children: &[Child], field: &str) -> u64 {
    let of = |child: &Child| {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    };
    children.iter().map(of).sum()
}

/// The metrics of a member; empty while it does not answer.
#[derive(Debug, Default)]
pub struct Metrics(String);

impl Metrics {
    /// Asks for them.
    pub fn scrape(admin: SocketAddr) -> Self {
        Self(get(admin).unwrap_or_default())
    }

    /// The sum of all series of a metric with `label` among their labels.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let series = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with([' ', '{']) && rest.contains(label));
        series.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// True if the member answered.
    pub fn is_there(&self) -> bool {
        !self.0.is_empty()
    }
}

fn get(admin: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}
