//! Which of tailsieve's own traces are recorded: `OTEL_TRACES_SAMPLER`.
//!
//! All of them begin here, so samplers that follow a parent and those that do not are the same.

use super::environment::Environment;

/// The share of own traces that is recorded.
pub(super) fn ratio(environment: &Environment<'_>) -> f64 {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let choices = [
        ("always_on", Some(1.0)),
        ("always_off", Some(0.0)),
        ("traceidratio", None),
        ("parentbased_always_on", Some(1.0)),
        ("parentbased_always_off", Some(0.0)),
        ("parentbased_traceidratio", None),
    ];
    let text = environment.text(SAMPLER);
    let chosen = text.and_then(|text| environment.choice((SAMPLER, &text), &choices));
    match chosen {
        None => 1.0,
        Some(Some(share)) => share,
        Some(None) => {
            let Some(text) = environment.text(ARGUMENT) else { return 1.0 };
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            if ratio.is_none() {
                environment
                    .warn(format!("{ARGUMENT}={text} is ignored: expected a number from 0 to 1"));
            }
            ratio.unwrap_or(1.0)
        }
    }
}

/// Whether a trace is recorded at this share: by the last 56 bits of its id, as consistent probability
/// sampling has it.
pub(super) fn is_sampled(trace_id: [u8; 16], ratio: f64) -> bool {
    const ALL: f64 = (1_u64 << 56) as f64;
    let randomness = u128::from_be_bytes(trace_id) & ((1 << 56) - 1);
    randomness >= ((1.0 - ratio) * ALL) as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> (f64, usize) {
        let read = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        let environment = Environment::new(&read);
        (ratio(&environment), environment.warnings().len())
    }

    #[test]
    fn samplers_are_a_share_of_traces() {
        let sampler = |name, argument| {
            of(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)])
        };
        assert_eq!(of(&[]), (1.0, 0));
        assert_eq!(sampler("always_off", "1"), (0.0, 0));
        assert_eq!(sampler("parentbased_traceidratio", "0.25"), (0.25, 0));
        assert_eq!(sampler("traceidratio", ""), (1.0, 0));
        assert_eq!(sampler("traceidratio", "2"), (1.0, 1));
        assert_eq!(sampler("jaeger_remote", ""), (1.0, 1));
    }

    #[test]
    fn the_share_is_that_of_the_ids() {
        let id = |randomness: u128| randomness.to_be_bytes();
        assert!(is_sampled(id(0), 1.0) && !is_sampled(id((1 << 56) - 1), 0.0));
        let half = 1 << 55;
        assert!(is_sampled(id(half), 0.5) && !is_sampled(id(half - 1), 0.5));
        assert!(is_sampled(id(1 << 60 | half), 0.5), "only 56 bits count");
    }
}
