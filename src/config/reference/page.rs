//! The page of the static file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::table::{File, Table};
use crate::config::Settings;
use crate::config::kafka::{BROKER_SIDE, REFUSED};
use crate::options::Schemas;

const HEAD: &str = "\
# Configuration

Every option of the static file, which says where spans come from, where kept traces go, and how much memory they may take. The other
file says which traces are kept: [policies](policies.md#options-of-the-file) has its options. This page is printed from the descriptions in the code by which the file
is read. [`config/tailsieve.yaml`](../config/tailsieve.yaml) has the same options as a file to begin with.

```yaml
kafka:
  brokers: kafka:9092
export:
  endpoint: tempo:4317
policies: policies.yaml
```

That is enough: everything else has a default. `tailsieve validate tailsieve.yaml` names every error at once; `tailsieve schema config` prints the JSON
Schema, by which editors complete and check.

**When changes count.** The static file is read once, when a member starts. After a change, restart the members [one after the other](upgrades.md#one-member-after-the-other). Without a
restart these are read again when they change: the policy file, and the files that `tls`, `token_file` and `${file:...}` in the policy file name.

**Values.** A *duration* is a number with a unit (`200ms`, `5s`, `1m30s`, `2h`), or `0` where that is allowed. A *size* is bytes: `1048576`, `64MiB`, `1GB`, or as in Kubernetes `512Mi`.
A *list* with one item may be that item alone. Paths are relative to the file. Any value may be a variable: `${env:NAME}`, `${env:NAME:-default}`,
`${file:PATH}` ([all of them](policies.md#variables)). An unknown option is an error.

**Secrets** show neither in logs nor in errors nor on the status page. Better than in the file they are in a variable or in a file of their own (`token_file`).

**Flags and variables.** `tailsieve run --config FILE` names the file. `--create-topics` creates the topics of the decision log and of the dead letters if they do not exist. `--log` (or the environment
variable `TAILSIEVE_LOG`) and `--log-format` win over [`telemetry`](#telemetry). The variables `OTEL_*` switch [own telemetry](own-telemetry.md) on. Everything else is in the file.
";

/// What is said below the headings of sections, beside what the code says of them.
const TEXTS: &[(&str, &str)] = &[
    (
        "",
        "The sections, and what stands beside them. Exactly one of `export` and `exporters` is needed.",
    ),
    ("kafka", "[What the brokers have to have](guarantees.md#what-the-brokers-have-to-have)."),
    (
        "decision_log",
        "[How it works](guarantees.md). `tailsieve run --create-topics` creates the topic, and that of its index.",
    ),
    ("decision_log.index", "[What it is for](retrieval.md#the-index)."),
    ("buffer", "`tailsieve size` says [how much a load needs](performance.md#sizing)."),
    (
        "export",
        "With `export` there is one place, with the name `default`. With `exporters` there are several: each has a name \
         (up to 64 letters, digits, `-`, `_`, `.`, `/`) and these options, and a policy may say which of them it sends to. \
         [Where kept traces go](export.md) says how requests are repeated, split and refused.",
    ),
    ("export.auth", "[More on logging in](export.md#auth)."),
    ("export.tls", "[More on TLS](export.md#tls)."),
    (
        "export.retry_on_failure",
        "[What happens to a request](export.md#what-happens-to-a-request).",
    ),
    ("dead_letter", "[Dead letters](dead-letters.md)."),
    ("annotate", "[Probability](policies.md#probability) says what the threshold means."),
    (
        "admin",
        "[The status page](status-page.md), `/metrics`, `/readyz`, `/livez`, `/policies`, `/api/v1`.",
    ),
    ("telemetry", ""),
];

fn page() -> String {
    let mut schemas = Schemas::default();
    let root = schemas.object::<Settings>();
    let keys = std::mem::take(&mut schemas.keys);
    let root = serde_json::from_str(&schemas.print("", root)).expect("a schema is JSON");
    let file = File { root, keys };
    let mut page = HEAD.to_owned();
    let mut printed = BTreeSet::new();
    print(&file, "Settings", "", &mut page, &mut printed);
    let texts: BTreeSet<String> = TEXTS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert!(texts.is_subset(&printed), "texts of sections that there are not: {texts:?}");
    page
}

/// Prints a section, and then those in it.
fn print<'f>(
    file: &'f File,
    name: &'f str,
    path: &str,
    page: &mut String,
    printed: &mut BTreeSet<String>,
) {
    printed.insert(path.to_owned());
    let table = Table { file, name, path };
    let level = if path.contains('.') { "###" } else { "##" };
    let title = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
    let about = file.definition(name)["description"].as_str().unwrap_or_default();
    let about = if path.is_empty() { "" } else { about };
    let text = TEXTS.iter().find(|(known, _)| *known == path).map_or("", |(_, text)| text);
    let _ = write!(page, "\n{level} {title}\n\n{}\n\n", format!("{about} {text}").trim());
    table.print(page);
    if path == "kafka" {
        refused(page);
    }
    for (key, schema) in table.options() {
        if let Some(section) = file.section_of(schema) {
            print(file, section, &table.path_of(key), page, printed);
        }
    }
}

/// The settings of librdkafka that may not be set.
fn refused(page: &mut String) {
    page.push_str("\nNot allowed among `properties`:\n\n");
    for (name, why) in REFUSED {
        let _ = writeln!(page, "- `{name}`: {why}");
    }
    let names = BROKER_SIDE.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(page, "- {names} with `group_protocol: consumer`: they are set on the broker");
}

#[test]
fn the_page_is_printed_from_the_descriptions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("TAILSIEVE_UPDATE").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let hint = "docs/configuration.md is not what the code says; \
                TAILSIEVE_UPDATE=1 cargo test --lib config::reference writes it";
    assert!(found == page(), "{hint}");
}
