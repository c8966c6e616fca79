//! `tailsieve top`: the status of members in a terminal.
//!
//! Asks each member for its `/api/v1/status`, and shows all of them together. What is known, what is
//! chosen and what is drawn are functions of what came in; only this file and [`screen`] have to do
//! with threads, sockets and the terminal. Promises that a member which does not answer keeps no
//! other one from being shown.

mod app;
mod draw;
mod fleet;
mod format;
mod once;
mod report;
mod screen;
mod snapshot;
mod stop;
mod table;
mod tables;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use http::StatusCode;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::admin_client::{AdminClient, AdminUrl, AskError};
use super::printable::printable;
use super::process::{self, CommandError, Process};
use crate::clock;
use app::{App, Wish};
use draw::Looks;
use fleet::Fleet;
use report::Report;
use screen::Screen;
use snapshot::Snapshot;

/// What is asked for.
const STATUS: &str = "/api/v1/status";

/// What all members usually have, which says nothing of one.
const USUAL_PORT: &str = ":9464";

/// Answers and keys that wait to be shown. Who sends more of them waits.
const WAITING: usize = 64;

/// Characters of a page that says why it is no status.
const LONGEST_REASON: usize = 200;

/// Show the status of members in the terminal, live.
///
/// What their status pages show, of all of them together: the flow with rates and charts, members,
/// partitions with both lags, policies, the latest kept traces, the latest errors. Press ? for help.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit codes:\n  0  ended by q, Ctrl-C or SIGTERM; with --once, every member \
                        answered\n  1  with --once, a member did not answer\n  2  the file or the \
                        command line is wrong"
)]
pub struct TopArgs {
    /// Where the admin pages of the members are (admin.listen)
    #[arg(value_name = "ADDRESS", default_value = "localhost:9464")]
    members: Vec<AdminUrl>,
    /// The static file of the member on this machine, which says where it listens (admin.listen)
    #[arg(long, value_name = "FILE", conflicts_with = "members")]
    config: Option<PathBuf>,
    /// How often members are asked; at least 1s
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval_of)]
    interval: Duration,
    /// How long an answer may take
    #[arg(long, value_name = "DURATION", default_value = "3s",
        value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print what is to be seen now as plain text, with exact numbers; so it is, too, where standard
    /// output is no terminal
    #[arg(long)]
    once: bool,
}

/// Members look at themselves once a second.
fn interval_of(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if interval >= Duration::from_secs(1) => Ok(interval),
        Ok(_) => Err("members look at themselves once a second; expected 1s or more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Shows members until it is told to stop, or once.
///
/// # Errors
/// When the static file is wrong, or the terminal cannot be used.
pub fn run(args: &TopArgs) -> Result<ExitCode, CommandError> {
    let members = match &args.config {
        Some(file) => vec![AdminUrl::of_file(file)?],
        None => args.members.clone(),
    };
    for (place, member) in members.iter().enumerate() {
        if members[..place].contains(member) {
            let member = member.as_str();
            return Err(CommandError::usage(format_args!("{member} is named twice")));
        }
    }
    // In a container it may be missing, and the terminal be a good one.
    let is_plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if args.once || is_plain || !io::stdout().is_terminal() {
        return once(args, members);
    }
    watch(args, members)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks each member once, all at the same time.
fn once(args: &TopArgs, members: Vec<AdminUrl>) -> Result<ExitCode, CommandError> {
    let mut fleet = fleet(&members);
    let client = AdminClient::new(args.timeout);
    process::wait_for(async {
        let mut asked = JoinSet::new();
        for (number, member) in members.into_iter().enumerate() {
            let client = client.clone();
            asked.spawn(async move { (number, ask(&client, &member).await) });
        }
        while let Some(Ok((number, answer))) = asked.join_next().await {
            fleet.take(number, clock::now(), answer);
        }
    })?;
    process::print(&once::text(&Snapshot::of(&fleet, clock::now())))?;
    Ok(if fleet.all_answer() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What happens while members are shown.
enum News {
    /// A member answered, or did not.
    Answer(usize, Box<Result<Report, String>>),
    /// A key, or another size.
    Event(Event),
    /// There is nothing more to come: the terminal is gone, or a signal came.
    End,
}

/// Shows members until it is told to stop.
fn watch(args: &TopArgs, members: Vec<AdminUrl>) -> Result<(), CommandError> {
    let (sender, news) = mpsc::channel(WAITING);
    let on_signal = sender.clone();
    // If there is no room for it, there is news: the flag is looked at with any.
    let (runtime, stop) =
        Process::start()?.stop_flag_told(move |_| drop(on_signal.try_send(News::End)));
    let app = App::new(fleet(&members));
    let client = AdminClient::new(args.timeout);
    for (number, member) in members.into_iter().enumerate() {
        let (client, sender) = (client.clone(), sender.clone());
        runtime.spawn(ask_again(client, (number, member), args.interval, sender));
    }
    let screen = Screen::open()?;
    thread::Builder::new().name("terminal".to_owned()).spawn(move || listen(&sender))?;
    let looks = Looks {
        interval: humantime::format_duration(args.interval).to_string(),
        has_colors: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let ended = show(screen, app, news, (&looks, &stop));
    runtime.shutdown_background();
    Ok(ended?)
}

fn show(
    mut screen: Screen,
    mut app: App,
    mut news: Receiver<News>,
    (looks, stop): (&Looks, &AtomicBool),
) -> io::Result<()> {
    loop {
        let snapshot = app.snapshot(clock::now());
        screen.draw(|frame| draw::draw(frame, &mut app, &snapshot, looks))?;
        let mut next = news.blocking_recv();
        // All that has come meanwhile is drawn at once.
        while let Some(what) = next {
            let wish = match what {
                News::Answer(member, answer) => {
                    app.fleet.take(member, clock::now(), *answer);
                    Wish::Nothing
                }
                News::Event(Event::Key(key)) => app.key(key, clock::now()),
                News::Event(_) => Wish::Nothing,
                News::End => Wish::Quit,
            };
            match wish {
                Wish::Quit => return Ok(()),
                Wish::Redraw => screen.clear()?,
                Wish::Nothing => {}
            }
            next = news.try_recv().ok();
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// Tells of keys until the terminal is gone.
fn listen(sender: &Sender<News>) {
    loop {
        let (news, is_end) = match event::read() {
            Ok(event) => (News::Event(event), false),
            Err(_) => (News::End, true),
        };
        if sender.blocking_send(news).is_err() || is_end {
            return;
        }
    }
}

fn fleet(members: &[AdminUrl]) -> Fleet {
    Fleet::new(members.iter().map(|member| {
        let address = member.as_str();
        let address = address.strip_prefix("http://").unwrap_or(address);
        printable(address.strip_suffix(USUAL_PORT).unwrap_or(address), LONGEST_REASON)
    }))
}

/// Asks a member again and again.
async fn ask_again(
    client: AdminClient,
    (number, member): (usize, AdminUrl),
    every: Duration,
    sender: Sender<News>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = Box::new(ask(&client, &member).await);
        if sender.send(News::Answer(number, answer)).await.is_err() {
            return;
        }
    }
}

/// What a member says, or why it says nothing.
async fn ask(client: &AdminClient, member: &AdminUrl) -> Result<Report, String> {
    let page = client.get(member, STATUS).await.map_err(|error| match error {
        AskError::NoAnswer { reason, .. } => printable(&reason, LONGEST_REASON),
        AskError::TimeOut { timeout, .. } => {
            format!("no answer within {}", humantime::format_duration(timeout))
        }
    })?;
    match page.status {
        StatusCode::OK => Report::read(&page.text),
        status => {
            let why = page.text.lines().next().unwrap_or_default();
            let why = printable(why, LONGEST_REASON);
            let text = "expected the address of a member's admin pages (admin.listen)";
            Err(format!("answers {status}: {}", if why.is_empty() { text } else { &why }))
        }
    }
}

#[cfg(test)]
mod tests;
