//! The two members, and the crash of one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::stage::{DECISIONS, GROUP, Stage, TOPIC};
use crate::cmd::process::CommandError;
use crate::cmd::status;
use crate::config::{PolicyFile, Surroundings};
use crate::export::ExportSettings;
use crate::kafka::decision_log::DecisionLogSettings;
use crate::kafka::source::{KeptHeaders, SourceSettings, StartFrom};
use crate::member::app::{Member, MemberSettings, Readiness, StartError};
use crate::member::observer::Observer;
use crate::member::reload;
use crate::member::trials::{Observers, PolicyTrials};
use crate::member::worker::{Annotations, PolicyWatch};
use crate::sync::lock;
use crate::telemetry::accounts::Accounts;
use crate::telemetry::admin::status::StatusSource;
use crate::telemetry::admin::{AdminError, AdminServer, AdminSettings, Changes, Check, Pages};
use crate::telemetry::latest::LatestTrace;
use crate::telemetry::memory::Memory;

const MEMORY_LIMIT: u64 = 1 << 30;
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Members {
    members: Vec<Member>,
    looks: Arc<Mutex<Vec<Look>>>,
    settings: MemberSettings,
    policies: Arc<PolicyWatch>,
    accounts: Arc<Accounts>,
    memory: Arc<Memory>,
    runtime: Handle,
    started: usize,
    stop_pages: CancellationToken,
}

/// What is known from outside of a member.
struct Look {
    readiness: Readiness,
    observer: Observer,
}

impl Members {
    pub(super) fn start(
        stage: &Stage,
        file: &PolicyFile,
        runtime: Handle,
    ) -> Result<Self, CommandError> {
        let policies = Arc::new(PolicyWatch::new(reload::active_policies(file)?));
        let mut members = Self {
            members: Vec::new(),
            looks: Arc::default(),
            settings: settings(stage, file),
            accounts: Arc::new(Accounts::new()),
            memory: Arc::new(Memory::new(MEMORY_LIMIT)),
            policies,
            runtime,
            started: 0,
            stop_pages: CancellationToken::new(),
        };
        members.start_one()?;
        members.start_one()?;
        Ok(members)
    }

    fn start_one(&mut self) -> Result<(), StartError> {
        self.started += 1;
        let member = Member::start(
            &format!("member-{}", self.started),
            self.settings.clone(),
            Arc::clone(&self.policies),
            Arc::clone(&self.accounts),
            Arc::clone(&self.memory),
            &self.runtime,
        )?;
        let look = Look { readiness: member.readiness(), observer: member.observer() };
        lock(&self.looks).push(look);
        self.members.push(member);
        Ok(())
    }

    pub(super) fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.accounts)
    }

    pub(super) fn are_ready(&self) -> bool {
        checks(&self.looks).iter().all(|check| check.state.is_ok())
    }

    /// Traces that were dropped not long ago.
    pub(super) fn dropped(&self) -> Vec<LatestTrace> {
        lock(&self.looks).iter().flat_map(|look| look.observer.latest().traces(false)).collect()
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.started > 2
    }

    /// One member loses all it holds, commits nothing and is gone; a new one comes.
    pub(super) fn crash_one(&mut self) -> Result<(), StartError> {
        if let Some(member) = self.members.pop() {
            member.crash();
            lock(&self.looks).pop();
        }
        self.start_one()
    }

    /// Serves the admin pages on `listen`, or on a free port if that is taken.
    pub(super) async fn serve_pages(
        &self,
        listen: SocketAddr,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Result<SocketAddr, AdminError> {
        let settings = |listen| AdminSettings { listen, changes: Changes::Open, trace_url: None };
        let server = match AdminServer::bind(settings(listen)).await {
            Ok(server) => server,
            Err(_taken) => AdminServer::bind(settings(SocketAddr::new(listen.ip(), 0))).await?,
        };
        let address = server.address();
        let (members, looks) = (Arc::clone(&self.looks), Arc::clone(&self.looks));
        let readiness = Arc::new(move || checks(&members));
        let active = Arc::clone(&self.policies);
        let observers: Observers =
            Arc::new(move || lock(&looks).iter().map(|look| look.observer.clone()).collect());
        let (tried, surroundings) = (Arc::clone(&self.policies), Surroundings::default());
        let trials = PolicyTrials::new(Arc::clone(&observers), tried, surroundings);
        let status = status::Members {
            observers,
            policies: Arc::new(move || status::fixed(&active.get())),
            configuration: Vec::new(),
            trials: Arc::new(trials),
        };
        let notes = Arc::new(Vec::new);
        let status: Option<Arc<dyn StatusSource>> = Some(Arc::new(status));
        let pages = Pages { metrics, readiness, notes, policies: None, status };
        tokio::spawn(server.serve(pages, self.stop_pages.clone()));
        Ok(address)
    }

    pub(super) fn stop(&mut self) {
        for member in self.members.drain(..) {
            member.stop(&self.runtime, STOP_TIMEOUT);
        }
        self.stop_pages.cancel();
    }
}

fn checks(looks: &Mutex<Vec<Look>>) -> Vec<Check> {
    let looks = lock(looks);
    let members = looks.iter().map(|look| &look.readiness);
    let all = |check: fn(&Readiness) -> Result<(), String>| members.clone().try_for_each(check);
    vec![
        Check { name: "kafka", state: all(Readiness::kafka) },
        Check { name: "decision_log", state: all(Readiness::decision_log) },
        Check { name: "backend", state: all(Readiness::backend) },
    ]
}

fn settings(stage: &Stage, file: &PolicyFile) -> MemberSettings {
    MemberSettings {
        source: SourceSettings {
            brokers: stage.brokers(),
            topic: TOPIC.to_owned(),
            group_id: GROUP.to_owned(),
            group_instance_id: None,
            // The embedded broker takes seconds for a rebalance of the classic protocol.
            consumer_protocol: true,
            start_from: StartFrom::Earliest,
            commit_interval: Duration::from_millis(500),
            lease_timeout: Duration::from_secs(30),
            revoke_timeout: Duration::from_secs(2),
            future_tolerance: Duration::from_secs(5),
            headers: KeptHeaders::None,
            properties: Vec::new(),
        },
        consumers: 1,
        workers: 1,
        queue_bytes: 64 << 20,
        idle_grace: Duration::from_secs(1),
        decision_log: Some(DecisionLogSettings {
            topic: DECISIONS.to_owned(),
            brokers: stage.brokers(),
            group_id: GROUP.to_owned(),
            client_id: "tailsieve".to_owned(),
            properties: Vec::new(),
            index: None,
        }),
        decision_cache_entries: file.decision_cache_entries,
        annotations: Annotations { policy: true, tracestate: true, sample_rate: true },
        exports: vec![ExportSettings { endpoint: stage.backend(), ..ExportSettings::default() }],
        dead_letter: None,
    }
}
