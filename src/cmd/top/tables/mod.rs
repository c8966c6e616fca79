//! The tables of the views, out of a [`Snapshot`](super::snapshot::Snapshot).
//!
//! Pure: the screen and the plain text show the same tables.

mod flow;
mod latest;
mod members;
mod partitions;
mod policies;

use std::cmp::Ordering;

use super::format;
use super::table::{Column, Fit};

pub(super) use flow::flow;
pub(super) use latest::{LOG_SORTS, TRACE_SORTS, logs, problems, traces};
pub(super) use members::{MEMBER_SORTS, members};
pub(super) use partitions::{PARTITION_SORTS, partitions};
pub(super) use policies::{POLICY_SORTS, policies};

/// How numbers are written.
#[derive(Clone, Copy)]
pub(in crate::cmd::top) struct Numbers {
    pub(super) count: fn(u64) -> String,
    pub(super) bytes: fn(u64) -> String,
}

impl Numbers {
    /// For a look.
    pub(super) const SHORT: Self = Self { count: format::count, bytes: format::bytes };
    /// To be added up.
    pub(super) const EXACT: Self = Self { count: format::exact, bytes: format::exact };
}

const fn column(title: &'static str, fit: Fit, rank: u8) -> Column {
    Column { title, fit, rank }
}

/// A number where there can be one.
fn blank<T>(number: Option<T>, write: impl Fn(T) -> String) -> String {
    number.map_or_else(String::new, write)
}

/// What is not known comes last.
fn largest_first(one: Option<f64>, other: Option<f64>) -> Ordering {
    let known = |number: Option<f64>| number.unwrap_or(f64::NEG_INFINITY);
    known(other).total_cmp(&known(one))
}
