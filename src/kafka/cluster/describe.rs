//! Questions to the brokers that the `rdkafka` crate does not offer.
//!
//! Owns these questions: the id of a topic (`DescribeTopics`, KIP-516), so that a topic that was deleted
//! and created again can be told from the old one; the `group.instance.id` of each member of a
//! group (`DescribeConsumerGroups`, KIP-345), so that a fenced member does not fence its successor;
//! and what the user may do with a topic or a group (KIP-430).
//! librdkafka has them, and only in C: hence the `unsafe`. A question never blocks;
//! its answer is picked up later.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaRespErr;

use crate::ids::TopicId;
use crate::kafka::access::Operation;

/// How long the brokers may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its `group.instance.id`, if it has one.
    pub instance_id: Option<String>,
    /// What it calls itself (`client.id`).
    pub client_id: String,
    /// Where it connects from, as the broker sees it.
    pub host: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// There is no such topic.
    #[error("there is no such topic")]
    NoSuchTopic,
    /// The user may not even know of it.
    #[error("the user is not authorized")]
    Denied,
    /// The brokers do not answer, or do not allow the question.
    #[error("{0}")]
    Failed(String),
}

impl NoAnswer {
    fn of(code: RDKafkaRespErr, what: Option<String>) -> Self {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => Self::NoSuchTopic,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => Self::Denied,
            _ => Self::Failed(what.unwrap_or_else(|| "the brokers did not answer".to_owned())),
        }
    }

    fn of_another_kind() -> Self {
        Self::Failed("the answer is of another kind".to_owned())
    }
}

/// A question that was asked. Dropping it takes it back.
pub(crate) struct Asked<T> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    read: fn(NonNull<sys::rd_kafka_event_t>) -> Result<T, NoAnswer>,
}

// Safety: a queue of librdkafka may be used from any thread, and here it is used by one at a time.
unsafe impl<T> Send for Asked<T> {}

impl<T> fmt::Debug for Asked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// Asks for the id of `topic`. Brokers before Kafka 2.8 know no ids and answer `None`.
///
/// The question must be dropped before the client is.
pub(crate) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Asked<Option<TopicId>> {
    ask_topic(client, topic, read_topic_id)
}

/// Asks what the user may do with `topic`. Brokers before Kafka 2.3 answer `None`.
///
/// The question must be dropped before the client is.
pub(crate) fn topic_operations<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Asked<Option<Vec<Operation>>> {
    ask_topic(client, topic, read_topic_operations)
}

/// Asks for the members of the group `group_id`. A group that does not exist has none.
///
/// The question must be dropped before the client is.
pub(crate) fn group_members<C: ClientContext>(
    client: &Client<C>,
    group_id: &str,
) -> Asked<Vec<GroupMember>> {
    ask_group(client, group_id, read_members)
}

/// Asks what the user may do with the group `group_id`. `None` if the brokers do not tell.
///
/// The question must be dropped before the client is.
pub(crate) fn group_operations<C: ClientContext>(
    client: &Client<C>,
    group_id: &str,
) -> Asked<Option<Vec<Operation>>> {
    ask_group(client, group_id, read_group_operations)
}

fn ask_topic<C: ClientContext, T>(
    client: &Client<C>,
    topic: &str,
    read: fn(NonNull<sys::rd_kafka_event_t>) -> Result<T, NoAnswer>,
) -> Asked<T> {
    let name = c_string(topic);
    ask(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, read, |to| {
        // Safety: librdkafka copies the names; `name` lives until the collection is made, and the
        // collection until it was handed over.
        unsafe {
            let topics =
                sys::rd_kafka_TopicCollection_of_topic_names([name.as_ptr()].as_mut_ptr(), 1);
            sys::rd_kafka_DescribeTopics(to.client, topics, to.options, to.queue);
            sys::rd_kafka_TopicCollection_destroy(topics);
        }
    })
}

fn ask_group<C: ClientContext, T>(
    client: &Client<C>,
    group_id: &str,
    read: fn(NonNull<sys::rd_kafka_event_t>) -> Result<T, NoAnswer>,
) -> Asked<T> {
    let name = c_string(group_id);
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    ask(client, operation, read, |to| {
        // Safety: librdkafka copies the names before the call returns.
        unsafe {
            let mut names = [name.as_ptr()];
            sys::rd_kafka_DescribeConsumerGroups(
                to.client,
                names.as_mut_ptr(),
                names.len(),
                to.options,
                to.queue,
            );
        }
    })
}

impl<T> Asked<T> {
    /// The answer, once it is there; waits `timeout` for it at most.
    pub(crate) fn answer(&self, timeout: Duration) -> Option<Result<T, NoAnswer>> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            // Safety: the queue is ours until it is dropped.
            let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), millis) };
            if let Some(event) = NonNull::new(event) {
                let answer = (self.read)(event);
                // Safety: the event is ours, and nothing that was read from it is borrowed.
                unsafe { sys::rd_kafka_event_destroy(event.as_ptr()) };
                return Some(answer);
            }
            if left.is_zero() {
                return None;
            }
        }
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        // Safety: it was made by `rd_kafka_queue_new`; an answer that comes later is thrown away.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// What a question is asked with.
struct To {
    client: *mut sys::rd_kafka_t,
    options: *mut sys::rd_kafka_AdminOptions_t,
    queue: *mut sys::rd_kafka_queue_t,
}

fn ask<C: ClientContext, T>(
    client: &Client<C>,
    operation: sys::rd_kafka_admin_op_t,
    read: fn(NonNull<sys::rd_kafka_event_t>) -> Result<T, NoAnswer>,
    question: impl FnOnce(&To),
) -> Asked<T> {
    let client = client.native_ptr();
    let millis = i32::try_from(TIMEOUT.as_millis()).unwrap_or(i32::MAX);
    // Safety: the client is alive as long as it is borrowed, options and queue belong to it, and the
    // options are copied by the question.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client, operation);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        // Without it the answer has no operations, and is as good for the other questions.
        let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !refused.is_null() {
            sys::rd_kafka_error_destroy(refused);
        }
        let queue = sys::rd_kafka_queue_new(client);
        question(&To { client, options, queue });
        sys::rd_kafka_AdminOptions_destroy(options);
        let queue = NonNull::new(queue).expect("librdkafka ends the process when memory runs out");
        Asked { queue, read }
    }
}

/// No topic or group has a zero byte in its name, so the name is cut there.
fn c_string(name: &str) -> CString {
    CString::new(name.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// The one topic that an answer is about.
///
/// # Safety
/// What is returned lives as long as `event`.
unsafe fn topic_of(
    event: NonNull<sys::rd_kafka_event_t>,
) -> Result<*const sys::rd_kafka_TopicDescription_t, NoAnswer> {
    failure_of(event)?;
    // Safety: everything that is reached from the event lives as long as it; null pointers are looked
    // for.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return Err(NoAnswer::of_another_kind());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(NoAnswer::of_another_kind());
        }
        let topic = *topics;
        error_of(sys::rd_kafka_TopicDescription_error(topic))?;
        Ok(topic)
    }
}

fn read_topic_id(event: NonNull<sys::rd_kafka_event_t>) -> Result<Option<TopicId>, NoAnswer> {
    // Safety: the event outlives this function.
    unsafe {
        let id = sys::rd_kafka_TopicDescription_topic_id(topic_of(event)?);
        if id.is_null() {
            return Ok(None);
        }
        let high = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let low = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        Ok(TopicId::from_bits(u128::from(high) << 64 | u128::from(low)))
    }
}

fn read_topic_operations(
    event: NonNull<sys::rd_kafka_event_t>,
) -> Result<Option<Vec<Operation>>, NoAnswer> {
    // Safety: the event outlives this function.
    unsafe {
        let topic = topic_of(event)?;
        let mut count = 0;
        let all = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        Ok(operations(all, count))
    }
}

/// The one group that an answer is about.
///
/// # Safety
/// What is returned lives as long as `event`.
unsafe fn group_of(
    event: NonNull<sys::rd_kafka_event_t>,
) -> Result<*const sys::rd_kafka_ConsumerGroupDescription_t, NoAnswer> {
    failure_of(event)?;
    // Safety: as above.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.as_ptr());
        if result.is_null() {
            return Err(NoAnswer::of_another_kind());
        }
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Err(NoAnswer::of_another_kind());
        }
        let group = *groups;
        error_of(sys::rd_kafka_ConsumerGroupDescription_error(group))?;
        Ok(group)
    }
}

fn read_group_operations(
    event: NonNull<sys::rd_kafka_event_t>,
) -> Result<Option<Vec<Operation>>, NoAnswer> {
    // Safety: the event outlives this function.
    unsafe {
        let group = group_of(event)?;
        let mut count = 0;
        let all =
            sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count);
        Ok(operations(all, count))
    }
}

/// Those that are of interest here; `None` if there is no answer to that.
///
/// # Safety
/// `all` is null, or has `count` operations.
unsafe fn operations(
    all: *const sys::rd_kafka_AclOperation_t,
    count: usize,
) -> Option<Vec<Operation>> {
    use sys::rd_kafka_AclOperation_t as Native;
    // Safety: as the caller promises.
    let operation = |index| match unsafe { *all.add(index) } {
        Native::RD_KAFKA_ACL_OPERATION_READ => Some(Operation::Read),
        Native::RD_KAFKA_ACL_OPERATION_WRITE => Some(Operation::Write),
        Native::RD_KAFKA_ACL_OPERATION_CREATE => Some(Operation::Create),
        Native::RD_KAFKA_ACL_OPERATION_DESCRIBE => Some(Operation::Describe),
        Native::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Some(Operation::DescribeConfigs),
        _ => None,
    };
    (!all.is_null() && count > 0).then(|| (0..count).filter_map(operation).collect())
}

fn read_members(event: NonNull<sys::rd_kafka_event_t>) -> Result<Vec<GroupMember>, NoAnswer> {
    // Safety: the event outlives this function.
    unsafe {
        let group = group_of(event)?;
        let members = sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        let member = |index| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, index);
            GroupMember {
                instance_id: text(sys::rd_kafka_MemberDescription_group_instance_id(member))
                    .filter(|id| !id.is_empty()),
                client_id: text(sys::rd_kafka_MemberDescription_client_id(member))
                    .unwrap_or_default(),
                host: text(sys::rd_kafka_MemberDescription_host(member)).unwrap_or_default(),
            }
        };
        Ok((0..members).map(member).collect())
    }
}

/// The error of the whole question, if there is one.
fn failure_of(event: NonNull<sys::rd_kafka_event_t>) -> Result<(), NoAnswer> {
    // Safety: the event is alive; its text is copied.
    unsafe {
        let code = sys::rd_kafka_event_error(event.as_ptr());
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        Err(NoAnswer::of(code, text(sys::rd_kafka_event_error_string(event.as_ptr()))))
    }
}

/// The error of the one topic or group that was asked for, if there is one.
///
/// # Safety
/// `error` is null or an error of librdkafka that is alive.
unsafe fn error_of(error: *const sys::rd_kafka_error_t) -> Result<(), NoAnswer> {
    if error.is_null() {
        return Ok(());
    }
    // Safety: as the caller promises.
    unsafe {
        let code = sys::rd_kafka_error_code(error);
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        Err(NoAnswer::of(code, text(sys::rd_kafka_error_string(error))))
    }
}

/// A copy of a text of librdkafka's.
///
/// # Safety
/// `text` is null or a text that ends in a zero byte and is alive.
unsafe fn text(text: *const c_char) -> Option<String> {
    // Safety: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn client(brokers: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "nobody").create().unwrap()
    }

    /// The embedded broker has no controller, which is what librdkafka asks. A real one answers in
    /// `tests/kafka/another_log.rs` and `membership.rs`.
    #[test]
    fn brokers_that_do_not_know_are_no_answer() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("spans", 1, 1).unwrap();
        let client = client(&cluster.bootstrap_servers());
        let answer = topic_id(client.client(), "spans").answer(PATIENCE).unwrap();
        assert!(matches!(answer, Err(NoAnswer::Failed(_))), "{answer:?}");
    }

    #[test]
    fn a_question_may_be_taken_back_or_get_no_answer() {
        let nobody = client("127.0.0.1:9");
        for _ in 0..10 {
            drop(topic_id(nobody.client(), "spans"));
            drop(group_members(nobody.client(), "nobody"));
        }
        let asked = topic_id(nobody.client(), "no\0such");
        assert_eq!(asked.answer(Duration::ZERO), None);
        assert!(asked.answer(PATIENCE).unwrap().is_err(), "it is given up after a while");
        drop(asked);
        drop(nobody);
    }
}
