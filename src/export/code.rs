//! How attempts end: codes of gRPC and HTTP, and their names in logs and metrics.
//!
//! Promises a fixed set of names for each protocol, so that every series is there from the start.
//! An attempt that never reached the backend has a gRPC code, whatever the protocol: `UNAVAILABLE` if
//! the connection is missing or broke, `DEADLINE_EXCEEDED` for a time-out.

use tonic::Code as GrpcCode;

use super::settings::Protocol;

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// A code of gRPC, also for an attempt that got no answer.
    Grpc(GrpcCode),
    /// A status of HTTP.
    Http(u16),
}

impl From<GrpcCode> for Code {
    fn from(code: GrpcCode) -> Self {
        Self::Grpc(code)
    }
}

/// The names of the gRPC codes, in the order of their numbers.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The HTTP statuses that backends and proxies answer with. Others are named by their class.
const HTTP: [(u16, &str); 16] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
];

/// The names of all codes that an attempt over `protocol` can end with; the first one is success.
pub(super) fn names(protocol: Protocol) -> Vec<&'static str> {
    match protocol {
        Protocol::Grpc => GRPC.to_vec(),
        Protocol::Http => {
            let statuses = HTTP.iter().map(|(_, name)| *name);
            statuses
                .chain(["2xx", "3xx", "4xx", "5xx", "UNAVAILABLE", "DEADLINE_EXCEEDED"])
                .collect()
        }
        Protocol::Kafka => vec!["OK", "UNAVAILABLE", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT"],
    }
}

impl Code {
    /// Its name, one of [`names`].
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Grpc(code) => GRPC[code as usize],
            Self::Http(status) => {
                // The first one is success. A failure with status 200 is a web page, not an answer.
                let known = HTTP[1..].iter().find(|(number, _)| *number == status);
                known.map_or_else(|| class(status), |(_, name)| *name)
            }
        }
    }
}

/// The class of a status. A number that is no status counts as an error of the server.
fn class(status: u16) -> &'static str {
    match status {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_grpc_stand_at_their_number() {
        assert_eq!(Code::Grpc(GrpcCode::Ok).name(), "OK");
        assert_eq!(Code::Grpc(GrpcCode::Internal).name(), "INTERNAL");
        assert_eq!(Code::Grpc(GrpcCode::Unauthenticated).name(), "UNAUTHENTICATED");
    }

    #[test]
    fn every_status_has_a_name_of_the_fixed_set() {
        let names = names(Protocol::Http);
        for status in 200..1000 {
            assert!(names.contains(&Code::Http(status).name()), "{status}");
        }
        assert_eq!(Code::Http(429).name(), "429");
        assert_eq!(Code::Http(418).name(), "4xx");
        assert_eq!(Code::Http(200).name(), "2xx", "not the name of success");
        assert_eq!(Code::Http(307).name(), "3xx");
        assert_eq!(Code::Http(599).name(), "5xx");
    }
}
