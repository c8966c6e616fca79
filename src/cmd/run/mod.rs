//! `tailsieve run`: a member of the consumer group as a process of its own.
//!
//! Owns what is shown of the member: what it logs of its start, when it is ready, the admin pages.

mod starting;
mod topics;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, info_span, warn};

use super::own_telemetry::OwnTelemetry;
use super::process::{Admin, CommandError, EXIT_STUCK, LogOptions, Process};
use super::status;
use crate::config::{self, PolicyFile, Settings, Surroundings};
use crate::member::app::{Member, MemberSettings, Readiness};
use crate::member::reload::{self, Answer, ReloadSettings, Reloader};
use crate::member::trials::{Observers, PolicyTrials};
use crate::member::watchdog;
use crate::member::worker::{Annotations, PolicyWatch};
use crate::retrieval::server::RetrievalServer;
use crate::telemetry::accounts::Accounts;
use crate::telemetry::admin::{Check, Pages, PolicyPages};
use crate::telemetry::memory::Memory;
use crate::telemetry::service_manager::ServiceManager;

use starting::Starting;
use topics::Checked;

/// How often it is looked at whether the member is ready, for the log.
const READINESS_INTERVAL: Duration = Duration::from_millis(500);

/// Run a member of the consumer group.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The static file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Create the topics that are missing: those of the decision log and of dead letters
    #[arg(long)]
    pub create_topics: bool,
}

/// Runs until SIGTERM or SIGINT, then hands everything over.
///
/// # Errors
/// When it cannot be started; Kafka or a backend out of reach is not an error.
pub fn run(args: &RunArgs, logs: &LogOptions) -> Result<ExitCode, CommandError> {
    let (settings, policies) = config::load_both(&args.config)?;
    let lines = (settings.telemetry.log_format, settings.telemetry.log.as_deref());
    let instance = settings.source.group_instance_id.as_deref();
    let own = OwnTelemetry::start(logs, lines, instance)?;
    let starting = Starting::begin();
    let result = run_member(args, (&settings, &policies), &own, &starting);
    result.inspect_err(|error| starting.fail(error))
}

/// Runs a member; `starting` ends when it is ready.
fn run_member(
    args: &RunArgs,
    (settings, policies): (&Settings, &PolicyFile),
    own: &OwnTelemetry,
    starting: &Starting,
) -> Result<ExitCode, CommandError> {
    let mut process = Process::start()?.with_otel(own.otel());
    let entered = starting.span().entered();
    // Before anything that waits for Kafka: who looks a trace up is answered that it is not here, and not refused.
    let admin = process.admin(&settings.admin)?;
    serve_traces(&process, settings)?;
    info!(brokers = settings.source.brokers, "topics.checking");
    let (own, create) = (settings.clone(), args.create_topics);
    match process.unless_stopped(move || topics::check(&own, create)) {
        Ok(checked) => match checked? {
            Checked::Well => {}
            Checked::Unknown => topics::check_when_reachable(settings.clone(), create)?,
        },
        Err(signal) => {
            info!(signal, "member.stopped: before it started");
            return Ok(ExitCode::SUCCESS);
        }
    }
    drop(entered);
    serve(args, (settings, policies), (process, admin), starting)?;
    Ok(ExitCode::SUCCESS)
}

/// Answers who looks traces up, if that is asked for, until the process ends.
fn serve_traces(process: &Process, settings: &Settings) -> Result<(), CommandError> {
    let Some(retrieval) = settings.retrieval.clone() else { return Ok(()) };
    let server = process.runtime().block_on(RetrievalServer::bind(retrieval))?;
    process.runtime().spawn(server.serve(process.ended()));
    Ok(())
}

fn serve(
    args: &RunArgs,
    (settings, file): (&Settings, &PolicyFile),
    (process, admin): (Process, Admin),
    starting: &Starting,
) -> Result<(), CommandError> {
    let entered = starting.span().entered();
    let policies = Arc::new(PolicyWatch::new(reload::active_policies(file)?));
    let accounts = Arc::new(Accounts::new());
    let memory = Arc::new(Memory::new(settings.max_bytes));
    log_start(settings, file);
    let member = Member::start(
        "tailsieve",
        member_settings(settings, file),
        Arc::clone(&policies),
        Arc::clone(&accounts),
        memory,
        process.runtime(),
    )?;
    let manager = ServiceManager::from_env();
    let end = || std::process::exit(EXIT_STUCK.into());
    watchdog::watch(member.liveness(), manager.clone(), end)?;
    let readiness = member.readiness();
    let checks = checks(readiness.clone());
    let surroundings = Surroundings {
        processor: settings.policies_processor.clone(),
        exporters: Some(settings.exporters()),
        decision_log: Some(settings.decision_log.is_some()),
    };
    let observer = member.observer();
    let observers: Observers = Arc::new(move || vec![observer.clone()]);
    let (looks, tried) = (Arc::clone(&observers), Arc::clone(&policies));
    let trials = PolicyTrials::new(looks, tried, surroundings.clone());
    let reload_settings = ReloadSettings {
        path: settings.policies.clone(),
        surroundings,
        poll_interval: settings.policies_poll_interval,
        service_manager: manager.clone(),
    };
    let reloader = {
        let _context = process.runtime().enter();
        Reloader::start(reload_settings, file, policies, process.ended())?
    };
    let (render, reloads) = (admin.recorder.clone(), reloader.clone());
    let in_force = reloader.clone();
    let status = status::Members {
        observers,
        policies: Arc::new(move || status::reloaded(&in_force.status())),
        configuration: status::configuration(&args.config),
        trials: Arc::new(trials),
    };
    let pages = Pages {
        metrics: Arc::new(move || accounts.read(|| render.render()) + &reloads.status().metrics()),
        readiness: Arc::clone(&checks),
        notes: Arc::new(move || readiness.routing()),
        policies: Some(policy_pages(reloader)),
        status: Some(Arc::new(status)),
    };
    let pages = process.serve(admin, pages);
    let (runtime, timeout) = (process.runtime().clone(), settings.shutdown_timeout);
    let watch = runtime.spawn(tell_readiness(checks, manager.clone(), starting.clone()));
    drop(entered);
    process.stop_when_told(pages, timeout, |signal| {
        let _stopping = info_span!("member.stop", signal).entered();
        watch.abort();
        manager.stopping();
        info!(signal, "member.stopping");
        member.stop(&runtime, timeout);
    });
    Ok(())
}

fn log_start(settings: &Settings, file: &PolicyFile) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        brokers = settings.source.brokers,
        topic = settings.source.topic,
        group_id = settings.source.group_id,
        backend = settings.exports[0].target(),
        admin = %settings.admin.listen,
        policies = file.policies.len(),
        policy_hash = file.hash,
        "member.starting"
    );
    settings.notes.iter().for_each(|note| info!(note, "config.note"));
    settings.warnings.iter().for_each(|warning| warn!(warning, "config.warning"));
    file.notes.iter().for_each(|note| info!(note, "policies.note"));
    file.warnings.iter().for_each(|warning| warn!(warning, "policies.warning"));
}

fn policy_pages(reloader: Reloader) -> PolicyPages {
    let (text, json) = (reloader.clone(), reloader.clone());
    PolicyPages {
        text: Arc::new(move || text.status().text()),
        json: Arc::new(move || json.status().json()),
        reload: Arc::new(move || {
            let reloader = reloader.clone();
            Box::pin(async move {
                match reloader.reload().await {
                    Some(Answer::Reloaded(changed)) => Ok(format!("reloaded\n{changed}\n")),
                    Some(Answer::Unchanged) => Ok("unchanged\n".to_owned()),
                    Some(Answer::Refused(errors)) => Err(errors),
                    None => Err("the process is about to end".to_owned()),
                }
            })
        }),
    }
}

/// What a member has to know, out of the two files.
fn member_settings(settings: &Settings, file: &PolicyFile) -> MemberSettings {
    MemberSettings {
        source: settings.source.clone(),
        consumers: settings.consumers,
        workers: settings.workers,
        queue_bytes: settings.queue_bytes,
        idle_grace: settings.idle_grace,
        decision_log: settings.decision_log.clone(),
        decision_cache_entries: file.decision_cache_entries,
        annotations: Annotations {
            policy: settings.annotate.policy,
            tracestate: settings.annotate.tracestate,
            sample_rate: settings.annotate.sample_rate,
        },
        exports: settings.exports.clone(),
        dead_letter: settings.dead_letter.clone(),
    }
}

type Checks = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;

fn checks(readiness: Readiness) -> Checks {
    Arc::new(move || {
        vec![
            Check { name: "kafka", state: readiness.kafka() },
            Check { name: "decision_log", state: readiness.decision_log() },
            Check { name: "backend", state: readiness.backend() },
        ]
    })
}

/// Says in the log, and to the service manager, when the member becomes ready, and what is missing when
/// it is not any more.
///
/// `starting` ends when it becomes ready first.
async fn tell_readiness(checks: Checks, manager: ServiceManager, starting: Starting) {
    let mut told = None;
    loop {
        let now = checks();
        let missing: Vec<_> = now.into_iter().filter_map(|check| check.state.err()).collect();
        if told.as_ref() != Some(&missing) {
            match missing.as_slice() {
                [] => {
                    starting.span().in_scope(|| info!("member.ready"));
                    starting.end();
                    manager.ready();
                }
                missing => {
                    let missing = missing.join("; ");
                    warn!(missing, "member.not_ready");
                    manager.not_ready(&missing);
                }
            }
            told = Some(missing);
        }
        tokio::time::sleep(READINESS_INTERVAL).await;
    }
}
