//! Who tells: the resource of all own telemetry.
//!
//! Source: OpenTelemetry's semantic conventions for `service`, and the resource part of its specification.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::encode;
use super::environment::Environment;
use super::headers;

const NAME: &str = "service.name";
const VERSION: &str = "service.version";
const INSTANCE: &str = "service.instance.id";

/// The resource that the environment describes. `instance` tells this process apart where the
/// environment does not; without one, it gets an id of its own, as the conventions recommend it.
pub(super) fn of(environment: &Environment<'_>, instance: Option<&str>) -> Resource {
    let mut attributes = given(environment);
    if let Some(name) = environment.text("OTEL_SERVICE_NAME") {
        attributes.retain(|(key, _)| key != NAME);
        attributes.push((NAME.to_owned(), name));
    }
    let mut fill = |key: &str, value: &dyn Fn() -> String| {
        if attributes.iter().all(|(known, _)| known != key) {
            attributes.push((key.to_owned(), value()));
        }
    };
    fill(NAME, &|| env!("CARGO_PKG_NAME").to_owned());
    fill(VERSION, &|| env!("CARGO_PKG_VERSION").to_owned());
    fill(INSTANCE, &|| instance.map_or_else(random_uuid, str::to_owned));
    let attributes: Vec<KeyValue> =
        attributes.iter().map(|(key, value)| encode::text(key, value)).collect();
    Resource { attributes, ..Resource::default() }
}

/// What `OTEL_RESOURCE_ATTRIBUTES` gives; nothing at all if a part of it cannot be read.
fn given(environment: &Environment<'_>) -> Vec<(String, String)> {
    const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let text = environment.text(VARIABLE).unwrap_or_default();
    let mut attributes: Vec<(String, String)> = Vec::new();
    match headers::pairs(&text) {
        Ok(pairs) => {
            for (key, value) in pairs {
                attributes.retain(|(known, _)| *known != key);
                attributes.push((key, value));
            }
        }
        Err(reason) => environment.warn(format!("{VARIABLE} is ignored: {reason}")),
    }
    attributes
}

/// A UUID of version 4 (RFC 9562).
fn random_uuid() -> String {
    let bits: u128 = rand::random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(variables: &[(&str, &str)], instance: Option<&str>) -> (Vec<String>, Vec<String>) {
        let read = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        let environment = Environment::new(&read);
        let resource = of(&environment, instance);
        let shown = resource.attributes.iter().map(encode::tests::shown).collect();
        (shown, environment.warnings())
    }

    #[test]
    fn a_process_has_a_name_a_version_and_an_id() {
        let version = concat!("service.version=", env!("CARGO_PKG_VERSION"));
        let (shown, _) = resource(&[], Some("pod-0"));
        assert_eq!(shown, ["service.name=tailsieve", version, "service.instance.id=pod-0"]);
        let (one, _) = resource(&[], None);
        let (other, _) = resource(&[], None);
        assert_ne!(one[2], other[2]);
        let uuid: Vec<&str> = one[2].split_once('=').unwrap().1.split('-').collect();
        assert_eq!(uuid.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(uuid[2].starts_with('4') && uuid[3].starts_with(['8', '9', 'a', 'b']), "{uuid:?}");
    }

    #[test]
    fn the_environment_comes_first() {
        let variables = [
            ("OTEL_SERVICE_NAME", "sampler"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=x,service.instance.id=i,a=b%20c,service.version=9",
            ),
        ];
        let (shown, warnings) = resource(&variables, Some("pod-0"));
        let expected =
            ["service.instance.id=i", "a=b c", "service.version=9", "service.name=sampler"];
        assert_eq!((shown, warnings), (expected.map(str::to_owned).to_vec(), vec![]));
    }

    #[test]
    fn attributes_that_cannot_be_read_are_left_out_all_together() {
        let (shown, warnings) = resource(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b,c")], Some("i"));
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(
            warnings[0].starts_with("OTEL_RESOURCE_ATTRIBUTES is ignored: entry 2"),
            "{warnings:?}"
        );
    }
}
