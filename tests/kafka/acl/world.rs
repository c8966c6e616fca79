//! A world for each attempt: topics of its own, traffic with its ledger, and the commands as a user runs
//! them. Each attempt says whether the command did all that it is for, or else what it said.

use std::process::Output;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{Layout, ModelSettings};
use tailsieve::testing::testbed::ledger::Ledger;

use super::broker::{Guarded, PASSWORD, User, guarded};
use super::needs::{
    EXPORT, FROM, GROUP, INDEX, INPUT, LETTERS, LOG, REKEY_GROUP, REPLAY_GROUP, TO,
};
use crate::rig::Rig;
use crate::support::{Kafka, Member, Process, Topic, eventually, free_address, tailsieve, unique};

const PATIENCE: Duration = Duration::from_secs(180);
const PARTITIONS: i32 = 3;

/// Whether something says that it lacks an ACL. That to see settings is never needed.
fn is_denied(log: &str) -> bool {
    let mut lines = log.lines();
    lines.any(|line| line.contains("lacks the ACL") && !line.contains("DescribeConfigs"))
}

/// Keeps everything, so that every span has to arrive.
const KEEP_ALL: &str = "
decision_wait: 3s
decision_wait_after_root_received: 500ms
policies:
  - {name: everything, type: always_sample}
";

pub struct World {
    broker: std::sync::Arc<Guarded>,
    pub rig: Rig,
    log: String,
    letters: String,
    out: Topic,
    from: Topic,
    /// Those that a member may create by itself.
    _created: Vec<Topic>,
}

impl World {
    pub fn new(test: &str) -> Self {
        let mut world = Self::without_topics(test);
        let (partitions, kafka) = (world.rig.topic.partitions(), world.broker.kafka());
        world._created = vec![
            kafka.topic_named(&world.log, partitions, &[]),
            kafka.topic_named(&world.letters, PARTITIONS, &[]),
        ];
        world
    }

    /// Without those of the decision log and of the dead letters.
    pub fn without_topics(test: &str) -> Self {
        let broker = guarded();
        let mut rig = Rig::on(broker.kafka(), test, KEEP_ALL);
        rig.topic = broker.kafka().topic(test, PARTITIONS, &[]);
        let log = format!("{}_decisions", rig.topic.name());
        let letters = format!("{}_dead", rig.topic.name());
        let out = broker.kafka().topic(&format!("{test}-out"), PARTITIONS, &[]);
        let from = broker.kafka().topic(&format!("{test}-from"), PARTITIONS, &[]);
        Self { broker, rig, log, letters, out, from, _created: Vec::new() }
    }

    /// What an option of the table stands for here.
    pub fn name(&self, option: &str) -> String {
        let group = self.rig.topic.name();
        match option {
            INPUT | GROUP | TO => group.to_owned(),
            LOG => self.log.clone(),
            INDEX => format!("{}_index", self.log),
            LETTERS => self.letters.clone(),
            EXPORT | "`--topic`" => self.out.name().to_owned(),
            REKEY_GROUP => format!("{group}-rekey"),
            REPLAY_GROUP => format!("{group}-replay"),
            FROM => self.from.name().to_owned(),
            other => panic!("{other} is nothing here"),
        }
    }

    /// A static file, for a user if there is one, else for the super user.
    pub fn config(&self, user: Option<&User<'_>>, more_kafka: &str, sections: &str) -> String {
        let config = self.rig.config();
        let (open, guarded) = (self.rig.kafka.address(), self.broker.guarded());
        let (brokers, login) = match user {
            None => (open, String::new()),
            Some(user) => (guarded, user.login("PLAIN")),
        };
        let config = config.replace(
            &format!("  brokers: {open}\n"),
            &format!("  brokers: {brokers}\n{login}{more_kafka}"),
        );
        config + sections
    }

    /// With dead letters, and with all else that a member cannot do without: not the index of its log, of
    /// which it says what it lacks and works as ever.
    pub fn with_letters(&self) -> String {
        let log = "decision_log: {index: {enabled: false}}";
        format!("dead_letter: {{topic: {}}}\n{log}\n", self.letters)
    }

    /// Some hundred spans.
    pub fn traffic(&self, seed: u64) -> Ledger {
        self.traffic_to(&self.rig.topic, Layout::Keyed, seed)
    }

    fn traffic_to(&self, topic: &Topic, layout: Layout, seed: u64) -> Ledger {
        let settings = ModelSettings {
            seed,
            start: source::now(),
            rate: 2000.0,
            max_spans: Some(1500),
            layout,
            late_fraction: 0.0,
            duplicate_fraction: 0.0,
            ..ModelSettings::default()
        };
        self.rig.write_to(topic, settings, false).finish()
    }

    pub fn poison(&self) {
        let producer: BaseProducer = self.rig.kafka.client().create().unwrap();
        let record =
            BaseRecord::to(self.rig.topic.name()).key("poisoned").payload(b"no span".as_slice());
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }

    pub fn letters(&self) -> usize {
        let letters = self._created.iter().find(|topic| topic.name() == self.letters);
        letters.map_or(1, |letters| letters.records().len())
    }

    /// A member with a decision log, dead letters and an id, as one user; every span arrives.
    pub fn run_classic(&self, user: &User<'_>) -> Result<(), String> {
        let ledger = self.traffic(1);
        self.poison();
        let config = self.config(Some(user), "  group_instance_id: shop-0\n", &self.with_letters());
        let mut member = Member::start(self.rig.scratch.path(), "member", &config);
        self.wait_for_all(&mut member.process)?;
        assert_eq!(self.letters(), 1, "what cannot be read is a letter");
        self.expect_all(&ledger);
        Ok(())
    }

    /// A member with the consumer protocol that writes to a topic; every span is there.
    pub fn run_consumer(&self, user: &User<'_>) -> Result<(), String> {
        let ledger = self.traffic(1);
        let consumer = "  group_protocol: consumer\n";
        let config = self.config_to_topic(user, consumer, "decision_log: {enabled: false}\n");
        let mut member = Member::start(self.rig.scratch.path(), "member", &config);
        self.wait_for_all(&mut member.process)?;
        self.expect_all_on_topic(&ledger);
        Ok(())
    }

    /// As [`config`](Self::config), with an exporter that writes to a topic.
    pub fn config_to_topic(&self, user: &User<'_>, more_kafka: &str, sections: &str) -> String {
        let config = self.config(Some(user), more_kafka, sections);
        let (before, after) = config.split_once("  endpoint: ").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        format!("{before}  protocol: kafka\n  topic: {}\n{after}", self.out.name())
    }

    /// Every span is on the topic that such an exporter writes to.
    pub fn expect_all_on_topic(&self, ledger: &Ledger) {
        self.observe(&self.out);
        self.expect_all(ledger);
    }

    fn observe(&self, topic: &Topic) {
        for record in topic.records() {
            self.rig.observe(&record.payload().unwrap().to_vec().into());
        }
    }

    pub fn expect_all(&self, ledger: &Ledger) {
        let verdict = self.rig.verdict(ledger);
        assert!(verdict.is_balanced(), "{verdict}");
        assert_eq!(verdict.received_spans, ledger.span_count(), "{verdict}");
    }

    /// Waits until all is committed; what the process says if it cannot go on.
    fn wait_for_all(&self, process: &mut Process) -> Result<(), String> {
        let settled = eventually("a member to do all, or to say what it lacks", PATIENCE, || {
            let is_running = process.is_running();
            if !is_running || is_denied(&process.log()) {
                return Some(Err(process.log()));
            }
            self.rig.is_settled().then_some(Ok(()))
        });
        // What is denied and not missed would be said by now.
        let log = process.log();
        settled.and_then(|()| if is_denied(&log) { Err(log) } else { Ok(()) })
    }

    /// Runs a command to its end: its exit code and all that it prints.
    pub fn command(&self, arguments: &[&str], config: &str) -> (Option<i32>, String) {
        let config = config.replace("$ADMIN", "127.0.0.1:0");
        let file = self.rig.scratch.write(&unique("command"), &config);
        let mut command = tailsieve();
        command.args(arguments).arg("--config").arg(file).current_dir(self.rig.scratch.path());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&stdout);
        (status.code(), format!("{stdout}{}", String::from_utf8_lossy(&stderr)))
    }

    /// The doctor finds everything in order, and looks at everything.
    pub fn doctor(&self, user: &User<'_>) -> Result<(), String> {
        self.traffic(1);
        let config = self.config(Some(user), "", &self.with_letters());
        let (code, said) = self.command(&["doctor"], &config);
        let is_left_out = said.lines().any(|line| line.starts_with("skipped"));
        if code == Some(0) && !is_left_out { Ok(()) } else { Err(said) }
    }

    pub fn rekey(&self, user: &User<'_>) -> Result<(), String> {
        let ledger = self.traffic_to(&self.from, Layout::Batched, 1);
        let config = self.config(Some(user), "", "").replace("$ADMIN", &free_address());
        let file = self.rig.scratch.write("rekey.yaml", &config);
        let mut command = tailsieve();
        command.args(["--log-format=json", "rekey", "--from", self.from.name(), "--config"]);
        command.arg(file).current_dir(self.rig.scratch.path());
        let mut process = Process::spawn(command, self.rig.scratch.path(), "rekey");
        let group = self.name(REKEY_GROUP);
        eventually("rekey to do all, or to say what it lacks", PATIENCE, || {
            if !process.is_running() || is_denied(&process.log()) {
                return Some(Err(process.log()));
            }
            is_settled(&self.rig.kafka, &group, &self.from).then_some(Ok(()))
        })?;
        self.observe(&self.rig.topic);
        self.expect_all(&ledger);
        Ok(())
    }

    /// One letter, written by a member that may do everything.
    fn write_letter(&self) -> String {
        self.poison();
        let config = self.config(None, "", &self.with_letters());
        let mut member = Member::start(self.rig.scratch.path(), "member", &config);
        eventually("a letter", PATIENCE, || (self.letters() == 1).then_some(()));
        assert!(member.process.terminate().success());
        config
    }

    pub fn replay(&self, user: &User<'_>) -> Result<(), String> {
        self.write_letter();
        let config = self.config(Some(user), "", &self.with_letters());
        // What is not asked for is put back.
        let (code, said) =
            self.command(&["replay-dead-letters", "--reason", "another-one"], &config);
        if code != Some(0) {
            return Err(said);
        }
        assert_eq!(self.letters(), 2, "{said}");
        let (code, said) = self.command(&["replay-dead-letters"], &config);
        if code != Some(0) {
            return Err(said);
        }
        assert_eq!(self.rig.topic.records().len(), 2, "it is on the input topic again: {said}");
        Ok(())
    }

    pub fn replay_dry_run(&self, user: &User<'_>) -> Result<(), String> {
        self.write_letter();
        let config = self.config(Some(user), "", &self.with_letters());
        let (code, said) = self.command(&["replay-dead-letters", "--dry-run"], &config);
        let is_shown = said.contains("malformed, refused 1x");
        if code == Some(0) && is_shown { Ok(()) } else { Err(said) }
    }

    pub fn capture(&self, user: &User<'_>) -> Result<(), String> {
        let ledger = self.traffic(1);
        let config = self.config(Some(user), "", "");
        let (code, said) = self.command(&["capture"], &config);
        let all = format!("of {} spans", ledger.span_count());
        if code != Some(0) {
            return Err(said);
        }
        assert!(
            said.contains(&all),
            "not {all} in {}",
            said.lines().next_back().unwrap_or_default()
        );
        Ok(())
    }

    /// Traffic that a member has decided that may do everything.
    fn decided(&self) -> Result<Ledger, String> {
        let ledger = self.traffic(1);
        let config = self.config(None, "", "");
        let mut member = Member::start(self.rig.scratch.path(), "member", &config);
        self.wait_for_all(&mut member.process)?;
        Ok(ledger)
    }

    pub fn decisions(&self, user: &User<'_>) -> Result<(), String> {
        let ledger = self.decided()?;
        let config = self.config(Some(user), "", "");
        let arguments = ["decisions", "--from", "beginning", "--no-follow", "--entry", "decided"];
        let (code, said) = self.command(&arguments, &config);
        if code != Some(0) {
            return Err(said);
        }
        assert_eq!(said.lines().count() as u64, ledger.traces.len() as u64, "{said}");
        Ok(())
    }

    pub fn trace(&self, user: &User<'_>) -> Result<(), String> {
        let ledger = self.decided()?;
        let id = ledger.traces.keys().next().unwrap().to_string();
        let config = self.config(Some(user), "", "");
        let (code, said) = self.command(&["trace", &id], &config);
        if code != Some(0) {
            return Err(said);
        }
        assert!(said.contains(&id), "{said}");
        Ok(())
    }

    pub fn whatif(&self, user: &User<'_>) -> Result<(), String> {
        self.decided()?;
        let config = self.config(Some(user), "", "");
        // Written ahead of the clock.
        let arguments = ["whatif", "--policies", "policies.yaml", "--to", "2100-01-01T00:00:00Z"];
        let (code, said) = self.command(&arguments, &config);
        // The last traces may not be due yet.
        if !matches!(code, Some(0 | 3)) {
            return Err(said);
        }
        assert!(said.contains("compared"), "{said}");
        Ok(())
    }

    pub fn generate(&self, user: &User<'_>) -> Result<(), String> {
        let login = [
            "security.protocol=SASL_PLAINTEXT".to_owned(),
            "sasl.mechanism=PLAIN".to_owned(),
            format!("sasl.username={}", user.name),
            format!("sasl.password={PASSWORD}"),
        ];
        let mut command = tailsieve();
        command.args(["generate", "--spans", "500", "--rate", "0"]);
        command.args(["--topic", self.out.name(), "--brokers", self.broker.guarded()]);
        login.iter().for_each(|property| _ = command.args(["-X", property]));
        let Output { status, stderr, .. } = command.output().unwrap();
        if !status.success() {
            return Err(String::from_utf8_lossy(&stderr).into_owned());
        }
        assert!(self.out.records().len() > 100);
        Ok(())
    }
}

/// Whether the group has committed everything on the topic.
pub fn is_settled(kafka: &Kafka, group: &str, topic: &Topic) -> bool {
    let committed = kafka.committed(group, topic);
    let is_done =
        |(partition, end): (&i32, &i64)| *end == 0 || committed.get(partition) == Some(&Some(*end));
    topic.end_offsets().iter().all(is_done)
}
