//! What a record's value comes to: protobuf as it is, JSON as protobuf, anything else not at all.

use std::borrow::Cow;

use crate::otlp::{ScanError, SplitRecord, Splitter};
use crate::otlp_json;

/// Splits `value`; with it what the split record is of, which is `value` itself unless that was
/// JSON.
///
/// # Errors
/// When it is neither OTLP protobuf nor OTLP JSON.
pub(super) fn split<'v>(
    splitter: &mut Splitter,
    value: &'v [u8],
) -> Result<(Cow<'v, [u8]>, SplitRecord), ScanError> {
    match splitter.split(value) {
        Ok(split) => Ok((Cow::Borrowed(value), split)),
        Err(error) => {
            let is_object = value.trim_ascii_start().first() == Some(&b'{');
            let protobuf = is_object.then(|| otlp_json::to_protobuf(value).ok()).flatten();
            let protobuf = protobuf.ok_or(error)?;
            let split = splitter.split(&protobuf)?;
            Ok((Cow::Owned(protobuf), split))
        }
    }
}
