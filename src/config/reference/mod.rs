//! `docs/configuration.md`, and the tables of options in `docs/policies.md`: printed from the
//! descriptions by which the files are read, as the JSON Schemas are.
//!
//! `TAILSIEVE_UPDATE=1 cargo test --lib config::reference` writes them.

mod page;
mod policies;
mod table;
