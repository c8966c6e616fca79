//! What is read of a resource's header where no policy asked for it.

use super::split::{Field, for_each_field};
use super::wire::ScanError;

/// `ResourceSpans.resource` and `Resource.attributes`; `KeyValue.key`, then `KeyValue.value`;
/// `AnyValue.string_value`.
const RESOURCE: u32 = 1;
const ATTRIBUTES: u32 = 1;
const KEY: u32 = 1;
const VALUE: u32 = 2;
const STRING_VALUE: u32 = 1;

/// The value of the resource attribute `service.name`, as it was sent, if it is a string. `header` is
/// the header of a `ResourceSpans` that was scanned before.
pub fn service_name(header: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    // What was scanned can be walked through.
    let _ = within(header, (0, header.len()), RESOURCE, |resource| {
        within(header, resource, ATTRIBUTES, |attribute| {
            if found.is_none() && is_service_name(header, attribute)? {
                found = Some(attribute);
            }
            Ok(())
        })
    });
    let mut name = None;
    let _ = within(header, found?, VALUE, |value| {
        within(header, value, STRING_VALUE, |(start, end)| {
            name = Some(&header[start..end]);
            Ok(())
        })
    });
    name
}

fn is_service_name(header: &[u8], attribute: (usize, usize)) -> Result<bool, ScanError> {
    let mut is_it = false;
    within(header, attribute, KEY, |(start, end)| {
        is_it = &header[start..end] == b"service.name";
        Ok(())
    })?;
    Ok(is_it)
}

/// Comes by the contents of the fields that have this number in the message at `bounds`.
fn within(
    record: &[u8],
    (start, end): (usize, usize),
    number: u32,
    mut visit: impl FnMut((usize, usize)) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    for_each_field(record, start, end, |field: Field| match field.number == number {
        true => visit((field.body, field.end)),
        false => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
    use prost::Message as _;

    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        let value = Some(AnyValue { value: Some(value) });
        KeyValue { key: key.into(), value, ..KeyValue::default() }
    }

    fn header(attributes: Vec<KeyValue>) -> Vec<u8> {
        let resource = Some(Resource { attributes, ..Resource::default() });
        let schema_url = "a".repeat(300);
        ResourceSpans { resource, schema_url, ..ResourceSpans::default() }.encode_to_vec()
    }

    #[test]
    fn the_first_service_name_is_found_wherever_it_stands() {
        let text = |text: &str| Value::StringValue(text.into());
        let service = |name| attribute("service.name", text(name));
        let others = [attribute("service.namex", text("no")), attribute("a", Value::IntValue(1))];
        let header = header([&others[..], &[service("shop"), service("other")], &others].concat());
        assert_eq!(service_name(&header), Some(b"shop".as_slice()));
    }

    #[test]
    fn no_name_is_none() {
        assert_eq!(service_name(b""), None);
        assert_eq!(service_name(&header(vec![])), None);
        let number = attribute("service.name", Value::IntValue(1));
        assert_eq!(service_name(&header(vec![number])), None);
        let nothing = KeyValue { key: "service.name".into(), ..KeyValue::default() };
        assert_eq!(service_name(&header(vec![nothing])), None);
    }
}
