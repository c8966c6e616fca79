//! What the tests in `tests/` and the benches reach into, by the paths that it has in here.
//!
//! Nothing else of the crate can be seen from outside, so that the compiler finds what nobody uses.

pub mod cmd {
    pub mod process {
        pub use crate::cmd::process::EXIT_FORCED;
    }
}

pub mod config {
    pub use crate::config::{load_policies, parse_policies};
}

pub mod ids {
    pub use crate::ids::{
        Generation, Offset, Origin, Partition, Pin, Position, SpanId, Timestamp, TraceId,
    };
}

pub mod kafka {
    pub mod cluster {
        pub use crate::kafka::cluster::partitions;
    }
    pub mod decision_log {
        pub use crate::kafka::decision_log::{
            DecisionLog, DecisionLogSettings, GroupHash, Log, LogBatch, LogEvent, LogSink,
            LogTicket, OwnerId, Topics,
        };
        pub mod topic {
            pub use crate::kafka::decision_log::topic::check;
        }
    }
    pub mod partitioner {
        pub use crate::kafka::partitioner::Family;
    }
    pub mod source {
        pub use crate::kafka::source::{CommitMetadata, FETCH_SETTINGS, now};
    }
}

pub mod member {
    pub mod reload {
        pub use crate::member::reload::policies;
    }
}

pub mod otlp {
    pub use crate::otlp::{Additions, AttributeKeys, Chance, Framer, Scan, SpanSegment, scan};
    pub mod encoding {
        pub use crate::otlp::encoding::MAX_UNPACKED_BYTES;
    }
    pub mod json {
        pub use crate::otlp::json::{read, to_protobuf};
    }
    pub mod probability {
        pub use crate::otlp::probability::Threshold;
    }
    pub mod span {
        pub use crate::otlp::span::Run;
    }
}

pub mod sampling {
    pub mod decided {
        pub use crate::sampling::decided::{
            DecidedTraces, DecisionRecord, Kept, SamplingDecision, TraceDetails,
        };
    }
    pub mod facts {
        pub use crate::sampling::facts::Summary;
    }
    pub mod policy {
        pub use crate::sampling::policy::{PolicySet, compile};
    }
    pub mod sampler {
        pub use crate::sampling::sampler::{ask_resource, keys_for, runs, summarize};
    }
    pub mod trace {
        pub use crate::sampling::trace::{
            Headers, Limits, OpenTrace, OpenTraces, RecordOffsets, Segment, Trigger,
        };
    }
}

pub mod telemetry {
    pub mod metrics {
        pub use crate::telemetry::metrics::{Family, Kind};
        pub mod table {
            pub use crate::telemetry::metrics::table::GROUPS;
        }
    }
}

pub mod testbed {
    pub mod captures {
        pub use crate::testbed::captures::Capture;
    }
    pub mod generator {
        pub use crate::testbed::generator::{
            Acknowledged, Counters, GeneratedRecord, Layout, Model, ModelSettings,
            ProducerSettings, produce,
        };
    }
    pub mod ledger {
        pub use crate::testbed::ledger::{
            Check, Expectation, Ledger, SpanEntry, SpanFact, TraceEntry, Verdict,
            sampling_threshold,
        };
    }
    pub mod receiver {
        pub use crate::testbed::receiver::{Behaviour, Receiver};
    }
}
