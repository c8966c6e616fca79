//! How members log in: the blocks of docs/security.md as they are, on a real Kafka with TLS, with other
//! addresses and other files.
//!
//! They need a build with `--features tls`: `tests/run tls`.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::broker::{PASSWORD, TlsFiles, User, guarded};
use super::needs::{DOCTOR, EXPORT, INPUT, RUN};
use super::world::World;
use crate::support::tailsieve;

const PAGE: &str = include_str!("../../../docs/security.md");

/// A certificate authority, a certificate of the broker and one of a client.
pub fn make_certificates(folder: &Path) -> TlsFiles {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let sign = |names: Vec<String>, common_name: &str| {
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let (broker, broker_key) = sign(vec!["127.0.0.1".into(), "localhost".into()], "broker");
    let (client, client_key) = sign(Vec::new(), "tailsieve");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    write("kafka.pem", client);
    write("kafka.key", client_key);
    write("kafka-password", PASSWORD.to_owned());
    TlsFiles {
        key_store: write("broker.pem", broker_key + &broker),
        trust_store: write("kafka-ca.pem", ca.pem()),
    }
}

/// The configuration under which members log in, by what makes it different from others.
fn block(feature: &str) -> &'static str {
    let parts = PAGE.split("```yaml\n").skip(1).map(|part| part.split("```").next().unwrap());
    let mut found = parts.filter(|block| block.starts_with("kafka:") && block.contains(feature));
    found.next().unwrap_or_else(|| panic!("no block has {feature}"))
}

/// Runs `doctor` with a block of the page, for a user of a name that the broker gives.
fn log_in(feature: &str, port: usize, principal: &str) {
    let broker = guarded();
    let world = World::new("acl-login");
    let user = User::named(&broker, principal);
    for need in RUN.iter().chain(DOCTOR).filter(|need| need.name != EXPORT) {
        user.grant(&need.on(|option| world.name(option)));
    }
    world.traffic(1);
    let folder = broker.folder().to_str().unwrap().to_owned();
    let block = block(feature)
        .replace("kafka.example.com:9093", broker.tls_listener(port))
        .replace("kafka.example.com:9094", broker.tls_listener(port))
        .replace("/etc/tailsieve", &folder);
    let topic = world.name(INPUT);
    let export = world.rig.config();
    let export = export.get(export.find("export:").unwrap()..).unwrap();
    let config = format!(
        "{block}  topic: {topic}\n  group_id: {topic}\n{}{}",
        export.replace("$ADMIN", "127.0.0.1:0"),
        world.with_letters(),
    );
    let file = world.rig.scratch.write("login.yaml", &config);
    let mut command: Command = tailsieve();
    command.args(["doctor", "--config"]).arg(file).env("KAFKA_PASSWORD", PASSWORD);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{feature}: {said}");
    assert!(said.contains("ok        access"), "{feature}: {said}");
}

#[test]
#[ignore = "needs a build with TLS: run ./tests/run tls"]
fn tls_login_by_an_authority_alone() {
    // Without a client certificate nobody is known.
    log_in(
        "security.protocol: SSL\n    ssl.ca.location: /etc/tailsieve/kafka-ca.pem\n",
        0,
        "ANONYMOUS",
    );
}

#[test]
#[ignore = "needs a build with TLS: run ./tests/run tls"]
fn tls_login_by_a_client_certificate() {
    log_in("ssl.certificate.location", 1, "CN=tailsieve");
}

#[test]
#[ignore = "needs a build with TLS: run ./tests/run tls"]
fn tls_login_by_scram() {
    log_in("SCRAM-SHA-512", 2, "tailsieve");
}

#[test]
#[ignore = "needs a build with TLS: run ./tests/run tls"]
fn tls_login_by_plain() {
    log_in("mechanism: PLAIN", 2, "tailsieve");
}

#[test]
#[ignore = "needs a build with TLS: run ./tests/run tls"]
fn tls_login_by_an_unsecured_token() {
    log_in("OAUTHBEARER", 2, "tailsieve");
}
