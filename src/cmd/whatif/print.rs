//! What is printed of an outcome, and how the command ends with it.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use super::format;
use super::gate::{self, Condition, Judged};
use super::html;
use super::suggest::{self, Suggestion};
use super::summary::{Scale, Summary};
use super::text;
use crate::cmd::process::{self, CommandError};
use crate::whatif::Outcome;

/// When there is nothing to compare.
pub(super) const EXIT_NOTHING: u8 = 3;

/// When Kafka does not have all of the range any more.
pub(super) const EXIT_GONE: u8 = 4;

/// When it cannot be compared, and no file or argument mends that.
pub(super) const EXIT_FAILED: u8 = 5;

/// How it is printed, and when it is a failure.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PrintArgs {
    /// What 1 GB (10^9 bytes) of kept spans costs
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price_per_gb: Option<f64>,
    /// Exit with 1 if this holds, such as 'lost(errors) > 0' or 'bytes > +10%'; may be given several times
    #[arg(long, value_name = "CONDITION", value_parser = gate::condition)]
    fail_if: Vec<Condition>,
    /// Say what could be left out or changed, as the traffic says
    #[arg(long)]
    suggest: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For a terminal
    Text,
    /// For programs, and for `whatif merge`
    Json,
    /// A page, in one file
    Html,
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse::<f64>().ok().filter(|price| (0.0..=1e9).contains(price));
    price.ok_or_else(|| "expected a price, such as 0.50".to_owned())
}

impl PrintArgs {
    /// Whether the arguments go together.
    ///
    /// # Errors
    /// When a price is missing.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        if self.price_per_gb.is_none() && self.fail_if.iter().any(Condition::needs_price) {
            return Err(CommandError::usage("--fail-if is about money: give --price-per-gb"));
        }
        Ok(())
    }

    /// Prints an outcome, and says how the command ends. `names` are policies that are known beside those of
    /// the outcome.
    ///
    /// # Errors
    /// When a condition names a policy that nobody knows, or it cannot be written.
    pub(super) fn print<'a>(
        &'a self,
        outcome: &'a Outcome,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<ExitCode, CommandError> {
        self.check_names(outcome, names)?;
        let scale = Scale::of(outcome, self.price_per_gb);
        let mut judged = Vec::new();
        for (_, candidate) in format::files(outcome) {
            let summary = Summary::of(candidate, &scale);
            let all = self.fail_if.iter();
            judged.extend(all.map(|it| (it, candidate.file.clone(), it.judge(&summary))));
        }
        let out = BufWriter::new(io::stdout().lock());
        process::seen_enough(self.write(out, outcome, &scale, &judged).map_err(Into::into))?;
        let compared = outcome.candidates.iter().any(|it| it.tally.square().all().traces > 0);
        if !compared {
            eprintln!("error: {}", format::nothing(outcome));
        }
        Ok(match outcome.is_cut {
            _ if judged.iter().any(|(_, _, judged)| judged.holds) => ExitCode::FAILURE,
            _ if !compared => ExitCode::from(EXIT_NOTHING),
            true => ExitCode::from(EXIT_GONE),
            false => ExitCode::SUCCESS,
        })
    }

    fn write(
        &self,
        mut out: impl Write,
        outcome: &Outcome,
        scale: &Scale,
        judged: &[(&Condition, String, Judged)],
    ) -> io::Result<()> {
        match self.output {
            Output::Text => {
                text::write_head(&mut out, outcome, scale)?;
                for (number, _) in format::files(outcome) {
                    text::write_candidate(&mut out, outcome, number, scale)?;
                    text::write_suggestions(&mut out, &self.suggestions(outcome, number, scale))?;
                }
                if !judged.is_empty() {
                    writeln!(out)?;
                }
                text::write_gates(&mut out, judged)?;
            }
            Output::Json => {
                writeln!(out, "{}", self.json(outcome, scale)?)?;
                text::write_gates(&mut io::stderr(), judged)?;
            }
            Output::Html => {
                writeln!(
                    out,
                    "{}",
                    html::page(outcome, scale, judged, |number| self
                        .suggestions(outcome, number, scale))
                )?;
                text::write_gates(&mut io::stderr(), judged)?;
            }
        }
        out.flush()
    }

    /// A condition on a policy that nobody knows would never hold.
    fn check_names<'a>(
        &'a self,
        outcome: &'a Outcome,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), CommandError> {
        let tallies = outcome.candidates.iter().map(|it| &it.tally);
        let of_candidates = tallies.clone().flat_map(|it| &it.policies).map(|it| &*it.name);
        let cells = tallies.flat_map(|it| &it.cells);
        let on_record = cells.filter_map(|cell| cell.old.policy.as_deref());
        let known: BTreeSet<&str> = of_candidates.chain(on_record).chain(names).collect();
        for condition in &self.fail_if {
            let Some(policy) = condition.policy().filter(|it| !known.contains(it)) else {
                continue;
            };
            let known = known.iter().map(|it| format::name(it)).collect::<Vec<_>>().join(", ");
            return Err(CommandError::usage(format_args!(
                "--fail-if '{}': there is no policy {policy}; there are {known}",
                condition.text()
            )));
        }
        Ok(())
    }

    fn suggestions(&self, outcome: &Outcome, number: usize, scale: &Scale) -> Vec<Suggestion> {
        let suggest = || suggest::suggestions(&outcome.candidates[number], scale);
        if self.suggest { suggest() } else { Vec::new() }
    }

    /// The outcome, which `merge` reads again, with what is said of each candidate.
    fn json(&self, outcome: &Outcome, scale: &Scale) -> io::Result<String> {
        let mut value = serde_json::to_value(outcome)?;
        for (number, candidate) in outcome.candidates.iter().enumerate() {
            let summary = serde_json::to_value(Summary::of(candidate, scale))?;
            let candidate = &mut value["candidates"][number];
            candidate["summary"] = summary;
            if self.suggest {
                candidate["suggestions"] =
                    serde_json::to_value(self.suggestions(outcome, number, scale))?;
            }
        }
        Ok(serde_json::to_string_pretty(&value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::an_outcome;
    use super::*;

    /// Guarantee: whatever is printed says of a policy with budgets that it is simulated, and of no other one.
    #[test]
    fn policies_with_budgets_are_marked() {
        let mut outcome = an_outcome();
        let policies = &mut outcome.candidates[0].tally.policies;
        policies.iter_mut().find(|it| it.name == "more").unwrap().simulated = true;
        let scale = Scale::of(&outcome, None);
        let printed = |output| {
            let (price_per_gb, fail_if, suggest) = (None, Vec::new(), false);
            let args = PrintArgs { price_per_gb, fail_if, suggest, output };
            let mut out = Vec::new();
            args.write(&mut out, &outcome, &scale, &[]).unwrap();
            String::from_utf8(out).unwrap()
        };
        let on_the_page = "<bdi>more</bdi> <span class=\"tag\">simulated</span>";
        for (output, mark, marked) in [
            (Output::Text, "(simulated)", "more (simulated)"),
            (Output::Html, ">simulated</span>", on_the_page),
        ] {
            let said = printed(output);
            assert!(said.contains(marked), "{marked}");
            assert_eq!(said.matches(mark).count(), 1, "{mark}");
        }
        let said: serde_json::Value = serde_json::from_str(&printed(Output::Json)).unwrap();
        for all in
            [&said["candidates"][0]["policies"], &said["candidates"][0]["summary"]["policies"]]
        {
            for policy in all.as_array().unwrap() {
                assert_eq!(policy["simulated"], policy["name"] == "more", "{policy}");
            }
        }
    }
}
