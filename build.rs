//! Compiles `proto/` without `protoc`.

use std::error::Error;

const MESSAGES: [&str; 1] = ["proto/tailsieve/v1/decision_log.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(MESSAGES, ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
