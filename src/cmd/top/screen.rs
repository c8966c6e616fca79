//! The terminal, taken over and given back.
//!
//! Promises that it is given back as it was: when the screen is dropped, and before the message of a
//! panic of any thread, which then ends the process.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::process;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::Print;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};

/// What a terminal that orders right-to-left text by itself needs to be told so that columns stay
/// where they are: explicit mode, and back to implicit mode (BDSM of ECMA-48). Others pass it over.
const EXPLICIT_ORDER: &str = "\x1b[8l";
const IMPLICIT_ORDER: &str = "\x1b[8h";

/// The exit code of a panic, as Rust has it.
const EXIT_PANIC: i32 = 101;

/// A terminal that is ours.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes it over.
    ///
    /// # Errors
    /// When it is none, or cannot be written to.
    pub(super) fn open() -> io::Result<Self> {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            tell(info);
            // Whichever thread it is: without it, what is drawn would stand still or be wrong.
            process::exit(EXIT_PANIC);
        }));
        enable_raw_mode()?;
        let screen = Self(Terminal::new(CrosstermBackend::new(stdout()))?);
        execute!(stdout(), EnterAlternateScreen, Hide, Print(EXPLICIT_ORDER))?;
        Ok(screen)
    }

    /// Draws anew what has changed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(drop)
    }

    /// Forgets what stands there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives it back. A terminal that is gone needs nothing.
fn restore() {
    let _ = execute!(stdout(), Print(IMPLICIT_ORDER), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;

    /// Set for the test that ends its process.
    const PANICS: &str = "TAILSIEVE_TEST_PANICS";

    #[test]
    #[ignore = "is run by the next one, in a terminal of its own"]
    fn a_thread_panics() {
        // Where ignored tests are run like others, this one must not end them.
        if env::var_os(PANICS).is_none() {
            return;
        }
        let _screen = Screen::open().unwrap();
        let _ = thread::spawn(|| panic!("planted")).join();
        unreachable!("the process has ended");
    }

    #[test]
    fn a_panic_of_any_thread_gives_the_terminal_back_and_is_read_there() {
        let test = env::current_exe().unwrap();
        let name = "cmd::top::screen::tests::a_thread_panics";
        let shell = format!(
            "'{}' --exact {name} --ignored --nocapture; echo ended $?; stty -a",
            test.display()
        );
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &shell, "/dev/null"])
            .env(PANICS, "1")
            .stdin(Stdio::null())
            .output()
            .expect("script (bsdutils, util-linux) starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let (drawn, after) = text.rsplit_once("\x1b[?1049l").unwrap();
        assert!(drawn.contains("\x1b[?1049h") && !drawn.contains("planted"), "{text:?}");
        assert!(after.contains("planted") && after.contains("ended 101"), "{text:?}");
        let is_set = |setting: &str| after.split_whitespace().any(|word| word == setting);
        assert!(is_set("icanon") && is_set("echo") && is_set("isig"), "{text:?}");
    }
}
