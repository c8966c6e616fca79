//! What a pipeline is tried with: traffic to send, a backend to receive, a ledger to hold both
//! against each other, and files of spans to judge.

pub mod captures;
pub mod generator;
pub mod ledger;
pub mod receiver;
