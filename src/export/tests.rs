//! The exporter as a whole: its rules on a paused clock against a scripted transport, and its wire
//! against a real receiver.

mod backend;
mod rules;
