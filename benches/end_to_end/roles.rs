//! What this program is when it starts itself again: the bare loops, and the sink.

use std::io::{BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tailsieve::testing::kafka::source::FETCH_SETTINGS;
use tailsieve::testing::otlp::{AttributeKeys, Scan, scan};
use tailsieve::testing::testbed::receiver::Receiver;

use crate::lookups;

/// Plays a part if the arguments name one.
pub fn play(arguments: &[String]) -> bool {
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        ["as-bare-loop", brokers, topic, partitions, records, scans] => {
            let number = |text: &str| text.parse().expect("a number");
            bare_loop(brokers, topic, number(partitions), number(records), scans == "true");
        }
        ["as-live-loop", brokers, topic, partitions] => {
            live_loop(brokers, topic, partitions.parse().expect("a number"));
        }
        ["as-neighbour", brokers, topic, partitions] => {
            neighbour(brokers, topic, partitions.parse().expect("a number"));
        }
        ["as-sink"] => sink(),
        ["as-asker", listen, brokers, topic, partitions] => {
            lookups::ask(listen, brokers, topic, partitions.parse().expect("a number"));
        }
        _ => return false,
    }
    true
}

/// Starts this program in a part.
pub fn start(arguments: &[&str]) -> Child {
    command(arguments).spawn().expect("this program starts again")
}

/// This program, ready to be started in a part.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The consumer that everything is compared with, with the settings of tailsieve's own.
fn bare_consumer(brokers: &str, topic: &str, partitions: i32) -> BaseConsumer {
    let mut config = ClientConfig::new();
    let settings = [
        ("bootstrap.servers", brokers),
        ("group.id", "bare"),
        ("enable.auto.commit", "false"),
        ("check.crcs", "true"),
    ];
    for (key, value) in settings.into_iter().chain(FETCH_SETTINGS) {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("valid");
    }
    consumer.assign(&list).expect("assigned");
    consumer
}

/// Ends this process when its standard input ends.
fn end_with_input() {
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}

/// Reads a topic and looks at nothing, from its beginning whenever nothing comes any more.
fn neighbour(brokers: &str, topic: &str, partitions: i32) {
    end_with_input();
    loop {
        let consumer = bare_consumer(brokers, topic, partitions);
        while consumer.poll(Duration::from_secs(1)).is_some() {}
    }
}

/// Reads live traffic and looks at nothing, until its standard input ends.
fn live_loop(brokers: &str, topic: &str, partitions: i32) {
    let consumer = bare_consumer(brokers, topic, partitions);
    end_with_input();
    loop {
        drop(consumer.poll(Duration::from_millis(100)));
    }
}

/// Reads a topic to its end. Says when it has read a third of the records, and all of them; ends
/// with its standard input.
fn bare_loop(brokers: &str, topic: &str, partitions: i64, records: i64, scans: bool) {
    let consumer = bare_consumer(brokers, topic, partitions as i32);
    let keys = AttributeKeys::new(std::iter::empty());
    let (mut read, mut found) = (0, Scan::default());
    while read < records {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            if scans {
                scan(message.payload().unwrap_or_default(), &keys, &mut found).expect("OTLP");
                std::hint::black_box(&found);
            }
            read += 1;
            if read == records / 3 {
                println!("{read}");
            }
        }
    }
    println!("{read}");
    let _ = std::io::stdin().read(&mut [0]);
}

/// A backend that takes everything and counts spans and requests. Says where it listens, and for
/// each line of its standard input how many of both it has taken.
fn sink() {
    let taken = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counted = Arc::clone(&taken);
    let count = move |request: bytes::Bytes| {
        let mut found = Scan::default();
        scan(&request, &AttributeKeys::new(std::iter::empty()), &mut found).expect("OTLP");
        counted.0.fetch_add(found.spans.len() as u64, Ordering::Relaxed);
        counted.1.fetch_add(1, Ordering::Relaxed);
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let receiver = runtime.block_on(Receiver::start(any_port, Box::new(count)));
    let receiver = receiver.expect("a free port");
    println!("{}", receiver.local_addr());
    for _question in std::io::stdin().lock().lines() {
        let (spans, requests) = (&taken.0, &taken.1);
        println!("{} {}", spans.load(Ordering::Relaxed), requests.load(Ordering::Relaxed));
        let _ = std::io::stdout().flush();
    }
}
