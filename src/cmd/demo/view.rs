//! The live view: a few lines that are redrawn on a terminal, a plain line now and then
//! otherwise.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::figures::Figures;

/// How often a plain line is written.
const PLAIN_INTERVAL: Duration = Duration::from_secs(2);

/// How far back the rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(1);

pub(super) struct View {
    started: Instant,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    /// When the rate was last taken, at how many spans, and what it was.
    rate: (Instant, f64, f64),
}

impl View {
    pub(super) fn new(started: Instant) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.expect("the template is one"));
            bar
        });
        Self { started, bar, last_line: None, rate: (started, 0.0, 0.0) }
    }

    pub(super) fn show(&mut self, figures: &Figures) {
        let now = Instant::now();
        let (since, spans, _) = self.rate;
        if now - since >= RATE_WINDOW {
            let rate = (figures.received.spans - spans) / (now - since).as_secs_f64();
            self.rate = (now, figures.received.spans, rate);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(self.text(figures, "\n  "));
            bar.tick();
        } else if self.last_line.is_none_or(|last| now - last >= PLAIN_INTERVAL) {
            self.last_line = Some(now);
            eprintln!("{}", self.text(figures, ", "));
        }
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn text(&self, figures: &Figures, separator: &str) -> String {
        let Figures { received, open, kept, .. } = figures;
        let by_policy: Vec<_> =
            figures.kept_by.iter().map(|(policy, traces)| format!("{policy} {traces}")).collect();
        let parts = [
            format!("{:>3} s", self.started.elapsed().as_secs()),
            format!("in {} spans, {:.0}/s", received.spans, self.rate.2),
            format!("open {} traces", open.traces),
            format!("kept {} traces ({})", kept.traces, by_policy.join(", ")),
            format!("drop rate {:.1} %", figures.drop_rate()),
        ];
        parts.join(separator)
    }
}
