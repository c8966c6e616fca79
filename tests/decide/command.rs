//! The command: its inputs, its output, and how it ends.
