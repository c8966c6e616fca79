//! The tailsieve command.

use std::process::ExitCode;

use clap::Parser;
use tailsieve::Cli;

/// For librdkafka, too: its buffers come and go with every fetch, and glibc gives their pages
/// back to the kernel each time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    Cli::parse().execute()
}
