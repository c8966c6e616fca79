//! Honeycomb Refinery's rules (`RulesVersion: 2`) as policies.
//!
//! A rule of Refinery decides the traces that it matches, and no rule after it is asked: that is a
//! policy of type `rule`. Owns what becomes of samplers and rules, and the file that is printed; what a
//! condition means is in [`mod@condition`], what a field is in [`field`]. Every policy is read back before it
//! is printed, so that the file can be used.

mod condition;
mod field;
mod literal;
mod policy;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use crate::cmd::process::{self, CommandError};
use crate::config;

use condition::{Condition, condition};
use literal::text;
use policy::{Sample, What, policy, readable};

/// The environment whose sampler is used where no other is named.
const DEFAULT: &str = "__default__";

/// Make a policy file out of Refinery's rules.
///
/// Prints the policy file. Rules without a counterpart are left out; they are named, with the
/// reason, in comments of the file and on standard error.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit codes:\n  0  everything has a counterpart\n  1  something was left out \
                        or means something else\n  2  the file or the command line is wrong"
)]
pub(super) struct RefineryArgs {
    /// Refinery's rules.yaml
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only the sampler of this environment; needed if the file has several
    #[arg(long, value_name = "NAME", conflicts_with = "environment_attribute")]
    environment: Option<String>,
    /// The resource attribute that says of which environment a span is, for all of them in one
    /// file, such as deployment.environment.name
    #[arg(long, value_name = "KEY")]
    environment_attribute: Option<String>,
    /// How many instances of Refinery share the traffic: limits there are for each of them
    #[arg(long, value_name = "NUMBER", default_value = "1",
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    instances: u64,
}

/// Prints the policy file.
///
/// # Errors
/// When the file cannot be read, or holds no rules.
pub(super) fn run(args: &RefineryArgs) -> Result<ExitCode, CommandError> {
    let name = args.file.display().to_string();
    let text = config::read_file(&args.file)
        .map_err(|error| CommandError::usage(format_args!("{name} cannot be read: {error}")))?;
    let conversion = convert(&text, args)
        .map_err(|error| CommandError::usage(format_args!("{name}: {error}")))?;
    process::print(&conversion.file())?;
    for note in conversion.notes() {
        eprintln!("warning: {note}");
    }
    Ok(if conversion.notes().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of the file.
#[derive(Debug, Default)]
struct Conversion {
    entries: Vec<Entry>,
    names: BTreeSet<String>,
}

/// What became of a rule or a sampler.
#[derive(Debug)]
struct Entry {
    /// Where it comes from.
    origin: String,
    /// A policy of a list, unless it was left out.
    policy: Option<String>,
    /// What was lost.
    notes: Vec<String>,
}

/// The samplers of the file that are asked for, those with a name of their own first.
fn convert(text: &str, args: &RefineryArgs) -> Result<Conversion, String> {
    let root: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if root["RulesVersion"].as_u64() != Some(2) {
        return Err(
            "it has no `RulesVersion: 2`: bring it to that by Refinery's own `convert`".into()
        );
    }
    let samplers = root["Samplers"].as_object().ok_or("it has no section `Samplers`")?;
    let names: Vec<&str> = samplers.keys().map(String::as_str).collect();
    let mut conversion = Conversion::default();
    if let Some(key) = &args.environment_attribute {
        let named = names.iter().filter(|name| **name != DEFAULT);
        for name in named.chain(names.iter().filter(|name| **name == DEFAULT)) {
            let guard = (*name != DEFAULT).then(|| {
                format!("resource.attributes[{}] == {}", self::text(key), self::text(name))
            });
            conversion.sampler(&Context { name, guard, args }, &samplers[*name]);
        }
        return Ok(conversion);
    }
    let list = names.join(", ");
    let name = match (&args.environment, names.as_slice()) {
        (Some(name), _) => name.as_str(),
        (None, [name]) => name,
        _ => {
            return Err(format!(
                "it has samplers of several environments ({list}): choose one with --environment, or \
                 say with --environment-attribute which attribute tells them apart"
            ));
        }
    };
    let sampler = samplers
        .get(name)
        .ok_or_else(|| format!("it has no sampler of the environment {name}; it has {list}"))?;
    conversion.sampler(&Context { name, guard: None, args }, sampler);
    Ok(conversion)
}

/// What surrounds a rule.
struct Context<'a> {
    /// The environment.
    name: &'a str,
    /// What is true of its spans, if there are others.
    guard: Option<String>,
    args: &'a RefineryArgs,
}

impl Context<'_> {
    /// The name of a policy, which tells the environment if there are several.
    fn policy(&self, name: &str) -> String {
        match &self.guard {
            Some(_) => format!("{}/{name}", self.name),
            None => name.to_owned(),
        }
    }
}

impl Conversion {
    fn sampler(&mut self, context: &Context<'_>, sampler: &Value) {
        let rules = &sampler["RulesBasedSampler"];
        if rules.is_object() {
            self.rules(context, rules);
            return;
        }
        let origin = format!("the sampler of {}", context.name);
        match sample_by(sampler, context.args.instances) {
            Ok((sample, note)) => {
                let when = context.guard.clone().unwrap_or_else(|| "true".to_owned());
                let name = context.policy("all");
                let what = What { name: &name, when: &when, scope: None, notes: note };
                self.add(&origin, &what, &sample);
            }
            Err(reason) => self.leave_out(origin, reason),
        }
    }

    fn rules(&mut self, context: &Context<'_>, sampler: &Value) {
        let none = Vec::new();
        let rules = sampler["Rules"].as_array().unwrap_or(&none);
        let mut is_complete = false;
        for (number, rule) in rules.iter().enumerate() {
            let name = rule["Name"].as_str().filter(|name| !name.trim().is_empty());
            let name = name.map_or_else(|| format!("rule {}", number + 1), str::to_owned);
            let origin = format!("rule {name:?} of {}", context.name);
            if is_complete {
                self.leave_out(origin, "the rule before it matches everything".to_owned());
                continue;
            }
            is_complete = conditions(rule).is_empty();
            if let Err(reason) = self.rule(context, &origin, &name, rule) {
                is_complete = false;
                self.leave_out(origin, reason);
            }
        }
        if sampler["CheckNestedFields"] == Value::Bool(true) {
            let origin = format!("CheckNestedFields of {}", context.name);
            self.leave_out(origin, "fields within JSON texts are not looked for".to_owned());
        }
        if !is_complete {
            // What no rule matches is kept.
            let when = context.guard.clone().unwrap_or_else(|| "true".to_owned());
            let name = context.policy("no rule matches");
            let what = What { name: &name, when: &when, scope: None, notes: None };
            self.add("what no rule matches is kept", &what, &Sample::Keep);
        }
    }

    fn rule(
        &mut self,
        context: &Context<'_>,
        origin: &str,
        name: &str,
        rule: &Value,
    ) -> Result<(), String> {
        let all = conditions(rule);
        let (sample, notes) = sample(rule, context.args.instances)?;
        let (when, scope) = when(all, rule["Scope"].as_str(), context.guard.as_deref())?;
        let name = context.policy(name);
        let what = What { name: &name, when: &when, scope, notes };
        if matches!(sample, Sample::Limit(_)) && !(all.is_empty() && context.guard.is_none()) {
            return Err(
                "a limit of spans a second for some traces only; write it as an `and` of an \
                        ottl_condition and rate_limiting"
                    .to_owned(),
            );
        }
        let policy = policy(&self.unique(what.name), &what, &sample);
        // Beyond what Refinery's file can say, only an expression can be wrong.
        readable(&policy)?;
        self.add(origin, &what, &sample);
        Ok(())
    }

    /// Adds a policy.
    fn add(&mut self, origin: &str, what: &What<'_>, sample: &Sample) {
        let name = self.unique(what.name);
        self.names.insert(name.clone());
        self.entries.push(Entry {
            origin: origin.to_owned(),
            policy: Some(policy(&name, what, sample)),
            notes: what.notes.iter().cloned().collect(),
        });
    }

    fn leave_out(&mut self, origin: String, reason: String) {
        let notes = vec![format!("left out: {reason}")];
        self.entries.push(Entry { origin, policy: None, notes });
    }

    /// The name, with a number if there is one like it.
    fn unique(&self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !self.names.contains(name)).expect("numbers do not end")
    }

    /// What is not as it was.
    fn notes(&self) -> impl Iterator<Item = String> {
        let note = |entry: &Entry| {
            let origin = entry.origin.clone();
            entry.notes.clone().into_iter().map(move |note| format!("{origin}: {note}"))
        };
        self.entries.iter().flat_map(note)
    }

    /// The policy file.
    fn file(&self) -> String {
        let mut file = "# Made by `tailsieve convert refinery`. docs/migrating-from-refinery.md says what to \
                        look at.\n#\n# decision_wait is TraceTimeout of Refinery's config.yaml, and \
                        decision_wait_after_root_received is SendDelay.\ndecision_wait: 60s\n\
                        decision_wait_after_root_received: 2s\npolicies:\n"
            .to_owned();
        for entry in &self.entries {
            for note in &entry.notes {
                // A name may have several lines.
                let note = note.replace(['\n', '\r'], " ");
                let _ = writeln!(file, "  # {}: {note}", entry.origin.replace(['\n', '\r'], " "));
            }
            if let Some(policy) = &entry.policy {
                file.push_str(policy);
            }
        }
        file
    }
}

fn conditions(rule: &Value) -> &[Value] {
    rule["Conditions"].as_array().map_or(&[], Vec::as_slice)
}

/// What a rule does with the traces that it matches; and what is not as it was.
fn sample(rule: &Value, instances: u64) -> Result<(Sample, Option<String>), String> {
    if rule["Sampler"].is_object() {
        return sample_by(&rule["Sampler"], instances);
    }
    if rule["Drop"] == Value::Bool(true) {
        return Ok((Sample::Drop, None));
    }
    match rule["SampleRate"].as_f64() {
        Some(rate) if rate >= 1.0 => Ok((one_of(rate), None)),
        // One of none.
        _ => {
            Ok((Sample::Drop, Some("it has no SampleRate, so that Refinery drops all".to_owned())))
        }
    }
}

fn one_of(rate: f64) -> Sample {
    if rate <= 1.0 { Sample::Keep } else { Sample::OneOf(rate) }
}

/// What a sampler other than one of rules does.
fn sample_by(sampler: &Value, instances: u64) -> Result<(Sample, Option<String>), String> {
    let (kind, options) = sampler
        .as_object()
        .and_then(|samplers| samplers.iter().next())
        .ok_or("it has no sampler")?;
    let number = |key: &str| {
        let number = options[key].as_f64().filter(|number| *number > 0.0);
        number.ok_or_else(|| format!("{kind} has no {key}"))
    };
    let same_share = "a rate for each key has no counterpart: all traces have the same chance, with the \
                      same share over all. Put rules for what is rare and interesting before it";
    match &**kind {
        "DeterministicSampler" => Ok((one_of(number("SampleRate")?), None)),
        "DynamicSampler" => Ok((one_of(number("SampleRate")?), Some(same_share.to_owned()))),
        "EMADynamicSampler" => Ok((one_of(number("GoalSampleRate")?), Some(same_share.to_owned()))),
        "EMAThroughputSampler" | "WindowedThroughputSampler" | "TotalThroughputSampler" => {
            let is_for_all = options["UseClusterSize"] == Value::Bool(true);
            let limit = number("GoalThroughputPerSec")?;
            let limit = limit * if is_for_all { 1.0 } else { instances as f64 };
            let note = "all traces share the limit, whatever their key; it is for the whole consumer group";
            Ok((Sample::Limit(limit), Some(note.to_owned())))
        }
        other => Err(format!("the sampler {other} has no counterpart")),
    }
}

/// The condition of a rule, and its scope if that is not the default.
fn when(
    all: &[Value],
    scope: Option<&str>,
    guard: Option<&str>,
) -> Result<(String, Option<&'static str>), String> {
    if let [only] = all
        && only["Operator"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("has-root-span"))
        && only["Value"] == Value::Bool(false)
        && guard.is_none()
    {
        return Ok(("IsRootSpan()".to_owned(), Some("no_span")));
    }
    let parts = all.iter().map(condition).collect::<Result<Vec<Condition>, _>>()?;
    let is_one_span = scope.is_some_and(|scope| scope.eq_ignore_ascii_case("span"));
    let needs_one_span = parts.iter().any(|part| part.is_of_one_span);
    if needs_one_span && !is_one_span && parts.len() > 1 {
        return Err(
            "a condition that a field is there and is not something, beside others that may be \
                    about other spans, has no counterpart; with `Scope: span` it has"
                .to_owned(),
        );
    }
    let guard = guard.map(str::to_owned);
    let parts: Vec<String> = guard.into_iter().chain(parts.into_iter().map(|it| it.ottl)).collect();
    let when = if parts.is_empty() { "true".to_owned() } else { parts.join(" and ") };
    Ok((when, (is_one_span || needs_one_span).then_some("same_span")))
}
