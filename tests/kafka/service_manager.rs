//! What systemd is told of a member, in the place of systemd.

use std::ffi::OsStr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::rig::{KEEP_ALL, Rig};
use crate::support::Member;

/// How long a word may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The next message in which one of the lines is `word`; panics if `unwanted` comes before.
fn wait_for(socket: &UnixDatagram, word: &str, unwanted: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{word}: {error}"));
        let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
        assert!(!message.lines().any(|line| line == unwanted), "{unwanted} before {word}");
        if message.lines().any(|line| line == word) {
            return message;
        }
    }
}

/// Scenario: a member as a unit of `Type=notify` with a watchdog: it starts, reads its policies again
/// on SIGHUP, works, and is stopped.
/// Guarantees: the manager is told that it is ready when it is, and not before; of the reload, its begin
/// and its end; again and again that it lives; and that it stops.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_service_manager_is_told_how_the_member_is() {
    let rig = Rig::new("service-manager", KEEP_ALL);
    let path = rig.scratch.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let environment =
        [("NOTIFY_SOCKET", path.as_os_str()), ("WATCHDOG_USEC", OsStr::new("30000000"))];
    let dir = rig.scratch.path();
    let mut member = Member::start_with(dir, "member", &rig.config(), &environment);

    let ready = wait_for(&socket, "READY=1", "STOPPING=1");
    assert!(ready.contains("STATUS=ready"), "{ready}");
    member.wait_ready();
    wait_for(&socket, "WATCHDOG=1", "STOPPING=1");
    wait_for(&socket, "WATCHDOG=1", "STOPPING=1");

    member.process.signal("HUP");
    let reloading = wait_for(&socket, "RELOADING=1", "READY=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    wait_for(&socket, "READY=1", "RELOADING=1");

    member.process.signal("TERM");
    wait_for(&socket, "STOPPING=1", "READY=1");
    assert!(member.process.wait().success());
}

/// Guarantees: what is missing is what `systemctl status` shows; a reload before a member is ready is
/// not taken for that.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_service_manager_is_told_what_is_missing() {
    let mut rig = Rig::new("service-manager-waits", KEEP_ALL);
    // Nothing listens there any more.
    rig.receiver = None;
    let path = rig.scratch.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let environment = [("NOTIFY_SOCKET", path.as_os_str())];
    let dir = rig.scratch.path();
    let mut member = Member::start_with(dir, "member", &rig.config(), &environment);
    member.process.wait_for_line("takes nothing");
    member.process.signal("HUP");
    member.process.wait_for_line("policies.unchanged");
    member.process.signal("TERM");
    let mut told = String::new();
    let mut buffer = [0; 4096];
    while !told.contains("STOPPING=1") {
        let length = socket.recv(&mut buffer).unwrap();
        told.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert!(told.contains("STATUS=not ready: ") && told.contains("takes nothing"), "{told}");
    assert!(!told.contains("READY=1") && !told.contains("RELOADING=1"), "{told}");
    assert!(!told.contains("WATCHDOG=1"), "nobody asked for it: {told}");
}
