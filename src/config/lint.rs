//! What was read well and is probably not meant.

use super::PolicyFile;
use super::document::{Document, Node};
use super::policies::Placed;
use super::reader::Problems;

pub(super) fn lint(_: &PolicyFile, _: &Node, _: &[Placed<'_>], _: &Document, _: &Problems) {}
