//! Protobuf fields without a schema: enough to see what a message looks like.

use prost::encoding::{WireType, decode_key, decode_varint};

/// A field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) wire_type: WireType,
    /// Of a length-delimited field.
    pub(super) contents: &'a [u8],
}

/// All fields of a message, if it is one.
pub(super) fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        fields.push(next_field(&mut message)?);
    }
    Some(fields)
}

/// The contents of the first length-delimited field with this number.
pub(super) fn first_field(mut message: &[u8], wanted: u32) -> Option<&[u8]> {
    while !message.is_empty() {
        let field = next_field(&mut message)?;
        if field.number == wanted && field.wire_type == WireType::LengthDelimited {
            return Some(field.contents);
        }
    }
    None
}

fn next_field<'a>(message: &mut &'a [u8]) -> Option<Field<'a>> {
    let (number, wire_type) = decode_key(message).ok()?;
    let contents = pass(message, wire_type)?;
    Some(Field { number, wire_type, contents })
}

/// Passes the value of a field, and returns it if it is length-delimited.
fn pass<'a>(message: &mut &'a [u8], wire_type: WireType) -> Option<&'a [u8]> {
    let length = match wire_type {
        WireType::Varint => {
            decode_varint(message).ok()?;
            return Some(&[]);
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::LengthDelimited => usize::try_from(decode_varint(message).ok()?).ok()?,
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    let (contents, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(contents)
}
