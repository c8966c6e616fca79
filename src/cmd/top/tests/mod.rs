//! The model and what is drawn of it. `TAILSIEVE_UPDATE=1 cargo test --lib cmd::top` writes the screens
//! of `golden` anew.

mod fixture;
mod hostile;
mod model;
mod screens;
