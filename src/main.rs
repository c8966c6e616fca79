//! The tailsieve command.

fn main() {}
