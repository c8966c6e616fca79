//! Policies that are made of other policies.

use super::super::diagnostics::Place;
use super::super::document::Node;
use super::super::reader::{Section, nearest};
use super::super::values;
use super::Reader;
use super::list::{self, Level};
use crate::sampling::policy::spec::{CompositeChild, PolicyKind, PolicySpec};

const EXAMPLE: &str = "[{name: errors, type: status_code, ...}]";

/// Reads the block of a policy of this kind; its parts stand at `level`.
pub(super) fn kind<'d>(
    reader: &Reader<'d>,
    kind: &'static str,
    fields: &mut Section<'d>,
    level: Level,
) -> Option<PolicyKind> {
    match kind {
        "and" => parts(reader, fields, "and_sub_policy", level).map(PolicyKind::And),
        "drop" => parts(reader, fields, "drop_sub_policy", level).map(PolicyKind::Drop),
        "not" => {
            let example = "{name: errors, type: status_code, ...}";
            let negated = fields.required("not_sub_policy", example, Ok)?;
            let negated = list::policy(reader, negated, level)?;
            Some(PolicyKind::Not(Box::new(negated.spec)))
        }
        _ => composite(reader, fields, level.by_name()),
    }
}

/// The nodes of the parts, and the parts if all of them can be read.
fn sub_policies<'d>(
    reader: &Reader<'d>,
    fields: &mut Section<'d>,
    key: &'static str,
    level: Level,
) -> Option<(&'d [Node], Option<Vec<PolicySpec>>)> {
    let node = fields.required(key, EXAMPLE, Ok)?;
    let message = format!("{key}: there are no policies");
    let help = format!("for example `{key}: {EXAMPLE}`");
    let nodes = list::items(reader, node, &message, &help);
    let policies = list::policies(reader, nodes, level);
    let is_whole = policies.len() == nodes.len() && !nodes.is_empty();
    let specs = policies.into_iter().map(|placed| placed.spec);
    Some((nodes, is_whole.then(|| specs.collect())))
}

fn parts<'d>(
    reader: &Reader<'d>,
    fields: &mut Section<'d>,
    key: &'static str,
    level: Level,
) -> Option<Vec<PolicySpec>> {
    sub_policies(reader, fields, key, level)?.1
}

/// A share of a composite policy.
struct Share {
    policy: String,
    percent: Option<f64>,
}

fn composite<'d>(
    reader: &Reader<'d>,
    fields: &mut Section<'d>,
    level: Level,
) -> Option<PolicyKind> {
    let total =
        fields.required("max_total_spans_per_second", "1000", values::whole(0..=u64::MAX >> 1));
    let subs = sub_policies(reader, fields, "composite_sub_policy", level);
    let order = fields.optional("policy_order", Ok);
    let shares = fields.optional("rate_allocation", Ok);
    let (nodes, policies) = subs.unwrap_or((&[], None));
    list::distinct(reader, nodes, "policy_order and rate_allocation refer to them by name");
    let named: Vec<(String, Place)> = nodes.iter().filter_map(list::name).collect();
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    // If a name is missing, which is told already, others cannot be checked against it.
    let all_named = !nodes.is_empty() && named.len() == nodes.len();
    let names = all_named.then_some(names.as_slice());
    let shares = shares.map_or(Vec::new(), |node| self::shares(reader, node, names));
    let order = order.map(|node| {
        let order = self::order(reader, node, names);
        if let Some(order) = &order {
            unordered(reader, order, &named);
        }
        order.unwrap_or_default()
    });
    let child = |policy: PolicySpec| {
        let share = shares.iter().find(|share| share.policy == policy.name);
        CompositeChild { percent: share.and_then(|share| share.percent), policy }
    };
    let mut children: Vec<CompositeChild> = policies?.into_iter().map(child).collect();
    if let Some(order) = order {
        let place = |child: &CompositeChild| {
            order.iter().position(|name| *name == child.policy.name).unwrap_or(usize::MAX)
        };
        children.sort_by_key(place);
    }
    Some(PolicyKind::Composite { max_total_spans_per_second: total?, children })
}

/// The names in `policy_order`; `None` if something is wrong with them.
fn order(reader: &Reader<'_>, node: &Node, names: Option<&[&str]>) -> Option<Vec<String>> {
    let before = reader.problems.len();
    let mut order: Vec<String> = Vec::new();
    for node in values::items(node) {
        let name = match values::name(node) {
            Ok(name) => name,
            Err(message) => {
                reader.problems.add(node.place, format!("policy_order: {message}"), None);
                continue;
            }
        };
        if order.contains(&name) {
            let message = values::told(node, format!("`{name}` is named twice"));
            let message = format!("policy_order: {message}");
            reader.problems.add(node.place, message, Some("name it once".to_owned()));
        }
        known(reader, node, "policy_order", &name, names);
        order.push(name);
    }
    (reader.problems.len() == before).then_some(order)
}

/// Every sub-policy has its place in the order.
fn unordered(reader: &Reader<'_>, order: &[String], named: &[(String, Place)]) {
    for (name, place) in named.iter().filter(|(name, _)| !order.contains(name)) {
        let message = format!("`{name}` is not in policy_order, so it would never be asked");
        let help = format!("add `{name}` to policy_order, or take the sub-policy out");
        reader.problems.add(*place, message, Some(help));
    }
}

/// `name` must be that of a sub-policy.
fn known(reader: &Reader<'_>, node: &Node, key: &str, name: &str, names: Option<&[&str]>) {
    let Some(names) = names.filter(|names| !names.contains(&name)) else { return };
    let message = values::told(node, format!("there is no sub-policy `{name}`"));
    let help = match nearest(name, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    reader.problems.add(node.place, format!("{key}: {message}"), Some(help));
}

fn shares<'d>(reader: &Reader<'d>, node: &'d Node, names: Option<&[&str]>) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for item in values::items(node) {
        let mut fields = Section::new(item, reader.problems);
        let policy = fields.required("policy", "errors", |node| Ok((values::name(node)?, node)));
        let percent = fields.required("percent", "50", percent);
        fields.finish();
        let Some((policy, name_node)) = policy else { continue };
        if shares.iter().any(|share| share.policy == policy) {
            let message = values::told(name_node, format!("`{policy}` has two shares"));
            let message = format!("rate_allocation: {message}");
            reader.problems.add(name_node.place, message, Some("give it one".to_owned()));
        }
        known(reader, name_node, "rate_allocation", &policy, names);
        // The Collector takes 0 for an even share.
        shares.push(Share { policy, percent: percent.filter(|percent| *percent > 0.0) });
    }
    let sum: f64 = shares.iter().filter_map(|share| share.percent).sum();
    if sum > 100.0 {
        let message = format!("rate_allocation: the shares come to {sum} %");
        let help = "together they may be 100 % at most".to_owned();
        reader.problems.add(node.place, message, Some(help));
    }
    shares
}

fn percent(node: &Node) -> Result<f64, String> {
    let percent = values::number(node)?;
    let expected = || format!("expected a percentage from 0 to 100, found `{percent}`");
    if (0.0..=100.0).contains(&percent) { Ok(percent) } else { Err(expected()) }
}
