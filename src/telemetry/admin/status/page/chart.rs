//! Small charts of the last minutes, as SVG that needs neither style nor script.

use std::fmt::Write as _;

use maud::{Markup, html};

/// Its size in its own units; it is stretched to the room that it has.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// What a chart shows.
pub(super) struct Chart<'a> {
    /// What it is of.
    pub(super) title: &'a str,
    /// How its colour is called in the style sheet.
    pub(super) class: &'static str,
    /// The oldest first.
    pub(super) values: &'a [f64],
    /// The last one, which may be newer.
    pub(super) now: f64,
    /// How a value is written.
    pub(super) write: &'a dyn Fn(f64) -> String,
}

impl Chart<'_> {
    /// The chart, with what it says in words.
    pub(super) fn render(&self) -> Markup {
        let most = self.values.iter().copied().fold(self.now, f64::max);
        let least = self.values.iter().copied().fold(self.now, f64::min);
        let [now, least, most_text] = [self.now, least, most].map(self.write);
        let words =
            format!("{}, last minutes: now {now}, least {least}, most {most_text}", self.title);
        html! {
            figure class="chart" {
                figcaption {
                    span class="title" { (self.title) }
                    span class="now" { (now) }
                    span class="range" { "most " (most_text) }
                }
                svg class=(self.class) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
                    preserveAspectRatio="none" role="img" aria-label=(words) {
                    @if self.values.len() > 1 {
                        path class="area" d=(self.area(most)) {}
                        polyline class="line" points=(self.line(most)) {}
                    }
                }
            }
        }
    }

    fn line(&self, most: f64) -> String {
        let mut points = String::new();
        for (x, y) in self.points(most) {
            let _ = write!(points, "{x:.1},{y:.1} ");
        }
        points
    }

    fn area(&self, most: f64) -> String {
        let mut path = format!("M0 {HEIGHT}");
        for (x, y) in self.points(most) {
            let _ = write!(path, "L{x:.1} {y:.1}");
        }
        let _ = write!(path, "L{WIDTH} {HEIGHT}Z");
        path
    }

    fn points(&self, most: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let step = WIDTH / (self.values.len().max(2) - 1) as f64;
        let scale = if most > 0.0 { (HEIGHT - 2.0) / most } else { 0.0 };
        let values = self.values.iter().enumerate();
        values.map(move |(place, value)| (place as f64 * step, HEIGHT - 1.0 - value * scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64], now: f64) -> String {
        let write = |value: f64| format!("{value}/s");
        Chart { title: "in", class: "in", values, now, write: &write }.render().into_string()
    }

    #[test]
    fn a_chart_says_what_it_shows_and_stays_in_its_frame() {
        let text = chart(&[0.0, 5.0, 10.0], 8.0);
        assert!(text.contains("now 8/s, least 0/s, most 10/s"), "{text}");
        assert!(text.contains("points=\"0.0,47.0 120.0,24.0 240.0,1.0 \""), "{text}");
    }

    #[test]
    fn nothing_known_is_an_empty_chart() {
        for values in [&[][..], &[0.0], &[0.0, 0.0]] {
            let text = chart(values, 0.0);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
