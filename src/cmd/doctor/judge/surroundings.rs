//! The backend, and this machine.

use super::super::facts::{Facts, Plan};
use super::super::finding::Finding;
use super::unanswered;
use crate::export::BackendCheckError;
use crate::otel::SignalCheck;

const BACKEND: &str = "backend";
const OWN_TELEMETRY: &str = "own telemetry";
const ADMIN: &str = "admin pages";

pub(super) fn judge(plan: &Plan, facts: &Facts, findings: &mut Vec<Finding>) {
    match &facts.backends {
        None => findings.push(unanswered(BACKEND)),
        Some(answers) => findings.extend(answers.iter().map(backend)),
    }
    match &facts.own_telemetry {
        None => findings.push(unanswered(OWN_TELEMETRY)),
        Some(Ok(answers)) => findings.extend(answers.iter().map(own_telemetry)),
        Some(Err(error)) => {
            let fix = "correct the variable, or unset it; a member does not start like this";
            findings.push(Finding::error(OWN_TELEMETRY, error.clone(), fix));
        }
    }
    findings.push(match &facts.admin {
        None => unanswered(ADMIN),
        Some(Ok(())) => Finding::ok(ADMIN, format!("{} is free", plan.admin_listen)),
        Some(Err(error)) => {
            let text = format!("{} cannot be listened on: {error}", plan.admin_listen);
            let fix = "nothing, if a member runs here already; otherwise set admin.listen to a \
                       free port";
            Finding::warning(ADMIN, text, fix)
        }
    });
}

fn own_telemetry((target, answer): &SignalCheck) -> Finding {
    match answer {
        Ok(()) => Finding::ok(OWN_TELEMETRY, format!("{target} is accepted")),
        Err(error) => {
            let text = format!("{target} is not accepted: {error}");
            let fix = "correct OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL (4318 is \
                       http/protobuf, 4317 is grpc); spans are not affected";
            Finding::warning(OWN_TELEMETRY, text, fix)
        }
    }
}

fn backend((target, answer): &(String, Result<(), BackendCheckError>)) -> Finding {
    match answer {
        Ok(()) => Finding::ok(BACKEND, format!("{target} takes spans")),
        Err(BackendCheckError::Settings(error)) => {
            Finding::error(BACKEND, error.to_string(), "correct section export")
        }
        Err(BackendCheckError::Refused { code, message, hint }) => {
            let text = format!("{target} does not take spans: {code}: {message}");
            Finding::error(BACKEND, text, hint.unwrap_or_else(|| backend_fix(code)))
        }
    }
}

fn backend_fix(code: &str) -> &'static str {
    match code {
        "UNAUTHENTICATED" | "PERMISSION_DENIED" | "401" | "403" => {
            "set export.auth or export.headers: Authorization, or X-Scope-OrgID where there are \
             tenants"
        }
        "UNIMPLEMENTED" | "NOT_FOUND" | "INTERNAL" | "UNKNOWN" => {
            "this is no OTLP receiver for traces over this protocol: correct export.endpoint \
             (4317 is gRPC, 4318 is HTTP)"
        }
        "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "502" | "503" | "504" => {
            "start the backend, correct export.endpoint (host:port of its OTLP receiver), or open \
             the way to it"
        }
        _ => "look at the backend's logs",
    }
}
