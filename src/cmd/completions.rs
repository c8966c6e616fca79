//! `tailsieve completions`: what a shell needs to complete our commands and options.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::aot;

use super::cli::Cli;
use super::process::{self, CommandError};

/// Print the script by which a shell completes commands and options.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "Where shells look for it:
  bash  tailsieve completions bash > ~/.local/share/bash-completion/completions/tailsieve
  zsh   tailsieve completions zsh > \"${fpath[1]}/_tailsieve\"
  fish  tailsieve completions fish > ~/.config/fish/completions/tailsieve.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: CompletionsArgs) -> Result<ExitCode, CommandError> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command(), "tailsieve", &mut script);
    process::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
