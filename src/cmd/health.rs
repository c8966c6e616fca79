//! `tailsieve health`: whether a member is ready, as an exit code.
//!
//! For what can run a command but not ask a page: the `HEALTHCHECK` of an image without a shell, a
//! unit, a script. Promises to end within the time that is given. Leaves to the member what ready
//! means.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;

use super::admin_client::{AdminClient, AdminUrl};
use super::process::{self, CommandError};

/// Ask a member whether it is ready.
///
/// Prints what its page /readyz says: what is missing, or that it is ready.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  0  ready\n  1  not ready, or no answer\n  2  the file or \
                        the command line is wrong")]
pub struct HealthArgs {
    /// The static file of the member on this machine, which says where it listens (admin.listen)
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// Where its admin pages are
    #[arg(long, value_name = "URL", default_value = "http://localhost:9464")]
    url: AdminUrl,
    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "3s",
        value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Asks, and prints the answer.
///
/// # Errors
/// When there is no answer, or the static file is wrong.
pub fn run(args: &HealthArgs) -> Result<ExitCode, CommandError> {
    let url = match &args.config {
        Some(file) => AdminUrl::of_file(file)?,
        None => args.url.clone(),
    };
    let client = AdminClient::new(args.timeout);
    let page = process::wait_for(client.get(&url, "/readyz"))?.map_err(CommandError::failed)?;
    let code = match page.status {
        StatusCode::OK => ExitCode::SUCCESS,
        StatusCode::SERVICE_UNAVAILABLE => ExitCode::FAILURE,
        status => {
            let url = url.as_str();
            let text = "name the address of a member's admin pages (admin.listen)";
            return Err(CommandError::failed(format_args!(
                "{url}/readyz answers {status}: {text}"
            )));
        }
    };
    process::print(&page.text)?;
    Ok(code)
}
