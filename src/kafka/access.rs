//! ACLs: what the user of a client has to be allowed, and what is said when it is not.
//!
//! Owns the names of operations and resources, as `kafka-acls.sh` has them, and the text that says which
//! ACL is missing and how it is granted. Leaves to others what is asked of the brokers, and what
//! happens without an answer.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

/// What is done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Records of a topic are fetched, its offsets committed; a group is joined.
    Read,
    /// Records are written.
    Write,
    /// A topic is created.
    Create,
    /// It is asked for. Implied by each of those above but `Create`.
    Describe,
    /// The settings of a topic are asked for.
    DescribeConfigs,
}

/// What it is done with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
}

/// An ACL that the user needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// What is done.
    pub operation: Operation,
    /// With what.
    pub resource: Resource,
}

/// The user may not do something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{acl}; allow it:\n  {}", self.command())]
pub struct Denied {
    /// `kafka.brokers`.
    pub brokers: String,
    /// The ACL that is missing.
    pub acl: Acl,
}

/// The user may not do several things.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", texts(.0))]
pub struct AllDenied(pub Vec<Denied>);

fn texts(all: &[Denied]) -> String {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

impl Operation {
    /// Its name, as `kafka-acls.sh --operation` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "the topic {name}"),
            Self::Group(name) => write!(f, "the group {name}"),
        }
    }
}

impl Acl {
    /// An ACL for a topic.
    pub fn topic(operation: Operation, topic: &str) -> Self {
        Self { operation, resource: Resource::Topic(topic.to_owned()) }
    }

    /// An ACL for a group.
    pub fn group(operation: Operation, group: &str) -> Self {
        Self { operation, resource: Resource::Group(group.to_owned()) }
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, resource } = self;
        write!(f, "the user of `sasl.username` lacks the ACL {} on {resource}", operation.name())
    }
}

impl Denied {
    /// What an error says is missing, of `needed`; `None` if it is about something else.
    ///
    /// An idempotent producer that may write to no topic at all gets the error of the cluster.
    pub fn of(code: Option<RDKafkaErrorCode>, brokers: &str, needed: &[Acl]) -> Option<Self> {
        use RDKafkaErrorCode as Code;
        let is_of_group = |acl: &&Acl| matches!(acl.resource, Resource::Group(_));
        let mut acls = needed.iter();
        let acl = match code? {
            Code::TopicAuthorizationFailed => acls.find(|acl| !is_of_group(acl)),
            Code::GroupAuthorizationFailed => acls.find(is_of_group),
            Code::ClusterAuthorizationFailed => acls.find(|acl| {
                matches!(acl.operation, Operation::Write | Operation::Create) && !is_of_group(acl)
            }),
            _ => None,
        }?;
        Some(Self { brokers: brokers.to_owned(), acl: acl.clone() })
    }

    /// What is said of an error: what is missing if it is about that, else what it says itself.
    pub fn explain(error: &KafkaError, brokers: &str, needed: &[Acl]) -> String {
        let denied = Self::of(error.rdkafka_error_code(), brokers, needed);
        denied.map_or_else(|| error.to_string(), |denied| denied.to_string())
    }

    /// The command that grants the ACL. The principal is known to the brokers only.
    pub fn command(&self) -> String {
        let Acl { operation, resource } = &self.acl;
        let (option, name) = match resource {
            Resource::Topic(name) => ("--topic", name),
            Resource::Group(name) => ("--group", name),
        };
        let broker = self.brokers.split(',').next().unwrap_or_default().trim();
        format!(
            "kafka-acls.sh --bootstrap-server {broker} --add --allow-principal User:NAME --operation {} \
             {option} {name}",
            operation.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_grants_it() {
        let needed = [
            Acl::topic(Operation::Read, "spans"),
            Acl::group(Operation::Read, "tailsieve"),
            Acl::topic(Operation::Write, "decisions"),
        ];
        let of = |code| Denied::of(Some(code), "a:9092, b:9092", &needed).map(|it| it.acl);
        assert_eq!(of(RDKafkaErrorCode::TopicAuthorizationFailed), Some(needed[0].clone()));
        assert_eq!(of(RDKafkaErrorCode::GroupAuthorizationFailed), Some(needed[1].clone()));
        assert_eq!(of(RDKafkaErrorCode::ClusterAuthorizationFailed), Some(needed[2].clone()));
        assert_eq!(of(RDKafkaErrorCode::OperationTimedOut), None);
        let code = Some(RDKafkaErrorCode::GroupAuthorizationFailed);
        assert_eq!(
            Denied::of(code, "a:9092, b:9092", &needed).unwrap().to_string(),
            "the user of `sasl.username` lacks the ACL Read on the group tailsieve; allow it:\n  \
             kafka-acls.sh --bootstrap-server a:9092 --add --allow-principal User:NAME --operation Read \
             --group tailsieve"
        );
    }
}
