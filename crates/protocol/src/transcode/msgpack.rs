//! A bounded reader of MessagePack: one item at a time, or a whole value skipped and validated
//! (nesting, lengths, UTF-8 of strings). It never allocates and never trusts a length.

use rmp::Marker;

use crate::data::DataError;

/// One item; of arrays and maps only the head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Item<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    /// Always negative; others are `Uint`, whatever their marker.
    Int(i64),
    F32(f32),
    F64(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(u32),
    Map(u32),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MsgPackReader<'a> {
    rest: &'a [u8],
}

impl<'a> MsgPackReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Fails unless everything was read.
    pub(crate) fn end(self) -> Result<(), DataError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DataError::Trailing) }
    }

    pub(crate) fn item(&mut self) -> Result<Item<'a>, DataError> {
        let [marker] = self.array::<1>()?;
        Ok(match Marker::from_u8(marker) {
            Marker::FixPos(value) => Item::Uint(value.into()),
            Marker::FixNeg(value) => Item::Int(value.into()),
            Marker::Null => Item::Nil,
            Marker::True => Item::Bool(true),
            Marker::False => Item::Bool(false),
            Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                Item::Uint(self.uint(1 << (marker - 0xcc))?)
            }
            Marker::I8 => int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Item::F32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Item::F64(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => self.text(len.into())?,
            Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let len = self.uint(1 << (marker - 0xd9))?;
                self.text(len)?
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let len = self.uint(1 << (marker - 0xc4))?;
                Item::Bin(self.take(len)?)
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16 => self.ext(1 << (marker - 0xd4))?,
            Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => {
                let len = self.uint(1 << (marker - 0xc7))?;
                self.ext(len)?
            }
            Marker::FixArray(len) => Item::Array(len.into()),
            Marker::Array16 => Item::Array(u16::from_be_bytes(self.array()?).into()),
            Marker::Array32 => Item::Array(u32::from_be_bytes(self.array()?)),
            Marker::FixMap(len) => Item::Map(len.into()),
            Marker::Map16 => Item::Map(u16::from_be_bytes(self.array()?).into()),
            Marker::Map32 => Item::Map(u32::from_be_bytes(self.array()?)),
            Marker::Reserved => return Err(DataError::Reserved),
        })
    }

    /// Reads over one value and returns its bytes. `levels` is how deep it may nest, counted in
    /// its JSON form: binary is one level there, an extension two.
    pub(crate) fn value(&mut self, levels: usize) -> Result<&'a [u8], DataError> {
        let start = self.rest;
        self.skip(levels)?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    fn skip(&mut self, levels: usize) -> Result<(), DataError> {
        match self.item()? {
            Item::Bin(_) => nested(levels, 1).map(drop),
            Item::Ext(..) => nested(levels, 2).map(drop),
            Item::Array(len) => {
                let levels = nested(levels, 1)?;
                self.has_room_for(len.into())?;
                (0..len).try_for_each(|_| self.skip(levels))
            }
            Item::Map(len) => {
                let levels = nested(levels, 1)?;
                self.has_room_for(2 * u64::from(len))?;
                (0..len).try_for_each(|_| {
                    // As JSON text within a text, each level of such keys would double the size.
                    if matches!(
                        MsgPackReader::new(self.rest).item()?,
                        Item::Array(_) | Item::Map(_)
                    ) {
                        return Err(DataError::BadKey);
                    }
                    self.skip(levels)?;
                    self.skip(levels)
                })
            }
            _ => Ok(()),
        }
    }

    /// Fails if so many values cannot follow, of a byte each at least.
    fn has_room_for(&self, values: u64) -> Result<(), DataError> {
        if values > self.rest.len() as u64 { Err(DataError::Truncated) } else { Ok(()) }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DataError> {
        let len = usize::try_from(len).map_err(|_| DataError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DataError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DataError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DataError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn uint(&mut self, bytes: u64) -> Result<u64, DataError> {
        Ok(self.take(bytes)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn text(&mut self, len: u64) -> Result<Item<'a>, DataError> {
        std::str::from_utf8(self.take(len)?).map(Item::Str).map_err(|_| DataError::BadUtf8)
    }

    fn ext(&mut self, len: u64) -> Result<Item<'a>, DataError> {
        let [kind] = self.array::<1>()?;
        Ok(Item::Ext(kind as i8, self.take(len)?))
    }
}

fn int(value: i64) -> Item<'static> {
    u64::try_from(value).map_or(Item::Int(value), Item::Uint)
}

/// What is left of `levels` inside `more` levels of nesting.
pub(crate) fn nested(levels: usize, more: usize) -> Result<usize, DataError> {
    levels.checked_sub(more).ok_or(DataError::TooDeep)
}
