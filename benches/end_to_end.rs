//! What a span costs from end to end: `tailsieve run` against a bare `BaseConsumer` loop over the
//! same preloaded topic, each in a process of its own, in turn, in one run.
//!
//! `./tests/run with-kafka cargo bench --bench end_to_end -- [SPANS] [ROUNDS] [CODEC] [BINARY]`
//!
//! The bare loop is the same client with the same settings, which looks at nothing. The topic is
//! keyed, compressed with CODEC (none by default), and in the past, so that all read a backlog.
//! BINARY is another `tailsieve` that takes its turns, too: how a change is told from noise.
//!
//! CPU is user and system time of the whole process, from /proc: once from its start to the last
//! record, and once from a third of the records on, when its memory has grown to what it needs
//! (the kernel clears each new page, which costs more than most of what is measured here, but only
//! once).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tailsieve::generate::{Model, ModelSettings};
use tailsieve::receiver::Receiver;

const PARTITIONS: i32 = 16;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("bare") => return bare(&args[1], &args[2], args[3].parse().expect("a number")),
        Some("sink") => return sink(),
        _ => {}
    }
    let Ok(brokers) = std::env::var("TAILSIEVE_TEST_KAFKA") else {
        println!("needs Kafka: ./tests/run with-kafka cargo bench --bench end_to_end");
        return;
    };
    let arg = |at: usize, default: &str| args.get(at).cloned().unwrap_or(default.into());
    let number = |at, default| arg(at, default).parse().expect("a number");
    let (spans, rounds, codec) = (number(0, "1000000"), number(1, "3"), arg(2, "none"));
    let topic = format!("bench-{}", std::process::id());
    create_topic(&brokers, &topic);
    let (records, spans, bytes) = preload(&brokers, &topic, &codec, spans);
    println!(
        "{spans} spans in {records} records, {} bytes a span, compressed: {codec}",
        bytes / spans
    );
    let mut lanes = vec![("bare loop", Vec::new()), ("tailsieve", Vec::new())];
    let other = args.get(3);
    lanes.extend(other.map(|binary| (binary.as_str(), Vec::new())));
    for round in 0..rounds {
        for (number, (name, figures)) in lanes.iter_mut().enumerate() {
            let group = format!("bench-{number}-{round}");
            figures.push(match number {
                0 => run_bare(&brokers, &topic, records),
                1 => run_tailsieve(
                    env!("CARGO_BIN_EXE_tailsieve"),
                    &brokers,
                    &topic,
                    &group,
                    records,
                ),
                _ => run_tailsieve(name, &brokers, &topic, &group, records),
            });
        }
    }
    let spans_per_record = spans as f64 / records as f64;
    println!(
        "{:<28} {:>12} {:>8} {:>12} {:>8} {:>8}",
        "medians", "CPU us/span", "ratio", "spans/s", "ratio", "RSS MiB"
    );
    for (part, of) in [("whole run", Figures::whole as Part), ("from a third on", Figures::later)] {
        let bare = median(&lanes[0].1, of, spans_per_record);
        for (name, figures) in &lanes {
            let (cpu, rate, rss) = median(figures, of, spans_per_record);
            let (cpu_ratio, rate_ratio) = (cpu / bare.0, rate / bare.1);
            let name = format!("{name}, {part}");
            println!(
                "{name:<28} {cpu:>12.3} {cpu_ratio:>7.2}x {rate:>12.0} {rate_ratio:>7.2}x {rss:>8.0}"
            );
        }
    }
}

/// What a process had used when it had read so many records.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    cpu: Duration,
    at: Duration,
    records: u64,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    /// About a third through.
    third: Sample,
    end: Sample,
    rss_kib: u64,
}

type Part = fn(&Figures) -> (Sample, Sample);

impl Figures {
    fn whole(&self) -> (Sample, Sample) {
        (Sample::default(), self.end)
    }

    fn later(&self) -> (Sample, Sample) {
        (self.third, self.end)
    }
}

fn median(figures: &[Figures], part: Part, spans_per_record: f64) -> (f64, f64, f64) {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let per_part = |of: fn(Sample, Sample, f64) -> f64| {
        let values = figures.iter().map(|figures| {
            let (from, to) = part(figures);
            of(from, to, (to.records - from.records) as f64 * spans_per_record)
        });
        middle(values.collect())
    };
    (
        per_part(|from, to, spans| (to.cpu - from.cpu).as_secs_f64() * 1e6 / spans),
        per_part(|from, to, spans| spans / (to.at - from.at).as_secs_f64()),
        middle(figures.iter().map(|f| f.rss_kib as f64 / 1024.0).collect()),
    )
}

fn create_topic(brokers: &str, topic: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&config).expect("an admin client");
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let created = runtime
        .expect("a runtime")
        .block_on(admin.create_topics(&[new], &AdminOptions::new()))
        .expect("the topic is created");
    created.into_iter().for_each(|topic| {
        topic.expect("the topic is created");
    });
}

/// Records, spans and bytes put onto the topic.
fn preload(brokers: &str, topic: &str, codec: &str, spans: u64) -> (u64, u64, u64) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("linger.ms", "50").set("acks", "1");
    config
        .set("compression.type", codec)
        .set("partitioner", "fnv1a_random")
        .set("queue.buffering.max.messages", "100000");
    let producer: BaseProducer = config.create().expect("a producer");
    let settings =
        ModelSettings { max_spans: Some(spans), rate: 20_000.0, ..ModelSettings::default() };
    let mut totals = (0, 0, 0);
    for record in Model::new(settings) {
        let key = record.key.unwrap_or_default();
        let mut message =
            BaseRecord::to(topic).key(&key).payload(&record.payload).timestamp(record.at.0);
        while let Err((_, unsent)) = producer.send(message) {
            message = unsent;
            producer.poll(Duration::from_millis(10));
        }
        producer.poll(Duration::ZERO);
        totals.0 += 1;
        totals.1 += record.spans.len() as u64;
        totals.2 += record.payload.len() as u64;
    }
    producer.flush(Duration::from_secs(60)).expect("all is produced");
    totals
}

/// The loop that everything is compared with.
fn bare(brokers: &str, topic: &str, records: u64) {
    let mut config = ClientConfig::new();
    let settings = [
        ("bootstrap.servers", brokers),
        ("group.id", "bare"),
        ("enable.auto.commit", "false"),
        ("fetch.wait.max.ms", "200"),
        ("fetch.min.bytes", "65536"),
        ("fetch.queue.backoff.ms", "10"),
        ("queued.min.messages", "20000"),
        ("queued.max.messages.kbytes", "32768"),
        ("fetch.message.max.bytes", "262144"),
        ("check.crcs", "true"),
    ];
    settings.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = rdkafka::TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).expect("valid");
    }
    consumer.assign(&list).expect("assigned");
    let mut read = 0;
    while read < records {
        if let Some(Ok(_message)) = consumer.poll(Duration::from_millis(100)) {
            read += 1;
            if read == records / 3 {
                println!("{read}");
            }
        }
    }
    println!("{read}");
    wait_for_stdin();
}

fn run_bare(brokers: &str, topic: &str, records: u64) -> Figures {
    let mut child = own_process(&["bare", brokers, topic, &records.to_string()]);
    let start = Instant::now();
    let mut samples = lines(&mut child).map(|line| line.parse().expect("a number"));
    let mut next = |child: &Child| sample(child, start, samples.next().expect("a line"));
    let third = next(&child);
    let end = next(&child);
    finish(child, third, end)
}

fn run_tailsieve(binary: &str, brokers: &str, topic: &str, group: &str, records: u64) -> Figures {
    let mut sink = own_process(&["sink"]);
    let sink_address = lines(&mut sink).next().expect("a line");
    let admin = free_address();
    let dir = tempfile::tempdir().expect("a folder");
    let config = format!(
        "policies: {policies}\nkafka: {{ brokers: [\"{brokers}\"], topic: {topic}, group_id: {group} }}\n\
         decision_log: {{ enabled: false }}\n\
         export: {{ endpoint: \"{sink_address}\", compression: none }}\nadmin: {{ listen: \"{admin}\" }}\n",
        policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies.yaml").display(),
    );
    let file = dir.path().join("tailsieve.yaml");
    fs::write(&file, config).expect("the file is written");
    let start = Instant::now();
    let child = Command::new(binary)
        .args(["--log", "warn", "run", "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()
        .expect("tailsieve starts");
    let read_up_to = |records| loop {
        let read = counter(admin, "tailsieve_received_records_total ").unwrap_or(0);
        if read >= records {
            break sample(&child, start, read);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let third = read_up_to(records / 3);
    let end = read_up_to(records);
    let figures = finish(child, third, end);
    let _ = sink.kill();
    let _ = sink.wait();
    figures
}

/// A backend that takes everything and looks at nothing.
fn sink() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let receiver = runtime.block_on(Receiver::start(any_port, Box::new(|_request| {})));
    let receiver = receiver.expect("a free port");
    println!("{}", receiver.local_addr());
    wait_for_stdin();
}

fn own_process(args: &[&str]) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again")
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).lines().map(|line| line.expect("a line"))
}

/// What a process has used so far, having read `records`.
fn sample(child: &Child, start: Instant, records: u64) -> Sample {
    let at = start.elapsed();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    // Fields 14 and 15 of proc(5), counted after the name; in hundredths of a second.
    let ticks: u64 =
        fields[11..=12].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    Sample { cpu: Duration::from_millis(ticks * 10), at, records }
}

/// Ends a process.
fn finish(mut child: Child, third: Sample, end: Sample) -> Figures {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let rss_kib = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    let _ = child.kill();
    let _ = child.wait();
    Figures { third, end, rss_kib }
}

fn wait_for_stdin() {
    let _ = std::io::stdin().read(&mut [0]);
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

fn counter(admin: SocketAddr, series: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(series))?.trim().parse().ok()
}
