//! What `--version` says: of which commit and with which features this binary was built.

use std::sync::LazyLock;

/// The features of `Cargo.toml`, and whether they are in.
const FEATURES: [(&str, bool); 1] = [("tls", cfg!(feature = "tls"))];

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let features = FEATURES.iter().filter(|(_, is_in)| *is_in).map(|(name, _)| *name);
    let features = features.collect::<Vec<_>>().join(", ");
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "{version}\ncommit: {commit}\nfeatures: {features}\ntarget: {target}\nlibrdkafka: {librdkafka}",
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("TAILSIEVE_COMMIT"),
        features = if features.is_empty() { "none" } else { &features },
        target = env!("TAILSIEVE_TARGET"),
    )
});

/// All of it, behind the program's name.
pub(super) fn text() -> &'static str {
    &TEXT
}
