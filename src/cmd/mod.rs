//! The commands: a file or a folder for each subcommand.
//!
//! Wires the parts, starts and stops them, and says how it went: on the terminal, and by exit codes.
//! What surrounds the work in its process is the same for all of them: [`process`]. Leaves the work
//! itself to the rooms below.

mod access;
mod admin_client;
pub mod capture;
pub mod cli;
pub mod completions;
pub mod convert;
pub mod decide;
pub mod decisions;
pub mod demo;
pub mod doctor;
pub mod generate;
pub mod health;
pub mod man;
mod origin;
mod own_telemetry;
pub mod policy_tests;
mod printable;
pub mod process;
pub mod rekey;
pub mod replay_dead_letters;
pub mod retrieval;
pub mod run;
pub mod schema;
pub mod size;
mod status;
pub mod top;
mod topic_reader;
pub mod trace;
pub mod validate;
mod version;
pub mod whatif;
