//! Finding out: asks the cluster, the backend and this machine, each within its time.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, ClientContext, Offset as KafkaOffset, TopicPartitionList};

use super::super::own_telemetry;
use super::facts::{Brokers, Cluster, Facts, Group, Plan, Range, Reach, ServerReach};
use super::sample::{Sample, Seen};
use crate::cmd::admin_client::{AdminClient, AdminUrl};
use crate::cmd::process;
use crate::config::Settings;
use crate::export::{self, ExportSettings};
use crate::ids::Partition;
use crate::kafka::cluster::describe::{self, GroupMember};
use crate::kafka::cluster::{self, permissions};
use crate::kafka::decision_log::{DecisionLogSettings, index, topic};
use crate::kafka::source;
use crate::otel;
use crate::sync::lock;

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(3);

/// How long one question to the cluster may take.
const QUESTION: Duration = Duration::from_secs(4);

/// How long looking at offsets, and at records, may take.
const OFFSETS: Duration = Duration::from_secs(4);
const RECORDS: Duration = Duration::from_secs(5);

/// Records that are looked at, over all partitions.
const SAMPLE: i64 = 3000;

/// Complaints that are kept.
const MOST_COMPLAINTS: usize = 20;

/// What Tempo would ask, of a moment long ago: nothing has to be read for the answer.
const NOBODYS_TRACE: &str = "/api/traces/1?start=1&end=2";

/// Facts, as they come in.
type Board = Arc<Mutex<Facts>>;

/// Changes what is on the board.
fn note(board: &Board, change: impl FnOnce(&mut Facts)) {
    change(&mut lock(board));
}

/// Asks everything, side by side, and returns when all is answered or `deadline` is over.
pub fn gather(plan: &Plan, settings: &Settings, deadline: Instant) -> Board {
    let board = Board::default();
    let (done, all_done) = mpsc::channel::<()>();
    let own = (Arc::clone(&board), plan.clone(), settings.clone(), done.clone());
    thread::spawn(move || {
        let (board, plan, settings, _done) = own;
        ask_kafka(&board, &plan, &settings);
    });
    let own = (Arc::clone(&board), plan.clone(), settings.clone(), done);
    thread::spawn(move || {
        let (board, plan, settings, _done) = own;
        ask_backend(&board, &settings);
        ask_own_telemetry(&board);
        ask_retrieval(&board, &plan);
        let bound = TcpListener::bind(settings.admin.listen);
        note(&board, |facts| {
            facts.admin = Some(bound.map(|_| ()).map_err(|error| error.to_string()));
        });
    });
    // Ends when both have dropped their end.
    let _ = all_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    board
}

fn ask_backend(board: &Board, settings: &Settings) {
    let ask = |settings| {
        let answer = process::wait_for(export::check_backend(settings, Bytes::new())).ok()?;
        Some((ExportSettings::target(settings), answer))
    };
    // Where the system refuses one, nothing is known.
    let Some(answers) = settings.exports.iter().map(ask).collect() else { return };
    note(board, |facts| facts.backends = Some(answers));
}

fn ask_own_telemetry(board: &Board) {
    let answers = match own_telemetry::settings(None) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(settings)) => match process::wait_for(otel::check(&settings)) {
            Ok(answers) => Ok(answers),
            Err(_refused) => return,
        },
        Err(error) => Err(error.to_string()),
    };
    note(board, |facts| facts.own_telemetry = Some(answers));
}

/// Asks the server of traces for one that nobody has.
fn ask_retrieval(board: &Board, plan: &Plan) {
    let Some(server) = plan.retrieval else { return };
    let url = AdminUrl::of(server.listen);
    let reach = if server.is_encrypted {
        match reach(url.authority()) {
            Reach::Connected => ServerReach::Listens,
            Reach::Refused(why) | Reach::Unresolved(why) => ServerReach::Silent(why),
            Reach::TimedOut => ServerReach::Silent("no answer in time".to_owned()),
        }
    } else {
        let asked = async { AdminClient::new(QUESTION).get(&url, NOBODYS_TRACE).await };
        match process::wait_for(asked) {
            Ok(Ok(page)) if page.status == StatusCode::NOT_FOUND && page.text.is_empty() => {
                ServerReach::Answers
            }
            Ok(Ok(page)) => ServerReach::Foreign(page.status.to_string()),
            Ok(Err(error)) => ServerReach::Silent(error.to_string()),
            Err(_refused) => return,
        }
    };
    note(board, |facts| facts.retrieval = Some(reach));
}

/// Hears what librdkafka complains about.
#[derive(Default)]
struct Ears(Mutex<Vec<String>>);

impl Ears {
    fn hear(&self, complaint: &str) {
        let mut heard = lock(&self.0);
        if heard.len() < MOST_COMPLAINTS && !heard.iter().any(|it| it == complaint) {
            heard.push(complaint.to_owned());
        }
    }

    fn heard(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

impl ClientContext for Ears {
    fn log(&self, level: RDKafkaLogLevel, _facility: &str, message: &str) {
        // Their numbers are syslog's: the smaller, the worse.
        if level as i32 <= RDKafkaLogLevel::Error as i32 {
            self.hear(message);
        }
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        self.hear(reason);
    }
}

impl ConsumerContext for Ears {}

type Client = BaseConsumer<Ears>;

fn client_config(plan: &Plan, settings: &Settings) -> ClientConfig {
    let properties = &settings.source.properties;
    let mut config =
        cluster::client_config(&plan.brokers, properties, "tailsieve-doctor", &plan.group_id);
    config
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("socket.connection.setup.timeout.ms", CONNECT.as_millis().to_string());
    config
}

fn ask_kafka(board: &Board, plan: &Plan, settings: &Settings) {
    let contacts = reach_all(plan.brokers.split(',').map(|it| it.trim().to_owned()).collect());
    let config = client_config(plan, settings);
    let client: Client = match config.create_with_context(Ears::default()) {
        Ok(client) => client,
        Err(error) => {
            let cluster = Err(format!("the Kafka client refuses its settings: {error}"));
            let brokers = Brokers { contacts, cluster, complaints: Vec::new() };
            note(board, |facts| facts.brokers = Some(brokers));
            return;
        }
    };
    let cluster = describe_cluster(&client);
    // The client reports complaints while it is polled.
    client.poll(Duration::from_millis(100));
    let complaints = client.context().heard();
    if cluster.is_ok() {
        let denied = permissions::missing(client.client(), &plan.brokers, &plan.needed);
        note(board, |facts| facts.denied = Some(denied));
    }
    let partitions = cluster.as_ref().ok().and_then(|it| it.topics.get(&plan.topic).copied());
    note(board, |facts| facts.brokers = Some(Brokers { contacts, cluster, complaints }));
    let Some(partitions) = partitions else { return };
    let configs = topic_settings(&config, &plan.topic);
    note(board, |facts| facts.configs = Some(configs));
    if let Some(log) = &plan.decision_log {
        let configs = topic_settings(&config, log);
        note(board, |facts| facts.log_configs = Some(configs));
        let answer = topic::check(&log_settings(plan, settings, log), &plan.topic, false);
        note(board, |facts| facts.decision_log = Some(answer));
        let answer = index::topic::check(&log_settings(plan, settings, log), false);
        note(board, |facts| facts.decision_index = Some(answer));
    }
    let group = describe_group(&client, &plan.group_id);
    note(board, |facts| facts.group = Some(group));
    let ranges = ranges(&client, plan, partitions);
    note(board, |facts| facts.ranges = Some(ranges.clone()));
    if let Ok(ranges) = ranges {
        let sample = sample(&client, plan, &ranges, partitions);
        note(board, |facts| facts.sample = Some(sample));
    }
    // Closing the client may take its time; the command does not wait for this thread.
}

fn log_settings(plan: &Plan, settings: &Settings, topic: &str) -> DecisionLogSettings {
    DecisionLogSettings {
        topic: topic.to_owned(),
        brokers: plan.brokers.clone(),
        group_id: plan.group_id.clone(),
        client_id: "tailsieve-doctor".to_owned(),
        properties: settings.source.properties.clone(),
        index: settings.decision_log.as_ref().and_then(|log| log.index.clone()),
    }
}

/// Tries all addresses at once.
fn reach_all(addresses: Vec<String>) -> Vec<(String, Reach)> {
    let tries = addresses.into_iter().map(|address| {
        let (answer, answered) = mpsc::channel();
        let own = address.clone();
        // Looking a name up cannot be interrupted, so it is left behind if it takes too long.
        thread::spawn(move || answer.send(reach(&own)));
        (address, answered)
    });
    let tries: Vec<_> = tries.collect();
    let end = Instant::now() + CONNECT + Duration::from_millis(500);
    let answer = |answered: mpsc::Receiver<Reach>| {
        let left = end.saturating_duration_since(Instant::now());
        answered.recv_timeout(left).unwrap_or(Reach::TimedOut)
    };
    tries.into_iter().map(|(address, answered)| (address, answer(answered))).collect()
}

fn reach(address: &str) -> Reach {
    let bare = address.rsplit("://").next().unwrap_or(address);
    let with_port = if bare.contains(':') { bare.to_owned() } else { format!("{bare}:9092") };
    let found = match with_port.to_socket_addrs() {
        Ok(found) => found,
        Err(error) => return Reach::Unresolved(error.to_string()),
    };
    let mut last = Reach::Unresolved("the name has no address".to_owned());
    for address in found {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Reach::Connected,
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => last = Reach::TimedOut,
            Err(error) => last = Reach::Refused(error.to_string()),
        }
    }
    last
}

fn describe_cluster(client: &Client) -> Result<Cluster, String> {
    let metadata = client.fetch_metadata(None, QUESTION).map_err(|error| error.to_string())?;
    let address =
        |broker: &rdkafka::metadata::MetadataBroker| format!("{}:{}", broker.host(), broker.port());
    let brokers = reach_all(metadata.brokers().iter().map(address).collect());
    let topics = metadata.topics().iter();
    let topics = topics.map(|topic| (topic.name().to_owned(), topic.partitions().len()));
    Ok(Cluster { brokers, topics: topics.collect() })
}

/// The settings of a topic, or why they cannot be seen.
fn topic_settings(config: &ClientConfig, topic: &str) -> Result<BTreeMap<String, String>, String> {
    cluster::topic_settings(config, topic).map_err(|error| error.to_string())
}

fn describe_group(client: &Client, group_id: &str) -> Result<Group, String> {
    let list =
        client.fetch_group_list(Some(group_id), QUESTION).map_err(|error| error.to_string())?;
    let Some(group) = list.groups().iter().find(|group| group.name() == group_id) else {
        return Ok(Group::default());
    };
    let member = |member: &rdkafka::groups::GroupMemberInfo| GroupMember {
        instance_id: None,
        client_id: member.client_id().to_owned(),
        host: member.client_host().to_owned(),
    };
    // It knows the members' ids, and those of the protocol `consumer`.
    let described = describe::group_members(client.client(), group_id).answer(QUESTION);
    let mut members = match described {
        Some(Ok(members)) => members,
        Some(Err(_)) | None => group.members().iter().map(member).collect(),
    };
    for member in &mut members {
        member.host = member.host.trim_start_matches('/').to_owned();
    }
    Ok(Group {
        state: group.state().to_owned(),
        protocol: group.protocol().to_owned(),
        protocol_type: group.protocol_type().to_owned(),
        members,
    })
}

/// As many partitions as can be looked at in time.
fn ranges(client: &Client, plan: &Plan, partitions: usize) -> Result<Vec<Range>, String> {
    let end = Instant::now() + OFFSETS;
    let last = i32::try_from(partitions).unwrap_or(i32::MAX) - 1;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&plan.topic, 0, last);
    let committed = client.committed_offsets(list, QUESTION).map_err(|error| error.to_string())?;
    let mut ranges = Vec::with_capacity(partitions);
    for element in committed.elements() {
        if Instant::now() >= end {
            break;
        }
        let partition = element.partition();
        let (low, high) =
            cluster::asked_again(|| client.fetch_watermarks(&plan.topic, partition, QUESTION))
                .map_err(|error| format!("partition {partition}: {error}"))?;
        let committed = match element.offset() {
            KafkaOffset::Offset(offset) => Some(offset),
            _ => None,
        };
        ranges.push(Range { partition, low, high, committed });
    }
    Ok(ranges)
}

/// Reads the end of each partition, without joining the group.
fn sample(client: &Client, plan: &Plan, ranges: &[Range], partitions: usize) -> Sample {
    let mut sample = Sample::default();
    let each = (SAMPLE / partitions.max(1) as i64).clamp(20, 1000);
    let mut open = BTreeMap::new();
    let mut list = TopicPartitionList::new();
    for range in ranges.iter().filter(|range| range.high > range.low) {
        let start = KafkaOffset::Offset(range.low.max(range.high - each));
        if list.add_partition_offset(&plan.topic, range.partition, start).is_ok() {
            open.insert(range.partition, range.high);
        }
    }
    if let Err(error) = client.assign(&list) {
        sample.errors.push(error.to_string());
        return sample;
    }
    let size = u32::try_from(partitions).unwrap_or(u32::MAX);
    let end = Instant::now() + RECORDS;
    while !open.is_empty() && Instant::now() < end {
        match client.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => {
                let error = error.to_string();
                if !sample.errors.contains(&error) {
                    sample.errors.push(error);
                }
            }
            Some(Ok(message)) => {
                let partition = message.partition();
                if open.get(&partition).is_some_and(|high| message.offset() + 1 >= *high) {
                    open.remove(&partition);
                }
                let record = Seen {
                    partition: Partition(partition),
                    key: message.key(),
                    value: message.payload(),
                    timestamp: message.timestamp(),
                };
                sample.look_at(record, size, source::now());
            }
        }
    }
    sample
}
