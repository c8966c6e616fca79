//! `status_code`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType, some_span,
};
use crate::options::{Choice, choice, options, split_by_commas};

options! {
    /// Keeps a trace if any of its spans has one of the status codes.
    pub struct StatusCodes {
        /// One of them is enough.
        status_codes: Vec<StatusCode> = split_by_commas(choice()).some("[ERROR]"),
    }
}

/// A span's status code (OTLP `Status.StatusCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// `STATUS_CODE_UNSET`, also where a span has no status.
    Unset = 0,
    /// `STATUS_CODE_OK`.
    Ok = 1,
    /// `STATUS_CODE_ERROR`.
    Error = 2,
}

impl Choice for StatusCode {
    const NAME: &'static str = "StatusCode";
    const ABOUT: &'static str = "A span's status code.";
    const ALL: &'static [(&'static str, Self, &'static str)] = &[
        ("OK", Self::Ok, "The span was marked as a success."),
        ("ERROR", Self::Error, "The span has failed."),
        ("UNSET", Self::Unset, "Nothing was said."),
    ];
}

impl StatusCode {
    /// Its name, as files have it.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, code, _)| *code == self).map_or("", |(name, ..)| name)
    }
}

impl PolicyType for StatusCodes {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let codes = self.status_codes.iter().fold(0, |codes, code| codes | 1 << *code as u8);
        compiler.fact(|predicates| predicates.status(codes), false)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let names: Vec<&str> = self.status_codes.iter().map(|code| code.name()).collect();
        some_span(expression, asked, &format!("is {}", names.join(" or ")))
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        let has_all = StatusCode::ALL.iter().all(|(_, code, _)| self.status_codes.contains(code));
        if has_all { Matching::Always } else { Matching::Sometimes }
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::StatusCode(Self { status_codes }) = other else { return false };
        status_codes.iter().all(|code| self.status_codes.contains(code))
    }
}
