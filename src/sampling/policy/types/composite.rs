//! `composite`

use super::rate_limiting::tokens;
use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicySpec,
    PolicyType, Spending, Unit,
};
use crate::options::{
    At, Context, Node, Options, Place, Section, items, list, name, nearest, options, percentage,
    section, split_by_commas, values,
};
use crate::sampling::policy::explain::{reason, reason_of_budget};
use crate::sampling::policy::expression::Child;
use crate::sampling::policy::vote::Vote;
use crate::sampling::policy::written::{Level, distinct, name_of, policies};

/// Keeps what the first of its children keeps that has some of its share left.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// For the whole consumer group, and for all children together.
    pub max_total_spans_per_second: u64,
    /// In the order in which they are asked.
    pub children: Vec<CompositeChild>,
}

/// A sub-policy of a `composite` policy.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeChild {
    /// The policy.
    pub policy: PolicySpec,
    /// Its share of the total in percent; by default what all others of the kind have: the total
    /// by the number of children.
    pub percent: Option<f64>,
}

options! {
    /// A policy's share of the total.
    struct Allocation {
        /// The name of the policy.
        policy: String = name().required("errors"),
        /// Its share; 0 is an even one.
        percent: f64 = percentage().required("50"),
    }
}

impl Options for Composite {
    const NAME: &'static str = "Composite";
    const ABOUT: &'static str =
        "Keeps what the first of its policies keeps that has some of its share left.";

    fn read(fields: &mut Section<'_>) -> Self {
        let doc = "For all of its policies together, and the whole consumer group.";
        let total = tokens().required("1000");
        let max_total_spans_per_second = fields.take("max_total_spans_per_second", doc, total);
        let example = "[{name: errors, type: status_code, ...}]";
        let parts = policies(Level::Child).required(example);
        let parts = fields.take("composite_sub_policy", "The policies.", parts);
        let doc = "The names of the policies in the order in which they are asked; as they stand \
                   by default.";
        let order = fields.take("policy_order", doc, split_by_commas(name()).optional());
        let doc = "Their shares; even ones by default.";
        let shares = list(section::<Allocation>()).or_default();
        let shares = fields.take("rate_allocation", doc, shares);
        Names::of(fields).check(fields);
        let percent = |name: &str| {
            let share = shares.iter().find(|share| share.policy == name)?;
            // The Collector takes 0 for an even share.
            Some(share.percent).filter(|percent| *percent > 0.0)
        };
        let child = |policy: PolicySpec| CompositeChild { percent: percent(&policy.name), policy };
        let mut children: Vec<CompositeChild> = parts.into_iter().map(child).collect();
        if let Some(order) = order {
            let place = |name: &String| order.iter().position(|it| it == name);
            children.sort_by_key(|child| place(&child.policy.name).unwrap_or(usize::MAX));
        }
        Self { max_total_spans_per_second, children }
    }
}

/// The names of the sub-policies, which `policy_order` and `rate_allocation` refer to.
struct Names<'a> {
    named: Vec<(String, Place)>,
    /// If a name is missing, which is told already, others cannot be checked against them.
    are_all: bool,
    context: &'a Context<'a>,
}

impl<'a> Names<'a> {
    fn of(fields: &Section<'a>) -> Self {
        let nodes = fields.node("composite_sub_policy").map_or(&[][..], values::items);
        let context = fields.context;
        distinct(context, nodes, "policy_order and rate_allocation refer to them by name");
        let named: Vec<(String, Place)> = nodes.iter().filter_map(name_of).collect();
        let are_all = !named.is_empty() && named.len() == nodes.len();
        Self { named, are_all, context }
    }

    /// Tells what is wrong with what refers to them.
    fn check(&self, fields: &Section<'_>) {
        if let Some(node) = fields.node("policy_order") {
            self.check_order(&items(node, self.context));
        }
        if let Some(node) = fields.node("rate_allocation") {
            self.check_shares(node);
        }
    }

    fn check_order(&self, nodes: &[Node]) {
        let at = At { key: "policy_order", context: self.context };
        let before = self.context.problems.len();
        let mut order: Vec<String> = Vec::new();
        for node in nodes {
            // What is no name is told already.
            let Ok(name) = values::name(node) else { return };
            if order.contains(&name) {
                at.refuse(node, format!("`{name}` is named twice"), Some("name it once"));
            }
            self.known(at, node, &name);
            order.push(name);
        }
        if self.context.problems.len() > before {
            return;
        }
        for (name, place) in self.named.iter().filter(|(name, _)| !order.contains(name)) {
            let message = format!("`{name}` is not in policy_order, so it would never be asked");
            let help = format!("add `{name}` to policy_order, or take the sub-policy out");
            self.context.problems.add(*place, message, Some(help));
        }
    }

    fn check_shares(&self, node: &Node) {
        let at = At { key: "rate_allocation", context: self.context };
        let mut before: Vec<String> = Vec::new();
        let mut sum = 0.0;
        for item in values::items(node) {
            let percent = item.get("percent").map(|node| (node, values::number(node)));
            // What is no percentage is told already.
            if let Some((node, Ok(percent @ 0.0..=100.0))) = percent {
                sum += percent;
                if percent == 0.0 {
                    let message = "rate_allocation: a share of 0 % is taken for an even one, as in \
                                   the Collector";
                    let help = "give it a share, or take the sub-policy out".to_owned();
                    self.context.warnings.add(node.place, message, Some(help));
                }
            }
            let Some(policy) = item.get("policy") else { continue };
            let Ok(name) = values::name(policy) else { continue };
            if before.contains(&name) {
                at.refuse(policy, format!("`{name}` has two shares"), Some("give it one"));
            }
            self.known(at, policy, &name);
            before.push(name);
        }
        if sum > 100.0 {
            let help = "together they may be 100 % at most";
            at.refuse(node, format!("the shares come to {sum} %"), Some(help));
        }
    }

    /// `name` must be that of a sub-policy.
    fn known(&self, at: At<'_>, node: &Node, name: &str) {
        let names: Vec<&str> = self.named.iter().map(|(name, _)| name.as_str()).collect();
        if !self.are_all || names.contains(&name) {
            return;
        }
        let help = match nearest(name, &names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        at.refuse(node, format!("there is no sub-policy `{name}`"), Some(&help));
    }
}

impl Composite {
    /// What may pass of a child in a second.
    fn share(&self, child: &CompositeChild) -> f64 {
        let even = 100.0 / self.children.len() as f64;
        self.max_total_spans_per_second as f64 * child.percent.unwrap_or(even) / 100.0
    }
}

impl PolicyType for Composite {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let total = compiler.window(self.max_total_spans_per_second as f64)?;
        let mut children = Vec::with_capacity(self.children.len());
        for child in &self.children {
            let budget = compiler.window(self.share(child))?;
            let leaf = compiler.leaf(&child.policy.name)?;
            let expression = compiler.expression(&child.policy)?;
            children.push(Child { expression, budget, leaf });
        }
        Ok(Asking::Whole(Expression::Composite { total, children }))
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let Expression::Composite { total, children } = expression else { return String::new() };
        let mut reasons = Vec::new();
        for (spec, child) in self.children.iter().map(|child| &child.policy).zip(children) {
            let why = reason(spec, &child.expression, asked);
            let vote = child.expression.evaluate(asked);
            if matches!(vote, Vote::None | Vote::Failed) {
                reasons.push(format!("{}: {why}", spec.name));
                continue;
            }
            let share = reason_of_budget(child.budget, Unit::Spans, asked);
            let all = reason_of_budget(*total, Unit::Spans, asked);
            reasons.push(format!("{}: {why}, {share} of its own, {all} in all", spec.name));
            let (spans, now) = (Unit::Spans.amount(asked.trace), asked.now);
            let budgets = &mut asked.budgets;
            if budgets.spend(child.budget, spans, now) && budgets.spend(*total, spans, now) {
                break;
            }
        }
        reasons.join("; ")
    }

    fn matching(&self, parts: &[Matching]) -> Matching {
        if self.max_total_spans_per_second == 0 {
            let why = "a budget of 0 lets nothing through";
            return Matching::never("max_total_spans_per_second", why);
        }
        let is_never = parts.iter().all(Matching::is_never);
        if is_never { Matching::Never(None) } else { Matching::Sometimes }
    }

    fn covers(&self, _: &PolicyKind) -> bool {
        false
    }

    fn parts(&self) -> (&'static str, Vec<&PolicySpec>) {
        ("composite_sub_policy", self.children.iter().map(|child| &child.policy).collect())
    }

    fn limits(&self) -> Vec<Spending<'_>> {
        let (capacity, unit) = (self.max_total_spans_per_second as f64, Unit::Spans);
        let option = "max_total_spans_per_second";
        let total = Spending { share_of: None, option, capacity, unit };
        let mut limits = vec![total];
        for child in &self.children {
            let (share_of, option) = (Some(child.policy.name.as_str()), "composite_sub_policy");
            limits.push(Spending { share_of, option, capacity: self.share(child), unit });
        }
        limits
    }
}
