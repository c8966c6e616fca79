//! The plan of one trace: who calls whom, when, and what goes wrong.
//!
//! Owns the tree and its times; leaves to `render` how a span looks on the wire. A child lies within
//! its parent, except for consumers, whose spans come after the message was sent.

use rand::Rng;
use rand::rngs::StdRng;

use super::services::{FRONT_DOOR, INSTANCES, ORDERS_CONSUMER, Protocol, SERVICES, Service};
use super::settings::ModelSettings;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Answers a request (kind SERVER) on this route of its service.
    Serve { route: usize },
    /// Calls another service (kind CLIENT).
    Call { callee: usize, route: usize },
    /// Asks its database (kind CLIENT).
    Query,
    /// Does something itself (kind INTERNAL).
    Work,
    /// Sends a message (kind PRODUCER).
    Publish,
    /// Receives a message (kind CONSUMER).
    Consume,
}

/// A planned span.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Index of the parent, below its own.
    pub(super) parent: Option<usize>,
    /// Index of the service.
    pub(super) service: usize,
    pub(super) instance: u32,
    pub(super) activity: Activity,
    /// Nanoseconds since the trace's start.
    pub(super) start: u64,
    /// Nanoseconds since the trace's start.
    pub(super) end: u64,
    pub(super) error: bool,
    pub(super) has_children: bool,
}

impl Node {
    pub(super) fn service(&self) -> &'static Service {
        &SERVICES[self.service]
    }
}

/// A whole trace; the first node is the root.
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    /// True if the root span never reaches the topic.
    pub(super) root_lost: bool,
}

const MILLISECOND: u64 = 1_000_000;

impl Plan {
    pub(super) fn new(rng: &mut StdRng, settings: &ModelSettings) -> Self {
        let error = rng.random_bool(settings.error_fraction);
        let slow = rng.random_bool(settings.slow_fraction);
        let spans = span_count(rng, settings.max_trace_spans);
        let root_lost = !slow && spans > 1 && rng.random_bool(settings.lost_root_fraction);
        let limit = duration(rng, slow);
        let mut tree = Tree::new(rng, limit);
        while tree.nodes.len() < spans {
            tree.grow(rng, spans - tree.nodes.len());
        }
        let mut nodes = tree.nodes;
        if error {
            // The error of a trace without its root must be in a span that is not lost.
            fail(rng, &mut nodes, usize::from(root_lost));
        }
        Self { nodes, root_lost }
    }
}

/// Log-normal with median 6, mean 12, 99th percentile about 93.
fn span_count(rng: &mut StdRng, max: usize) -> usize {
    let spans = (6.0_f64.ln() + 1.177 * standard_normal(rng)).exp();
    (spans.round() as usize).clamp(1, max.max(1))
}

/// The duration of a whole trace, in nanoseconds. The root takes four fifths of it, so that a slow
/// trace takes more than a second even if its root is lost.
fn duration(rng: &mut StdRng, slow: bool) -> u64 {
    let millis = if slow {
        rng.random_range(1400.0..5000.0)
    } else {
        (80.0_f64.ln() + standard_normal(rng)).exp().clamp(2.0, 850.0)
    };
    (millis * MILLISECOND as f64) as u64
}

/// Box and Muller's method.
fn standard_normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Marks one span from index `from` on as failed, and its callers up to one that handles the error.
fn fail(rng: &mut StdRng, nodes: &mut [Node], from: usize) {
    let mut failed = rng.random_range(from..nodes.len());
    nodes[failed].error = true;
    while let Some(parent) = nodes[failed].parent {
        if !rng.random_bool(0.7) {
            break;
        }
        nodes[parent].error = true;
        failed = parent;
    }
}

/// A plan that is being made.
struct Tree {
    nodes: Vec<Node>,
    /// The spans that can have further children.
    hosts: Vec<usize>,
    /// The end of everything, in nanoseconds since the trace's start.
    limit: u64,
}

impl Tree {
    fn new(rng: &mut StdRng, limit: u64) -> Self {
        let root = Node {
            parent: None,
            service: FRONT_DOOR,
            instance: rng.random_range(0..INSTANCES),
            activity: Activity::Serve {
                route: rng.random_range(0..SERVICES[FRONT_DOOR].routes.len()),
            },
            start: 0,
            end: limit / 5 * 4,
            error: false,
            has_children: false,
        };
        Self { nodes: vec![root], hosts: vec![0], limit }
    }

    /// Adds one or two spans, never more than `room`.
    fn grow(&mut self, rng: &mut StdRng, room: usize) {
        let host = self.hosts[rng.random_range(0..self.hosts.len())];
        let service = self.nodes[host].service();
        let choice: f64 = rng.random();
        if room >= 2 && !service.calls.is_empty() && choice < 0.7 {
            let callee = service.calls[rng.random_range(0..service.calls.len())];
            self.add_call(rng, host, callee);
        } else if room >= 2 && service.publishes && choice < 0.85 {
            self.add_message(rng, host);
        } else if service.database.is_some() && choice < 0.75 {
            self.add_within(rng, host, Activity::Query);
        } else {
            let work = self.add_within(rng, host, Activity::Work);
            self.hosts.push(work);
        }
    }

    fn add_call(&mut self, rng: &mut StdRng, host: usize, callee: usize) {
        let route = rng.random_range(0..SERVICES[callee].routes.len());
        let client = self.add_within(rng, host, Activity::Call { callee, route });
        let Node { start, end, .. } = self.nodes[client];
        let network = (end - start) / 20;
        let server = self.add(Node {
            parent: Some(client),
            service: callee,
            instance: rng.random_range(0..INSTANCES),
            activity: Activity::Serve { route },
            start: start + network,
            end: end - network,
            error: false,
            has_children: false,
        });
        self.hosts.push(server);
    }

    fn add_message(&mut self, rng: &mut StdRng, host: usize) {
        let sent = self.add_within(rng, host, Activity::Publish);
        let left = self.limit - self.nodes[sent].end;
        let start = self.nodes[sent].end + (left as f64 * rng.random_range(0.0..0.5)) as u64;
        let end = start + ((self.limit - start) as f64 * rng.random_range(0.1..1.0)) as u64;
        let consumer = self.add(Node {
            parent: Some(sent),
            service: ORDERS_CONSUMER,
            instance: rng.random_range(0..INSTANCES),
            activity: Activity::Consume,
            start,
            end,
            error: false,
            has_children: false,
        });
        self.hosts.push(consumer);
    }

    /// Adds a child in the same process, somewhere within the time of `host`.
    fn add_within(&mut self, rng: &mut StdRng, host: usize, activity: Activity) -> usize {
        let Node { start, end, .. } = self.nodes[host];
        let length = ((end - start) as f64 * rng.random_range(0.05..0.6)) as u64;
        let start = start + rng.random_range(0..=end - start - length);
        self.add(Node {
            parent: Some(host),
            activity,
            start,
            end: start + length,
            error: false,
            has_children: false,
            ..self.nodes[host].clone()
        })
    }

    fn add(&mut self, node: Node) -> usize {
        if let Some(parent) = node.parent {
            self.nodes[parent].has_children = true;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

impl Activity {
    /// True if this is called over gRPC.
    pub(super) fn is_grpc(self, service: &Service) -> bool {
        let called = match self {
            Self::Serve { .. } => service,
            Self::Call { callee, .. } => &SERVICES[callee],
            _ => return false,
        };
        called.protocol == Protocol::Grpc
    }
}
