//! A Kafka with an authorizer: nobody may do anything that no ACL allows.
//!
//! Tests themselves use its plain listener, as a super user. Users log in at others, by SASL, with and
//! without TLS; ACLs are granted and withdrawn over Kafka's protocol, since the client library has no call
//! for it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::login;
use super::needs::{Acl, Kind};
use crate::support::{Kafka, Process, Scratch, eventually, free_address};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka");
const PATIENCE: Duration = Duration::from_secs(120);

/// Each attempt has a user of its own: what one may do does not help another one.
const USERS: usize = 200;
pub const PASSWORD: &str = "open-sesame";

/// The user of docs/security.md.
const KNOWN_USER: &str = "tailsieve";

/// Listeners with TLS: nobody is asked who they are; a certificate is asked for; a login is.
const TLS: [(&str, &str); 3] = [("TLS", "SSL"), ("MUTUAL", "SSL"), ("LOGIN", "SASL_SSL")];

/// How users may log in.
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// Keys of Kafka's requests (`CreateAcls`, `DescribeAcls`, `DeleteAcls`), of version 1.
const CREATE: i16 = 30;
const DESCRIBE: i16 = 29;
const DELETE: i16 = 31;
const ALLOW: u8 = 3;
const LITERAL: u8 = 3;

pub struct Guarded {
    address: String,
    guarded: String,
    with_tls: Vec<String>,
    next_user: AtomicUsize,
    // Before the folder that it writes to.
    script: Process,
    scratch: Scratch,
}

/// The files of a broker with TLS.
pub struct TlsFiles {
    pub key_store: PathBuf,
    pub trust_store: PathBuf,
}

/// The one that all tests share, for as long as one of them uses it.
pub fn guarded() -> Arc<Guarded> {
    static SHARED: Mutex<Weak<Guarded>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Guarded::start());
        *shared = Arc::downgrade(&started);
        started
    })
}

fn user(number: usize) -> String {
    format!("user{number}")
}

fn properties(files: &TlsFiles) -> String {
    let stores = [("keystore", &files.key_store), ("truststore", &files.trust_store)];
    let store = |(name, file): (&str, &PathBuf)| {
        format!("ssl.{name}.type=PEM\nssl.{name}.location={}\n", file.display())
    };
    format!(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         allow.everyone.if.no.acl.found=false\n\
         super.users=User:ANONYMOUS\n\
         listener.name.mutual.ssl.client.auth=required\n{}{}{}",
        stores.map(store).concat(),
        login_modules("guarded"),
        login_modules("login"),
    )
}

/// How users log in at a listener.
fn login_modules(listener: &str) -> String {
    let names = (0..USERS).map(user).chain([KNOWN_USER.to_owned()]);
    let users: Vec<_> = names.map(|name| format!("user_{name}=\"{PASSWORD}\"")).collect();
    let jaas = |mechanism: &str, module: &str, options: &str| {
        let mechanism = mechanism.to_lowercase();
        let module = format!("org.apache.kafka.common.security.{module}");
        format!(
            "listener.name.{listener}.{mechanism}.sasl.jaas.config={module} required {options};\n"
        )
    };
    format!(
        "listener.name.{listener}.sasl.enabled.mechanisms={}\n{}{}{}{}",
        MECHANISMS.join(","),
        jaas("PLAIN", "plain.PlainLoginModule", &users.join(" ")),
        jaas("SCRAM-SHA-256", "scram.ScramLoginModule", ""),
        jaas("SCRAM-SHA-512", "scram.ScramLoginModule", ""),
        jaas(
            "OAUTHBEARER",
            "oauthbearer.OAuthBearerLoginModule",
            "unsecuredLoginStringClaim_sub=\"broker\"",
        ),
    )
}

impl Guarded {
    fn start() -> Self {
        let scratch = Scratch::new("guarded-kafka");
        let guarded = free_address();
        let with_tls: Vec<String> = TLS.map(|_| free_address()).into();
        let listener = |name: &str, protocol: &str, address: &String| {
            let port = address.rsplit(':').next().unwrap();
            format!("{name}:{port}:{port}:{protocol}")
        };
        let mut listeners = vec![listener("GUARDED", "SASL_PLAINTEXT", &guarded)];
        let named = TLS.iter().zip(&with_tls);
        listeners.extend(named.map(|((name, protocol), at)| listener(name, protocol, at)));
        let files = login::make_certificates(scratch.path());
        let mut command = Command::new(SCRIPT);
        command
            .arg("serve")
            .arg(scratch.path())
            .env("TAILSIEVE_KAFKA_LISTENERS", listeners.join(","))
            .env("TAILSIEVE_KAFKA_PROPERTIES", properties(&files))
            .env("TAILSIEVE_KAFKA_SCRAM", format!("{KNOWN_USER}:{PASSWORD}"));
        let mut script = Process::spawn(command, scratch.path(), "script");
        let address = eventually("Kafka to start", PATIENCE, || {
            assert!(script.is_running(), "Kafka ended: {}", script.log());
            fs::read_to_string(scratch.join("address")).ok()
        });
        let address = address.trim().to_owned();
        let next_user = AtomicUsize::new(0);
        Self { address, guarded, with_tls, next_user, script, scratch }
    }

    /// As the super user sees it.
    pub fn kafka(&self) -> Kafka {
        Kafka::at(&self.address)
    }

    /// Where users log in.
    pub fn guarded(&self) -> &str {
        &self.guarded
    }

    /// A listener with TLS, by its place in `TLS`.
    pub fn tls_listener(&self, place: usize) -> &str {
        &self.with_tls[place]
    }

    /// Where the files of docs/security.md are.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// A user that nobody knows yet, who may do nothing.
    pub fn user(&self) -> User<'_> {
        let number = self.next_user.fetch_add(1, Ordering::Relaxed);
        assert!(number < USERS, "there are more users");
        User { broker: self, name: user(number) }
    }

    /// Sends a request of version 1, and returns the body of the answer.
    fn ask(&self, key: i16, body: &[u8]) -> Vec<u8> {
        let mut request = [key.to_be_bytes(), 1_i16.to_be_bytes()].concat();
        request.extend(7_i32.to_be_bytes());
        request.extend(string("tests"));
        request.extend(body);
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&request).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).unwrap();
        // Behind the number of the request and the throttle time.
        answer.split_off(8)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It is what ends the JVM.
        self.script.terminate();
    }
}

/// Who logs in.
pub struct User<'a> {
    broker: &'a Guarded,
    pub name: String,
}

impl<'a> User<'a> {
    /// The one that the broker gives this name.
    pub fn named(broker: &'a Guarded, name: &str) -> Self {
        Self { broker, name: name.to_owned() }
    }

    /// How it logs in, as lines of the section `kafka`.
    pub fn login(&self, mechanism: &str) -> String {
        let name = &self.name;
        format!(
            "  properties: {{security.protocol: SASL_PLAINTEXT, sasl.mechanism: {mechanism}, \
             sasl.username: {name}, sasl.password: {PASSWORD}}}\n"
        )
    }

    /// Grants an ACL, and waits until the broker goes by it.
    pub fn grant(&self, acl: &Acl) {
        let answer = self.broker.ask(CREATE, &[one(), self.entry(acl)].concat());
        assert_eq!(answer[4..6], [0, 0], "granting {acl:?} failed");
        self.wait_for(acl, true);
    }

    /// Takes it away again.
    pub fn withdraw(&self, acl: &Acl) {
        let answer = self.broker.ask(DELETE, &[one(), self.entry(acl)].concat());
        assert_eq!(answer[4..6], [0, 0], "withdrawing {acl:?} failed");
        self.wait_for(acl, false);
    }

    fn wait_for(&self, acl: &Acl, is_there: bool) {
        eventually("the broker to know of an ACL", PATIENCE, || {
            // Its error code and, empty, its text; then how many resources have such ACLs.
            let answer = self.broker.ask(DESCRIBE, &self.entry(acl));
            assert_eq!(answer[..2], [0, 0], "asking for {acl:?} failed");
            let found = answer[4..8] != [0; 4];
            (found == is_there).then_some(())
        });
    }

    /// As it is created, and as what is looked for is told.
    fn entry(&self, acl: &Acl) -> Vec<u8> {
        let kind = match acl.kind {
            Kind::Topic => 2,
            Kind::Group => 3,
        };
        let operation = match acl.operation {
            "Read" => 3,
            "Write" => 4,
            "Create" => 5,
            "Describe" => 8,
            "DescribeConfigs" => 10,
            other => panic!("{other} is no operation of these tests"),
        };
        let principal = format!("User:{}", self.name);
        let mut entry = vec![kind];
        entry.extend(string(&acl.name));
        entry.push(LITERAL);
        entry.extend(string(&principal));
        entry.extend(string("*"));
        entry.extend([operation, ALLOW]);
        entry
    }
}

/// The length of a list of one.
fn one() -> Vec<u8> {
    1_i32.to_be_bytes().to_vec()
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}
