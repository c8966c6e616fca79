//! The protobuf wire format: tags, varints, lengths.
//!
//! Accepts what `prost` accepts, errors where it errors; its limits are the same. Only a string need
//! not be UTF-8 here: it is the bytes that its sender wrote.

use thiserror::Error;

/// How deep messages and groups may nest: what `prost` decodes by default.
pub(super) const MAX_DEPTH: u32 = 100;

/// Why a record is not a `TracesData` message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScanError {
    /// It ends inside of a field, or a field ends outside of its message.
    #[error("a field is longer than the message it stands in")]
    Truncated,
    /// A varint has more than 64 bits.
    #[error("a varint has more than 64 bits")]
    Varint,
    /// A field number of 0, a wire type that does not exist, or a tag of more than 32 bits.
    #[error("a field's tag is invalid")]
    Tag,
    /// A field of the message has another type than it should.
    #[error("a known field has the wrong wire type")]
    WireType,
    /// A group ends that did not begin, or the other way round.
    #[error("a group is not closed in order")]
    Group,
    /// Messages are nested too deep.
    #[error("messages are nested more than 100 deep")]
    Depth,
    /// The record is larger than 4 GiB.
    #[error("the record is larger than 4 GiB")]
    TooLarge,
}

/// Wire types (protobuf encoding specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// A field's number and wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) field: u32,
    pub(super) wire_type: WireType,
}

impl Tag {
    const fn of(varint: u64) -> Option<Self> {
        let wire_type = match varint & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            _ => return None,
        };
        if varint < 8 || varint > u32::MAX as u64 {
            return None;
        }
        Some(Self { field: varint as u32 >> 3, wire_type })
    }
}

/// What each tag of one byte is: nearly all tags are, and looking them up is quicker.
static SHORT_TAGS: [Option<Tag>; 128] = {
    let mut tags = [None; 128];
    let mut byte = 0;
    while byte < tags.len() {
        tags[byte] = Tag::of(byte as u64);
        byte += 1;
    }
    tags
};

/// Reads the fields of one message. Positions are those of the whole record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    /// What is left of the message.
    rest: &'a [u8],
    /// Where the message ends.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads `record`, which is cut where the message ends, from `start` on.
    pub(super) fn new(record: &'a [u8], start: usize) -> Self {
        debug_assert!(start <= record.len(), "a message starts within the record");
        Self { rest: &record[start..], end: record.len() }
    }

    pub(super) fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    /// What is left of the message.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes all before `rest`, an end of what is left.
    pub(super) fn go_on_with(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Lengths of spans and the tags of their flags have two bytes.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, ScanError> {
        let (value, rest) = match self.rest {
            [byte @ ..0x80, rest @ ..] => (u64::from(*byte), rest),
            [low, high @ ..0x80, rest @ ..] => {
                (u64::from(*low & 0x7f) | u64::from(*high) << 7, rest)
            }
            _ => long_varint(self.rest)?,
        };
        self.rest = rest;
        Ok(value)
    }

    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<Tag, ScanError> {
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                SHORT_TAGS[usize::from(*byte)].ok_or(ScanError::Tag)
            }
            _ => Tag::of(self.varint()?).ok_or(ScanError::Tag),
        }
    }

    /// The start and end of a length-delimited field, which is passed.
    #[inline(always)]
    pub(super) fn delimited(&mut self) -> Result<(usize, usize), ScanError> {
        let length = self.varint()?;
        let start = self.position();
        if length > self.rest.len() as u64 {
            return Err(ScanError::Truncated);
        }
        self.rest = &self.rest[length as usize..];
        Ok((start, self.position()))
    }

    /// The contents of a length-delimited field and where they start, if one with this tag and a
    /// length below 128 comes next. It is passed.
    #[inline(always)]
    pub(super) fn short(&mut self, tag: u8) -> Option<(&'a [u8], usize)> {
        let [first, length @ ..0x80, rest @ ..] = self.rest else { return None };
        if *first != tag {
            return None;
        }
        let (contents, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some((contents, self.position() - contents.len()))
    }

    /// The same of a field of just this length: where the next one begins does not have to wait for
    /// what is read of this one.
    #[inline(always)]
    pub(super) fn sized(&mut self, tag: u8, length: u8) -> Option<(&'a [u8], usize)> {
        let (head, rest) = self.rest.split_first_chunk()?;
        if *head != [tag, length] {
            return None;
        }
        let (contents, rest) = rest.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some((contents, self.position() - contents.len()))
    }

    /// The number in a varint field, if one with this tag and a number below 128 comes next. It is
    /// passed.
    #[inline(always)]
    pub(super) fn small(&mut self, tag: u8) -> Option<i32> {
        match self.rest {
            [first, number @ ..0x80, rest @ ..] if *first == tag => {
                self.rest = rest;
                Some(i32::from(*number))
            }
            _ => None,
        }
    }

    /// The number in a fixed64 field, if one with this tag comes next. It is passed.
    #[inline(always)]
    pub(super) fn eight(&mut self, tag: u8) -> Option<u64> {
        let (first, rest) = self.rest.split_first()?;
        let (bytes, rest) = rest.split_first_chunk().filter(|_| *first == tag)?;
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The number in a fixed32 field, if one with this tag of two bytes comes next. It is passed.
    #[inline(always)]
    pub(super) fn four(&mut self, tag: [u8; 2]) -> Option<u32> {
        let (first, rest) = self.rest.split_first_chunk()?;
        let (bytes, rest) = rest.split_first_chunk().filter(|_| *first == tag)?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64, ScanError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ScanError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn fixed32(&mut self) -> Result<u32, ScanError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ScanError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// Passes a field that nobody knows. `depth` is how much deeper messages may nest.
    pub(super) fn skip(&mut self, tag: Tag, depth: u32) -> Result<(), ScanError> {
        if depth == 0 {
            return Err(ScanError::Depth);
        }
        match tag.wire_type {
            WireType::Varint => self.varint().map(|_| ()),
            WireType::Fixed64 => self.fixed64().map(|_| ()),
            WireType::Fixed32 => self.fixed32().map(|_| ()),
            WireType::Bytes => self.delimited().map(|_| ()),
            WireType::EndGroup => Err(ScanError::Group),
            WireType::StartGroup => loop {
                let inner = self.tag()?;
                if inner.wire_type != WireType::EndGroup {
                    self.skip(inner, depth - 1)?;
                } else if inner.field == tag.field {
                    return Ok(());
                } else {
                    return Err(ScanError::Group);
                }
            },
        }
    }
}

/// A varint, and what comes behind it.
#[cold]
fn long_varint(mut bytes: &[u8]) -> Result<(u64, &[u8]), ScanError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(ScanError::Truncated)?;
        bytes = rest;
        if shift == 63 && *byte > 1 {
            return Err(ScanError::Varint);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok((value, rest));
        }
    }
    Err(ScanError::Varint)
}

/// Appends a varint.
pub(super) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Number of bytes of a varint.
pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends the tag and length of a length-delimited field.
pub(super) fn write_delimited_head(field: u32, length: usize, out: &mut Vec<u8>) {
    write_varint(u64::from(field << 3 | 2), out);
    write_varint(length as u64, out);
}

/// A length-delimited field.
#[cfg(test)]
pub(super) fn delimited_field(field: u32, contents: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_delimited_head(field, contents.len(), &mut bytes);
    bytes.extend_from_slice(contents);
    bytes
}

/// Number of bytes of a length-delimited field of `length` bytes, with tag and length.
pub(super) fn delimited_len(field: u32, length: usize) -> usize {
    varint_len(u64::from(field << 3)) + varint_len(length as u64) + length
}
