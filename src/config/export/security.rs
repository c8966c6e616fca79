//! How an exporter encrypts its connections and says who it is.

use std::path::{Path, PathBuf};

use super::super::document::Node;
use super::super::reader::Section;
use super::super::values;
use super::{Context, pasted};
use crate::export::{Auth, Secret, TlsSettings, TlsVersion};

const VERSIONS: &[(&str, TlsVersion)] = &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

/// `auth`, if it is there; paths in it are relative to `folder`.
pub(super) fn auth(exporter: &mut Section<'_>, folder: &Path) -> Option<Auth> {
    exporter.node("auth")?;
    let mut section = exporter.section("auth");
    let (has_basic, has_bearer) = (section.has("basic"), section.has("bearer"));
    let (basic, bearer) = (section.section("basic"), section.section("bearer"));
    if has_basic == has_bearer {
        let message = "expected one of `basic` and `bearer`";
        section.problem(message, "bearer: {token_file: /var/run/secrets/token}");
    }
    section.finish();
    if has_basic {
        self::basic(basic)
    } else if has_bearer {
        self::bearer(bearer, folder)
    } else {
        None
    }
}

fn basic(mut section: Section<'_>) -> Option<Auth> {
    let username = section.required("username", "tailsieve", values::name);
    let password = section.required("password", "${env:OTLP_PASSWORD}", values::name);
    section.finish();
    Some(Auth::Basic { username: username?, password: Secret::new(password?) })
}

fn bearer(mut section: Section<'_>, folder: &Path) -> Option<Auth> {
    let token = section.optional("token", values::name);
    let file = section.optional("token_file", path(folder));
    if section.has("token") == section.has("token_file") {
        let message = "expected one of `token` and `token_file`";
        section.problem(message, "token_file: /var/run/secrets/token");
    }
    section.finish();
    match (token, file) {
        (Some(token), _) => Some(Auth::Bearer(Secret::new(token))),
        (None, file) => file.map(Auth::BearerFile),
    }
}

/// `tls`, if it is there.
pub(super) fn tls(exporter: &mut Section<'_>, context: Context<'_>) -> Option<TlsSettings> {
    let folder = context.folder;
    exporter.node("tls")?;
    let mut section = exporter.section("tls");
    let mut tls = TlsSettings::default();
    section.read("insecure", &mut tls.insecure, values::boolean);
    section.read("insecure_skip_verify", &mut tls.insecure_skip_verify, values::boolean);
    tls.ca_file = section.optional("ca_file", path(folder));
    let system = &mut tls.include_system_ca_certs_pool;
    section.read("include_system_ca_certs_pool", system, values::boolean);
    tls.cert_file = section.optional("cert_file", path(folder));
    tls.key_file = section.optional("key_file", path(folder));
    tls.server_name_override = section.optional("server_name_override", values::name);
    section.read("min_version", &mut tls.min_version, values::choice(VERSIONS));
    section.read("reload_interval", &mut tls.reload_interval, values::duration);
    pasted::tls(&mut section, context);
    section.finish();
    Some(tls)
}

fn path(folder: &Path) -> impl Fn(&Node) -> Result<PathBuf, String> {
    move |node| values::name(node).map(|path| folder.join(path))
}
