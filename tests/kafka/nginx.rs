//! A backend behind a real nginx, which answers by itself while nobody stands behind it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::chaos::assert_nothing_lost;
use crate::rig::{POLICIES, Rig, traffic};
use crate::support::{Process, eventually, free_address, http_get};

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts an nginx that passes gRPC on to `backend`, with its files in `folder`.
fn nginx(folder: &Path, backend: SocketAddr) -> (Process, SocketAddr) {
    let address: SocketAddr = free_address().parse().unwrap();
    let prefix = folder.join("nginx");
    fs::create_dir(&prefix).unwrap();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {name};")).join(" ");
    // One process, which ends with the test.
    let file = format!(
        "daemon off; master_process off; pid nginx.pid; error_log error.log;
        events {{ worker_connections 256; }}
        http {{
            access_log off; client_max_body_size 8m; {temporary}
            server {{
                listen {address} http2;
                location / {{ grpc_pass grpc://{backend}; }}
            }}
        }}"
    );
    fs::write(prefix.join("nginx.conf"), file).unwrap();
    let program = std::env::var_os("TAILSIEVE_TEST_NGINX");
    let mut command = Command::new(program.expect("./tests/run says where nginx is"));
    command.arg("-p").arg(&prefix).args(["-c", "nginx.conf", "-e", "error.log"]);
    let process = Process::spawn(command, folder, "nginx");
    eventually("nginx to listen", PATIENCE, || TcpStream::connect(address).ok());
    (process, address)
}

/// Scenario: the backend behind nginx is stopped for 8 s, and nginx answers 502 with a page; then it
/// is back.
/// Guarantees: no span is lost, and none is refused.
#[test]
#[ignore = "needs Kafka and nginx: run ./tests/run"]
fn a_backend_behind_nginx_may_be_stopped_and_started() {
    let mut rig = Rig::new("nginx", POLICIES).with("buffer: {max_bytes: 256MiB}\n");
    let backend = rig.receiver.as_ref().unwrap().local_addr();
    let (_nginx, address) = nginx(rig.scratch.path(), backend);
    assert_eq!(rig.behind(address), backend);
    let member = rig.member("member");
    let writing = rig.write(traffic(7), true);
    writing.wait_for(40_000);
    let receiver = rig.receiver.take().unwrap();
    rig.runtime.block_on(receiver.kill());
    eventually("the member to be unready", PATIENCE, || {
        let (_, page) = http_get(member.admin(), "/readyz")?;
        Some(()).filter(|()| page.contains("UNAVAILABLE") && page.contains("502 Bad Gateway"))
    });
    // The length of the outage is what the test is about; there is no event to wait for.
    std::thread::sleep(Duration::from_secs(8));
    rig.bring_backend(backend);
    let ledger = writing.finish();
    assert_nothing_lost("nginx", &rig, &ledger, &[&member]);
    let refused = "tailsieve_export_spans_total{exporter=\"default\",outcome=\"refused\"}";
    assert_eq!(member.scrape().get(refused), Some(0.0));
}
