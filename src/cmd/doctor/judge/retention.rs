//! How long a topic keeps its records, as its settings say.

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) type Configs = BTreeMap<String, String>;

/// The value of a setting, if it is a number.
pub(super) fn number(configs: &Configs, key: &str) -> Option<i64> {
    configs.get(key)?.parse().ok()
}

/// How long a topic keeps its records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    For(Duration),
    ForEver,
}

pub(super) fn kept_for(configs: &Configs) -> Kept {
    let millis = number(configs, "retention.ms").and_then(|it| u64::try_from(it).ok());
    millis.map_or(Kept::ForEver, |it| Kept::For(Duration::from_millis(it)))
}

impl Kept {
    pub(super) fn words(self) -> String {
        match self {
            Self::For(time) => humantime::format_duration(time).to_string(),
            Self::ForEver => "ever".to_owned(),
        }
    }

    /// The value of `retention.ms`.
    pub(super) fn setting(self) -> i128 {
        match self {
            Self::For(time) => i128::try_from(time.as_millis()).unwrap_or(i128::MAX),
            Self::ForEver => -1,
        }
    }
}
