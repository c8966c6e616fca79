//! Tells the binary which commit it is built from, and for which machine, for `--version`.
//!
//! Needs neither git nor a repository: a source archive has the commit in `src/commit.txt`
//! (`export-subst`), and who builds an image may name it in `TAILSIEVE_COMMIT`. Debug builds ask
//! nobody, so that a commit does not cause a build.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=TAILSIEVE_COMMIT");
    println!("cargo:rustc-env=TAILSIEVE_TARGET={}", env::var("TARGET").unwrap_or_default());
    let commit = named().or_else(archived).or_else(checked_out);
    let is_debug = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    let unknown = if is_debug { "unknown (a debug build)" } else { "unknown" };
    println!("cargo:rustc-env=TAILSIEVE_COMMIT={}", commit.as_deref().unwrap_or(unknown));
}

fn named() -> Option<String> {
    env::var("TAILSIEVE_COMMIT").ok().filter(|commit| !commit.is_empty())
}

/// The commit that `git archive` has written into the file.
fn archived() -> Option<String> {
    println!("cargo:rerun-if-changed=src/commit.txt");
    let text = fs::read_to_string("src/commit.txt").ok()?;
    let commit = text.trim();
    (!commit.contains('$') && !commit.is_empty()).then(|| commit.to_owned())
}

/// The commit that is checked out here.
fn checked_out() -> Option<String> {
    if env::var("PROFILE").ok()? == "debug" {
        return None;
    }
    // An archive may lie within the repository of somebody else.
    let root = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if root != fs::canonicalize(env::var("CARGO_MANIFEST_DIR").ok()?).ok()? {
        return None;
    }
    for name in ["HEAD", "logs/HEAD"] {
        let file = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&file).exists() {
            println!("cargo:rerun-if-changed={file}");
        }
    }
    for built_from in ["src", "proto", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={built_from}");
    }
    let changes =
        git(&["status", "--porcelain", "--", "src", "proto", "Cargo.toml", "Cargo.lock"])?;
    let commit = git(&["rev-parse", "HEAD"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}, changed") })
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
