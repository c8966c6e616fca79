//! The messages of `proto/`, compiled by prost.
//!
//! What was compiled lies beside this file: a build needs no compiler of protobuf, which takes longer
//! to build than what it makes. `TAILSIEVE_UPDATE=1 cargo test --lib proto` compiles it anew.

include!("tailsieve.v1.rs");

/// What Jaeger asks a remote storage.
pub mod jaeger {
    include!("jaeger.storage.v2.rs");
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    const DIR: &str = env!("CARGO_MANIFEST_DIR");

    /// Scenario: somebody changes `proto/`.
    /// Guarantees: it takes effect.
    #[test]
    fn what_was_compiled_is_what_proto_says() {
        let files = [
            "tailsieve/v1/decision_log.proto",
            "tailsieve/v1/decision_index.proto",
            "jaeger/storage/v2/trace_storage.proto",
        ];
        let descriptors = protox::compile(files, [format!("{DIR}/proto")]).unwrap();
        let out = tempfile::tempdir().unwrap();
        prost_build::Config::new().out_dir(out.path()).compile_fds(descriptors).unwrap();
        for name in ["tailsieve.v1.rs", "jaeger.storage.v2.rs"] {
            let path = format!("{DIR}/src/proto/{name}");
            let compiled = fs::read_to_string(out.path().join(name)).unwrap();
            if env::var_os("TAILSIEVE_UPDATE").is_some() {
                fs::write(&path, &compiled).unwrap();
            }
            assert!(
                fs::read_to_string(&path).unwrap() == compiled,
                "TAILSIEVE_UPDATE=1 cargo test --lib proto compiles it anew"
            );
        }
    }
}
