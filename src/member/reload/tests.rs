//! Files that are replaced in all the ways that files are replaced in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::DropGuard;

use super::*;
use crate::config;
use crate::telemetry::service_manager::ServiceManager;

const NEVER: Duration = Duration::from_secs(100_000);

/// How often the file is looked at where a change has to be noticed.
const OFTEN: Duration = Duration::from_millis(20);

/// Ends a test that waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// One policy of this name.
fn policies(name: &str) -> String {
    format!("policies: [{{name: {name}, type: always_sample}}]\n")
}

const BROKEN: &str = "decision_wait: soon\npolicies: [{name: a, type: guess}]\n";

struct Watched {
    folder: TempDir,
    policies: Arc<PolicyWatch>,
    reloader: Reloader,
    _stop: DropGuard,
}

impl Watched {
    /// Starts on the file `path` of a folder that `make` made.
    fn start(path: &str, poll_interval: Duration, make: impl FnOnce(&Path)) -> Self {
        Self::start_of(path, None, poll_interval, make)
    }

    /// The same, of a Collector configuration and a processor in it.
    fn start_of(
        path: &str,
        processor: Option<&str>,
        poll_interval: Duration,
        make: impl FnOnce(&Path),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let path = folder.path().join(path);
        let file = config::load_policies_of(&path, processor).unwrap();
        let policies = Arc::new(PolicyWatch::new(active_policies(&file).unwrap()));
        let stop = CancellationToken::new();
        let processor = processor.map(str::to_owned);
        let exporters = Some(vec!["tempo".to_owned()]);
        let surroundings = Surroundings { processor, exporters, ..Surroundings::default() };
        let service_manager = ServiceManager::default();
        let settings = ReloadSettings { path, surroundings, poll_interval, service_manager };
        let reloader =
            Reloader::start(settings, &file, Arc::clone(&policies), stop.clone()).unwrap();
        Self { folder, policies, reloader, _stop: stop.drop_guard() }
    }

    fn with_file(poll_interval: Duration) -> Self {
        Self::start("p.yaml", poll_interval, |folder| {
            fs::write(folder.join("p.yaml"), policies("first")).unwrap();
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until what stands satisfies `condition`.
    async fn until(
        &mut self,
        condition: impl FnMut(&Arc<ReloadStatus>) -> bool,
    ) -> Arc<ReloadStatus> {
        let status = self.reloader.status.wait_for(condition);
        let status = tokio::time::timeout(PATIENCE, status).await;
        Arc::clone(&*status.expect("a change is noticed").unwrap())
    }

    /// Waits until the policy `name`, and no other, is in force.
    async fn until_in_force(&mut self, name: &str) -> Arc<ReloadStatus> {
        let status =
            self.until(|status| status.policies[0].name == name && status.failure.is_none());
        let status = status.await;
        let active = self.policies.get();
        assert_eq!(active.policies.set.names().collect::<Vec<_>>(), [name]);
        assert_eq!(status.hash, active.hash);
        status
    }
}

/// Lets the task look at the file, and waits for that.
async fn look(watched: &Watched) -> Answer {
    watched.reloader.reload().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_did_not_change_changes_nothing() {
    let watched = Watched::with_file(NEVER);
    let before = watched.policies.get().hash.clone();
    assert_eq!(look(&watched).await, Answer::Unchanged);
    fs::write(watched.path("p.yaml"), policies("first")).unwrap();
    assert_eq!(look(&watched).await, Answer::Unchanged, "the same was written once more");
    assert_eq!(watched.policies.get().hash, before);
    fs::write(watched.path("p.yaml"), policies("second")).unwrap();
    assert_ne!(look(&watched).await, Answer::Unchanged);
    assert_ne!(watched.policies.get().hash, before);
    assert_eq!(look(&watched).await, Answer::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_is_noticed() {
    let mut watched = Watched::with_file(OFTEN);
    // In place.
    fs::write(watched.path("p.yaml"), policies("written")).unwrap();
    let status = watched.until_in_force("written").await;
    let changed = status.changed.as_ref().unwrap();
    assert_eq!(changed.trigger, Trigger::Poll);
    assert_eq!(
        (&changed.added, &changed.removed),
        (&vec!["written".into()], &vec!["first".into()])
    );
    // By a new one, as editors do.
    fs::write(watched.path(".p.yaml.swp"), policies("renamed")).unwrap();
    fs::rename(watched.path(".p.yaml.swp"), watched.path("p.yaml")).unwrap();
    watched.until_in_force("renamed").await;
    // Taken away, which is a fault as long as it lasts, and put back.
    fs::remove_file(watched.path("p.yaml")).unwrap();
    let gone = watched.until(|status| status.failure.is_some()).await;
    assert!(gone.failure.as_ref().unwrap().errors.contains("p.yaml: cannot be read"));
    assert_eq!(gone.policies[0].name, "renamed", "what was in force stays");
    fs::write(watched.path("p.yaml"), policies("renamed")).unwrap();
    watched.until_in_force("renamed").await;
    fs::remove_file(watched.path("p.yaml")).unwrap();
    watched.until(|status| status.failure.is_some()).await;
    fs::write(watched.path("p.yaml"), policies("back")).unwrap();
    watched.until_in_force("back").await;
}

/// A ConfigMap as the kubelet mounts it: `p.yaml -> ..data/p.yaml`, `..data -> ..1`.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_is_swapped_is_noticed() {
    let write = |folder: &Path, version: &str| {
        fs::create_dir(folder.join(version)).unwrap();
        let name = version.trim_start_matches('.');
        fs::write(folder.join(version).join("p.yaml"), policies(name)).unwrap();
    };
    let mut watched = Watched::start("p.yaml", OFTEN, |folder| {
        write(folder, "..v0");
        symlink("..v0", folder.join("..data")).unwrap();
        symlink("..data/p.yaml", folder.join("p.yaml")).unwrap();
    });
    for version in 1..4 {
        write(watched.folder.path(), &format!("..v{version}"));
        symlink(format!("..v{version}"), watched.path("..data_tmp")).unwrap();
        fs::rename(watched.path("..data_tmp"), watched.path("..data")).unwrap();
        fs::remove_dir_all(watched.path(&format!("..v{}", version - 1))).unwrap();
        watched.until_in_force(&format!("v{version}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_behind_a_link_is_noticed_when_it_is_written() {
    let mut watched = Watched::start("here/p.yaml", OFTEN, |folder| {
        fs::create_dir(folder.join("here")).unwrap();
        fs::create_dir(folder.join("there")).unwrap();
        fs::write(folder.join("there/p.yaml"), policies("first")).unwrap();
        symlink("../there/p.yaml", folder.join("here/p.yaml")).unwrap();
    });
    fs::write(watched.path("there/p.yaml"), policies("written")).unwrap();
    watched.until_in_force("written").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_middle_of_the_way_that_is_swapped_is_noticed() {
    let mut watched = Watched::start("here/p.yaml", OFTEN, |folder| {
        for version in ["v1", "v2"] {
            fs::create_dir_all(folder.join("there").join(version)).unwrap();
            fs::write(folder.join("there").join(version).join("p.yaml"), policies(version))
                .unwrap();
        }
        fs::create_dir(folder.join("here")).unwrap();
        symlink("v1", folder.join("there/current")).unwrap();
        symlink("../there/current/p.yaml", folder.join("here/p.yaml")).unwrap();
    });
    symlink("v2", watched.path("there/next")).unwrap();
    fs::rename(watched.path("there/next"), watched.path("there/current")).unwrap();
    let status = watched.until_in_force("v2").await;
    assert_eq!(status.changed.as_ref().unwrap().trigger, Trigger::Poll);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_told_with_all_its_errors() {
    let mut watched = Watched::with_file(OFTEN);
    let before = watched.policies.get();
    fs::write(watched.path("p.yaml"), BROKEN).unwrap();
    // A file that is found while it is written is a bad one, too.
    let is_whole = |status: &Arc<ReloadStatus>| {
        status.failure.as_ref().is_some_and(|failure| !failure.errors.contains("is missing"))
    };
    let status = watched.until(is_whole).await;
    let failure = status.failure.clone().unwrap();
    let has_both = |text: &str| text.contains("decision_wait: soon") && text.contains("guess");
    assert!(has_both(&failure.errors) && has_both(&status.text()), "{}", failure.errors);
    let json: serde_json::Value = serde_json::from_str(&status.json()).unwrap();
    assert!(has_both(json["failure"]["errors"].as_str().unwrap()));
    assert!(Arc::ptr_eq(&before, &watched.policies.get()));
    // Who asks is told again.
    let Answer::Refused(errors) = look(&watched).await else { panic!("the file is bad") };
    assert_eq!(errors, failure.errors);
    // The way back to what is in force is none.
    fs::write(watched.path("p.yaml"), policies("first")).unwrap();
    watched.until_in_force("first").await;
    assert!(Arc::ptr_eq(&before, &watched.policies.get()), "nothing was put in force again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processor_that_is_named_is_read_again() {
    let collector = |first: &str, shop: &str| {
        let (first, shop) = (policies(first), policies(shop));
        format!(
            "processors:\n  batch: {{}}\n  tail_sampling: {{ {} }}\n  tail_sampling/shop: {{ {} }}\n",
            first.trim(),
            shop.trim()
        )
    };
    let mut watched = Watched::start_of("c.yaml", Some("tail_sampling/shop"), OFTEN, |folder| {
        fs::write(folder.join("c.yaml"), collector("other", "shop")).unwrap();
    });
    watched.until_in_force("shop").await;
    // What another processor says changes no policy.
    fs::write(watched.path("c.yaml"), collector("changed", "shop")).unwrap();
    let status = watched.until(|status| status.changed.is_some()).await;
    let changed = status.changed.as_ref().unwrap();
    assert!(changed.added.is_empty() && changed.removed.is_empty() && changed.unchanged == 1);
    fs::write(watched.path("c.yaml"), collector("changed", "shopping")).unwrap();
    watched.until_in_force("shopping").await;
    // Without it there is nothing to fall back on.
    let without = format!("processors:\n  tail_sampling: {{ {} }}\n", policies("changed").trim());
    fs::write(watched.path("c.yaml"), without).unwrap();
    let status = watched.until(|status| status.failure.is_some()).await;
    assert!(status.failure.as_ref().unwrap().errors.contains("tail_sampling/shop"));
    assert_eq!(watched.policies.get().policies.set.names().collect::<Vec<_>>(), ["shopping"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_told_by_name() {
    let watched = Watched::start("p.yaml", NEVER, |folder| {
        let text = "decision_wait: 20s\npolicies:\n\
            - {name: same, type: always_sample}\n\
            - {name: other, type: latency, latency: {threshold_ms: 5}}\n\
            - {name: old, type: always_sample}\n";
        fs::write(folder.join("p.yaml"), text).unwrap();
    });
    let text = "decision_wait: 10s\ndecision_cache: {ttl: 1m, max_entries: 7}\npolicies:\n\
        - {name: new, type: trace_flags}\n\
        - {name: same, type: always_sample}\n\
        - {name: other, type: latency, latency: {threshold_ms: 6}}\n";
    fs::write(watched.path("p.yaml"), text).unwrap();
    look(&watched).await;
    let status = watched.reloader.status();
    let changed = status.changed.clone().unwrap();
    assert_eq!((changed.added, changed.removed), (vec!["new".into()], vec!["old".into()]));
    assert_eq!((changed.changed, changed.unchanged), (vec!["other".to_owned()], 1));
    let settings = [
        "decision_wait 20s -> 10s",
        "decision_cache.ttl 10m -> 1m",
        "decision_cache.max_entries 1000000 -> 7 (takes effect at the next start)",
    ];
    assert_eq!(changed.settings, settings);
    let text = status.text();
    assert!(text.contains("new     trace_flags    enforce\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&status.json()).unwrap();
    assert_eq!(json["policies"][2]["type"], "latency");
    assert_eq!(json["lastReload"]["added"], serde_json::json!(["new"]));
    assert!(status.metrics().contains(&format!("{{hash=\"{}\"}} 1\n", status.hash)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_policy_file_names_is_noticed_too() {
    let list = |name: &str| format!("[{{name: {name}, type: always_sample}}]\n");
    let mut watched = Watched::start("p.yaml", OFTEN, |folder| {
        fs::write(folder.join("p.yaml"), "policies: ${file:list.yaml}\n").unwrap();
        fs::write(folder.join("list.yaml"), list("first")).unwrap();
    });
    let first = watched.until_in_force("first").await;
    fs::write(watched.path("list.yaml"), list("second")).unwrap();
    let second = watched.until_in_force("second").await;
    assert_ne!(first.hash, second.hash);
    fs::write(watched.path("list.yaml"), "[{name: third, type: guess}]\n").unwrap();
    let failed = watched.until(|status| status.failure.is_some()).await;
    let errors = &failed.failure.as_ref().unwrap().errors;
    assert!(errors.contains("list.yaml:1:22: type: `guess` is no policy type"), "{errors}");
    fs::write(watched.path("list.yaml"), list("second")).unwrap();
    watched.until_in_force("second").await;
}
