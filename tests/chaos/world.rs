//! A run: everything is started, goes wrong as planned, is mended, comes to rest, and is judged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::message::OwnedMessage;
use tailsieve::testing::ids::Timestamp;
use tokio::runtime::Runtime;

use crate::asker::{Asked, Asker};
use crate::backend::{Backend, speaks_http};
use crate::book::Delivery;
use crate::broker::{Broker, free_ports};
use crate::commits::Commits;
use crate::decisions::{Decisions, decision_log_of, written_between};
use crate::disturbance::{Assignments, Disturbance};
use crate::fault::{Answer, Fault, Resource, Side};
use crate::letters::{Letters, dead_letters_of};
use crate::member::MemberFile;
use crate::options::{DEAD_LETTERS, DECISION_LOG, Options, Protocol};
use crate::plan::{BASE, Event, SLOTS};
use crate::proxy::{Mode, Proxy};
use crate::rules::{Rules, policies};
use crate::slot::Slot;
use crate::soak::{self, Vitals};
use crate::support::{
    Kafka, Scratch, Topic, check_accounts, check_table, eventually, promtool_check_metrics,
};
use crate::traffic::{PARTITIONS, Traffic, Written, poison};
use crate::verdict::Verdict;

/// How often the members are looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// How long everything may take to come to rest, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// How soon a member that goes on after a stop finds out that it has lost its partitions.
const SOON: Duration = Duration::from_secs(30);

/// So many traces have to be asked for, if some are. On a quiet machine it is 150 and more; on a busy one the traffic is
/// behind most of the time, and nobody asks then.
const ENOUGH: usize = 5;

/// How long a record may be on its way to the decision log when an outage begins.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// How far apart the clock of the members' logs and that of the run may be.
const CLOCKS: Duration = Duration::from_millis(100);

/// One run.
pub struct World {
    options: Options,
    protocol: Protocol,
    slots: Vec<Slot>,
    topic: Topic,
    decision_log: Option<Topic>,
    /// Times in which the decision log took nothing.
    outages: Vec<Range<Duration>>,
    /// Members that were stopped for longer than their session, from when to when.
    frozen: Vec<(usize, Duration, Duration)>,
    dead_letters: Option<Topic>,
    kafka: Kafka,
    broker: Broker,
    backend: Backend,
    scratch: Scratch,
    started: Instant,
    started_at: SystemTime,
    /// When what is going on began.
    begun: HashMap<Resource, Duration>,
    /// Times without the answers of the backend.
    disturbances: Vec<Disturbance>,
    /// Times without Kafka.
    away: Vec<Range<Duration>>,
    /// When a member was started in a slot.
    starts: Vec<(usize, Duration)>,
    /// The slots in which one is to be started when the last one has left.
    to_start: BTreeSet<usize>,
    /// What the first member holds.
    vitals: Vec<Vitals>,
    complaints: Vec<String>,
    /// Those who write poisoned records; each says how many of these have to be refused.
    poisoned: Vec<JoinHandle<u64>>,
    /// How many of those that are written have to be refused.
    refusable: u64,
    /// What was asked for, if somebody asks.
    asked: Asked,
    _runtime: Runtime,
}

/// What is due at a time of the plan.
enum Step {
    Begin(Event),
    End(Event),
}

impl World {
    /// Kafka, topic, backend and the first members, which are ready.
    pub fn new(options: &Options, protocol: Protocol) -> Self {
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let backend = runtime.block_on(Backend::start(SLOTS, options.seed, started));
        let ports: [u16; SLOTS] = free_ports();
        let proxy = |target| runtime.block_on(Proxy::start(target)).unwrap();
        let slot = |number: usize| {
            let kafka = proxy(([127, 0, 0, 1], ports[number]).into());
            Slot::new(number, kafka, proxy(backend.address(number)))
        };
        let slots: Vec<Slot> = (0..SLOTS).map(slot).collect();
        let told = slots.iter().map(|slot| slot.kafka.address().port());
        let listeners: Vec<(u16, u16)> = ports.into_iter().zip(told).collect();
        let broker = Broker::start(&listeners);
        let kafka = Kafka::at(broker.address());
        let topic = kafka.topic("chaos", PARTITIONS, &[]);
        let decision_log = DECISION_LOG.then(|| decision_log_of(&kafka, topic.name()));
        if let Some(log) = &decision_log {
            slots.iter().for_each(|slot| slot.kafka.watch_writers_of(log.name()));
        }
        let dead_letters = DEAD_LETTERS.then(|| dead_letters_of(&kafka, topic.name()));
        let scratch = Scratch::new("chaos");
        scratch.write("policies.yaml", &policies(0, DECISION_LOG));
        drop(entered);
        let mut world = Self {
            options: options.clone(),
            protocol,
            slots,
            topic,
            decision_log,
            outages: Vec::new(),
            frozen: Vec::new(),
            dead_letters,
            kafka,
            broker,
            backend,
            scratch,
            started,
            started_at,
            begun: HashMap::new(),
            disturbances: Vec::new(),
            away: Vec::new(),
            starts: Vec::new(),
            to_start: BTreeSet::new(),
            vitals: Vec::new(),
            complaints: Vec::new(),
            poisoned: Vec::new(),
            refusable: 0,
            asked: Asked::default(),
            _runtime: runtime,
        };
        for number in 0..BASE {
            world.start_member(number);
            world.slots[number].member().unwrap().wait_ready();
        }
        world
    }

    /// Runs a plan to its end, waits for rest, and judges.
    pub fn run(&mut self, plan: &[Event]) -> Verdict {
        let commits = Commits::watch(&self.kafka, self.topic.name(), self.started);
        let Options { rate, lasts, .. } = self.options;
        let written = self.act(plan, 0, rate, lasts);
        self.judge(&written, &commits)
    }

    /// The same, with the topic deleted and created again when all is at rest, and then another act, with
    /// this plan and rate.
    pub fn run_on_another_topic(&mut self, first: (f64, Duration), then: &[Event]) -> Verdict {
        let commits = Commits::watch(&self.kafka, self.topic.name(), self.started);
        let mut written = self.act(&[], 0, first.0, first.1);
        self.topic.recreate();
        self.say("the topic was deleted and created again");
        let Options { rate, lasts, .. } = self.options;
        let more = self.act(then, 1, rate, lasts);
        written.ledger.traces.extend(more.ledger.traces);
        written.places.extend(more.places);
        self.judge(&written, &commits)
    }

    /// Writes traffic while things go wrong as planned, and waits for rest.
    fn act(&mut self, plan: &[Event], number: u64, rate: f64, lasts: Duration) -> Written {
        let seed = self.options.seed.wrapping_add(number << 32);
        let brokers = self.kafka.address().to_owned();
        let traffic = Traffic::start(&brokers, self.topic.name(), seed, rate, lasts);
        self.say(&format!("traffic of {rate} spans/s for {lasts:?}"));
        let asker = self.options.asks.then(|| self.ask(&traffic));
        self.follow_plan(plan);
        self.mend();
        while !traffic.is_over() {
            self.look_after_members();
            thread::sleep(GLANCE);
        }
        if let Some(asker) = asker {
            self.asked = asker.finish();
            self.say(&format!("{}", self.asked));
        }
        let spans = traffic.spans();
        let written = traffic.finish();
        let poisoned = self.poisoned.drain(..).map(|writing| writing.join().unwrap());
        self.refusable += poisoned.sum::<u64>();
        self.say(&format!("traffic is over, {spans} spans with their repetitions"));
        self.settle();
        written
    }

    /// Somebody asks for dropped traces from now on, by the way to Kafka that no fault is about.
    fn ask(&self, traffic: &Traffic) -> Asker {
        let config = self.config_by(0, self.kafka.address());
        Asker::start(self.scratch.path(), &config, self.rules(), traffic.so_far())
    }

    fn rules(&self) -> Rules {
        Rules { quick: DECISION_LOG, asked_for: self.asked.taken.clone() }
    }

    fn judge(&mut self, written: &Written, commits: &Commits) -> Verdict {
        let Written { ledger, places, .. } = written;
        let poisoned = self.refusable;
        self.check_members();
        self.check_zombies();
        let ends = self.topic.end_offsets();
        let hottest = ends.values().max().copied().unwrap_or(0);
        let mean = ends.values().sum::<i64>() / i64::from(PARTITIONS);
        if hottest < 2 * mean {
            self.complaints.push(format!("no partition is hot: {ends:?}"));
        }
        let letters = self.dead_letters.as_ref().map(|topic| Letters::read(&topic.records()));
        if let Some(letters) = &letters
            && letters.records.len() as u64 != poisoned
        {
            let found = letters.records.len();
            let complaint = format!("{poisoned} poisoned records, letters of {found}");
            self.complaints.push(complaint);
        }
        if self.options.asks && self.asked.taken.len() < ENOUGH {
            self.complain(format!("only {} traces were asked for", self.asked.taken.len()));
        }
        let (lost, rules) = (self.disturbances(), self.rules());
        let mut verdict =
            self.backend.read(|book| Verdict::new(ledger, book, letters.as_ref(), &rules));
        if let Some(records) = self.decision_log.as_ref().map(Topic::records) {
            self.check_outages(&records);
            let said = Decisions::read(&records);
            self.backend.read(|book| verdict.read_log(ledger, book, &said, &rules));
            self.backend.read(|book| verdict.count_duplicates(ledger, book, &said, &lost));
        }
        verdict.complaints = std::mem::take(&mut self.complaints);
        verdict.committed_lower = commits.went_back() as u64;
        for (id, defect) in &verdict.examples {
            let Some(place) = places.get(id) else { continue };
            let (partition, first) = (place.partition.0, place.first.0);
            let passed = commits.passed(partition, first).unwrap_or_default();
            let written_at = Duration::from_millis(place.at.0 as u64);
            let written_at = SystemTime::UNIX_EPOCH + written_at;
            let at = written_at.duration_since(self.started_at).unwrap_or_default();
            println!(
                "{id}: {defect}; of {:.1} s, partition {partition}, offsets {first} to {}; \
                 committed behind the first at {:.1} s",
                at.as_secs_f64(),
                place.last.0,
                passed.as_secs_f64()
            );
        }
        verdict
    }

    fn follow_plan(&mut self, plan: &[Event]) {
        let begin = Instant::now();
        let steps = plan.iter().flat_map(|event| {
            [(event.at, Step::Begin(*event)), (event.at + event.lasts, Step::End(*event))]
        });
        let mut steps: Vec<(Duration, Step)> = steps.collect();
        steps.sort_by_key(|(at, _)| *at);
        for (at, step) in steps {
            while begin.elapsed() < at {
                self.look_after_members();
                thread::sleep(GLANCE);
            }
            match step {
                Step::Begin(event) => self.begin(event),
                Step::End(event) => self.end(event),
            }
        }
    }

    fn begin(&mut self, event: Event) {
        let Event { fault, lasts, .. } = event;
        self.say(&format!("{fault}, {:.1} s", lasts.as_secs_f64()));
        self.begun.insert(fault.resource(), self.started.elapsed());
        match fault {
            Fault::Kill(slot) => self.slots[slot].kill(),
            Fault::Leave(slot) => self.slots[slot].leave(),
            Fault::Visit(slot) | Fault::VisitAndDie(slot) => self.start_member(slot),
            Fault::Freeze(slot) => self.slots[slot].signal("STOP"),
            Fault::KafkaDies => self.broker.kill(),
            Fault::Cut(side, slot) => self.slots[slot].side(side).cut(),
            Fault::Link(side, slot, mode) => self.slots[slot].side(side).set(mode),
            Fault::Backend(answer) => self.backend.answer(answer),
            // Whole or not at all: a member may be starting.
            Fault::Reload(version) => {
                self.scratch.write("policies.next", &policies(version, DECISION_LOG));
                let [next, file] =
                    ["policies.next", "policies.yaml"].map(|it| self.scratch.join(it));
                std::fs::rename(next, file).unwrap();
            }
            Fault::Poison(records) => {
                let (client, topic) = (self.kafka.client(), self.topic.name().to_owned());
                let seed = self.options.seed ^ u64::from(records);
                let since_epoch = self.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                // Before the traffic, whose clock it must not run ahead of.
                let at = Timestamp(i64::try_from(since_epoch.as_millis()).unwrap());
                // Kafka may be away.
                let writing = move || poison(&client, &topic, at, seed, records);
                self.poisoned.push(thread::spawn(writing));
            }
            Fault::DecisionLog => self.slots.iter().for_each(|slot| slot.kafka.withhold(true)),
        }
    }

    fn end(&mut self, event: Event) {
        if let Some(from) = self.begun.remove(&event.fault.resource()) {
            self.enter(event.fault, from);
        }
        match event.fault {
            Fault::Kill(slot) | Fault::Leave(slot) => self.start_member(slot),
            Fault::Visit(slot) => self.slots[slot].leave(),
            Fault::VisitAndDie(slot) => self.slots[slot].kill(),
            Fault::Freeze(slot) => self.slots[slot].signal("CONT"),
            Fault::KafkaDies => self.broker.resume(),
            Fault::Link(side, slot, _) => self.slots[slot].side(side).set(Mode::Pass),
            Fault::Backend(_) => self.backend.answer(Answer::Accept),
            Fault::DecisionLog => self.slots.iter().for_each(|slot| slot.kafka.withhold(false)),
            Fault::Cut(..) | Fault::Reload(_) | Fault::Poison(_) => return,
        }
        self.say(&format!("    over: {}", event.fault));
    }

    /// Notes what was so from `from` on and is over now: a plan may be late.
    fn enter(&mut self, fault: Fault, from: Duration) {
        let to = self.started.elapsed();
        match fault {
            Fault::Freeze(slot) => {
                self.frozen.push((slot, from, to));
                self.disturbances.push(Disturbance { slot, from, to });
            }
            Fault::Cut(Side::Backend, slot) | Fault::Link(Side::Backend, slot, _) => {
                self.disturbances.push(Disturbance { slot, from, to });
            }
            // A new JVM takes its time; nobody knows it before.
            Fault::KafkaDies => self.away.push(from..to + Duration::from_secs(20)),
            Fault::DecisionLog => self.outages.push(from..to),
            _ => {}
        }
    }

    /// Whether those that were stopped had lost their partitions when they went on, as they say
    /// themselves: all of them, unless Kafka was away or they were killed soon after. Until they
    /// had some again, they may not have brought anything to the backend.
    fn check_zombies(&mut self) {
        let (mut told, mut judged, mut brought) = (0, 0, 0);
        // A Kafka that is away, or has only just come back, puts nobody out.
        let away = &self.away;
        self.frozen.retain(|(_, from, to)| !away.iter().any(|it| it.end > *from && it.start < *to));
        for &(slot, from, to) in &self.frozen {
            let log = std::fs::read_to_string(self.log_of(&self.slots[slot]));
            let said = Assignments::read(&log.unwrap_or_default(), self.started_at);
            let revoked = said.revoked.into_iter().map(|at| at + CLOCKS);
            let Some(knew) = revoked.filter(|at| (to..to + SOON).contains(at)).min() else {
                continue;
            };
            // It had none when it was stopped: what was revoked is what it was given since.
            if said.assigned.iter().any(|at| *at + CLOCKS > to && *at + CLOCKS < knew) {
                continue;
            }
            told += 1;
            let assigned = said.assigned.into_iter().filter(|at| *at + CLOCKS > knew);
            let again = assigned.min().unwrap_or(knew).saturating_sub(CLOCKS);
            let is_new = |(of, at): &(usize, Duration)| *of == slot && (to..again).contains(at);
            // What was sent before the stop may be under way for long.
            let is_slow = |it: &Disturbance| {
                it.slot == slot && it.to > from && it.from < again && it.from != from
            };
            if self.starts.iter().any(is_new) || self.disturbances.iter().any(is_slow) {
                continue;
            }
            judged += 1;
            // One without spans asks whether the backend is there.
            let is_its =
                |it: &&Delivery| it.slot == slot && it.spans > 0 && (to..again).contains(&it.at);
            brought += self.backend.read(|book| book.deliveries.iter().filter(is_its).count());
        }
        let all = self.frozen.len();
        self.say(&format!(
            "{told} of {all} that were stopped while Kafka was there had lost their partitions; of \
             {judged} of these it is known what they brought when they went on: {brought} requests"
        ));
        if all > 1 && told == 0 {
            self.complain("nobody who was stopped had lost anything".to_owned());
        }
        if brought > 0 {
            self.complain(format!("{brought} requests of members that had lost their partitions"));
        }
    }

    /// Whether the decision log took nothing when it should not, and was to take something.
    fn check_outages(&mut self, records: &[OwnedMessage]) {
        let of_run = |at: Duration| self.started_at + at;
        // A Kafka that is starting has requests of before in its sockets.
        let starts_in = |outage: &&Range<Duration>| {
            self.away.iter().any(|it| it.end > outage.start && it.start < outage.end)
        };
        let judged = self.outages.iter().filter(|outage| !starts_in(outage));
        let taken = judged.map(|outage| {
            written_between(records, of_run(outage.start + ON_ITS_WAY), of_run(outage.end))
        });
        let (outages, taken) = (self.outages.len(), taken.sum::<usize>());
        let held_back: u64 = self.slots.iter().map(|slot| slot.kafka.held_back()).sum();
        self.say(&format!(
            "{outages} outages of the decision log: {held_back} writes held back, {taken} taken"
        ));
        if taken > 0 || (outages > 0 && held_back == 0) {
            self.complain("the decision log was not away in its outages".to_owned());
        }
    }

    fn log_of(&self, slot: &Slot) -> PathBuf {
        self.scratch.join(&format!("{}.log", slot.name()))
    }

    /// All times without the answers of the backend.
    fn disturbances(&self) -> Vec<Disturbance> {
        let mut all = self.disturbances.clone();
        let closings = self.backend.read(|book| book.closings.clone());
        let closing = |(at, slot)| Disturbance { slot, from: at, to: at };
        all.extend(closings.into_iter().map(closing));
        all
    }

    /// Ends whatever is still wrong, and what was only visiting.
    fn mend(&mut self) {
        self.backend.answer(Answer::Accept);
        for slot in &mut self.slots {
            slot.kafka.set(Mode::Pass);
            slot.backend.set(Mode::Pass);
        }
        self.say("all is mended");
        eventually("members to leave", PATIENCE, || {
            self.look_after_members();
            self.to_start.is_empty().then_some(())
        });
    }

    /// Waits until everything on the topic is decided, delivered and committed.
    fn settle(&mut self) {
        let ends: BTreeMap<i32, i64> = self.topic.end_offsets();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look_after_members();
            let committed = self.kafka.committed(self.topic.name(), &self.topic);
            let behind = ends.iter().filter_map(|(partition, end)| {
                let committed = committed.get(partition).copied().flatten().unwrap_or(0);
                (committed != *end).then(|| format!("{partition}: {committed} of {end}"))
            });
            let behind: Vec<String> = behind.collect();
            if behind.is_empty() {
                self.say("all is committed");
                return;
            }
            if Instant::now() > deadline {
                self.complain(format!("not committed to the end: {}", behind.join(", ")));
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// The accounts and the metrics of those that are left.
    fn check_members(&mut self) {
        let mut refused: BTreeMap<String, f64> = BTreeMap::new();
        for number in 0..SLOTS {
            let complaint = self.slots[number].wait_left();
            self.complaints.extend(complaint);
            let Some(member) = self.slots[number].member() else { continue };
            // The last fault may have been its end, and it has only just been started again.
            member.wait_ready();
            let scrape = member.scrape();
            for (series, count) in scrape.starting("tailsieve_restore_failures_total") {
                *refused.entry(series.to_owned()).or_default() += count;
            }
            let checks =
                [check_accounts(&scrape), check_table(&scrape), promtool_check_metrics(&scrape)];
            for problem in checks.into_iter().filter_map(Result::err) {
                self.complaints.push(format!("member {number}: {problem}"));
            }
        }
        if self.options.asks {
            refused.retain(|_, count| *count > 0.0);
            self.say(&format!("requests that the members which are left refused: {refused:?}"));
        }
    }

    /// What the first member held, as it was seen again and again.
    pub fn vitals(&self) -> &[Vitals] {
        &self.vitals
    }

    fn look_at_vitals(&mut self) {
        let now = self.started.elapsed();
        if self.vitals.last().is_some_and(|last| now < last.at + soak::GLANCE) {
            return;
        }
        let member = self.slots[0].member();
        self.vitals.extend(member.and_then(|member| Vitals::of(member.process.id(), now)));
    }

    fn look_after_members(&mut self) {
        self.look_at_vitals();
        for number in 0..SLOTS {
            if let Some(complaint) = self.slots[number].find_dead() {
                self.complain(complaint);
                self.start_member(number);
            }
        }
        for number in self.to_start.clone() {
            self.start_member(number);
        }
    }

    /// Starts a member, once the one before it has left. Until then the plan goes on: what holds the
    /// leaving one up would never be over if the plan waited for it.
    fn start_member(&mut self, number: usize) {
        if self.slots[number].is_leaving() {
            self.to_start.insert(number);
            return;
        }
        self.to_start.remove(&number);
        let config = self.config(number);
        self.starts.push((number, self.started.elapsed()));
        let complaint = self.slots[number].start(self.scratch.path(), &config);
        complaint.into_iter().for_each(|complaint| self.complain(complaint));
    }

    /// The static file of the member of a slot.
    fn config(&self, number: usize) -> String {
        self.config_by(number, &self.slots[number].kafka.address().to_string())
    }

    /// The same, with another way to Kafka.
    fn config_by(&self, number: usize, brokers: &str) -> String {
        let slot = &self.slots[number];
        let topic = self.topic.name();
        let file = MemberFile {
            brokers,
            topic,
            group: topic,
            protocol: self.protocol,
            backend: slot.backend.address(),
            http: speaks_http(number),
            idle_grace: self.options.idle_grace,
            decision_log: DECISION_LOG,
            dead_letters: DEAD_LETTERS,
        };
        file.to_string()
    }

    fn complain(&mut self, complaint: String) {
        self.say(&format!("COMPLAINT: {complaint}"));
        self.complaints.push(complaint);
    }

    fn say(&self, what: &str) {
        println!("{:>7.1} s  {what}", self.started.elapsed().as_secs_f64());
    }
}
