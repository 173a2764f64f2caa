//! Appends one map, field by field, in either encoding. No intermediate allocations.

use rmp::encode;

use crate::transcode::to_json::{write_json, write_str};
use crate::transcode::to_msgpack::VEC;
use crate::{ConnectionId, Data, Encoding, Epoch};

/// The most fields a map of ours has: MessagePack then needs one byte for its head, which is
/// filled in at the end.
const MAX_FIELDS: u8 = 15;

/// A map that is being written. It must be ended with `end`.
#[must_use]
pub(super) struct MapWriter<'b> {
    encoding: Encoding,
    buffer: &'b mut Vec<u8>,
    head: usize,
    fields: u8,
}

impl<'b> MapWriter<'b> {
    pub(super) fn begin(encoding: Encoding, buffer: &'b mut Vec<u8>) -> Self {
        let head = buffer.len();
        buffer.push(b'{');
        Self { encoding, buffer, head, fields: 0 }
    }

    /// A whole frame begins with its type.
    pub(super) fn frame(encoding: Encoding, buffer: &'b mut Vec<u8>, name: &'static str) -> Self {
        let mut map = Self::begin(encoding, buffer);
        map.str("type", name);
        map
    }

    pub(super) fn end(self) {
        match self.encoding {
            Encoding::Json => self.buffer.push(b'}'),
            Encoding::MsgPack => {
                debug_assert!(
                    self.fields <= MAX_FIELDS,
                    "a map of more fields needs a longer head"
                );
                self.buffer[self.head] = rmp::Marker::FixMap(self.fields).to_u8();
            }
        }
    }

    pub(super) fn str(&mut self, name: &'static str, value: &str) {
        self.key(name);
        match self.encoding {
            Encoding::Json => write_str(self.buffer, value),
            Encoding::MsgPack => encode::write_str(self.buffer, value).expect(VEC),
        }
    }

    pub(super) fn opt_str(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.str(name, value);
        }
    }

    pub(super) fn uint(&mut self, name: &'static str, value: u64) {
        self.key(name);
        match self.encoding {
            Encoding::Json => write_json(self.buffer, &value),
            Encoding::MsgPack => drop(encode::write_uint(self.buffer, value).expect(VEC)),
        }
    }

    pub(super) fn opt_uint(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.uint(name, value);
        }
    }

    pub(super) fn bool(&mut self, name: &'static str, value: bool) {
        self.key(name);
        match self.encoding {
            Encoding::Json if value => self.buffer.extend_from_slice(b"true"),
            Encoding::Json => self.buffer.extend_from_slice(b"false"),
            Encoding::MsgPack => encode::write_bool(self.buffer, value).expect(VEC),
        }
    }

    /// A field whose default is false, and which is then left out.
    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        if value {
            self.bool(name, true);
        }
    }

    pub(super) fn epoch(&mut self, epoch: Epoch) {
        self.hex("epoch", epoch.0);
    }

    pub(super) fn connection(&mut self, connection: Option<ConnectionId>) {
        if let Some(connection) = connection {
            self.hex("connection", connection.0);
        }
    }

    pub(super) fn data(&mut self, name: &'static str, data: &Data) {
        self.key(name);
        match self.encoding {
            Encoding::Json => data.write_json(self.buffer),
            Encoding::MsgPack => data.write_msgpack(self.buffer),
        }
    }

    pub(super) fn opt_data(&mut self, name: &'static str, data: Option<&Data>) {
        if let Some(data) = data {
            self.data(name, data);
        }
    }

    pub(super) fn map(&mut self, name: &'static str, write: impl FnOnce(&mut MapWriter<'_>)) {
        self.key(name);
        let mut map = MapWriter::begin(self.encoding, self.buffer);
        write(&mut map);
        map.end();
    }

    /// A list of strings.
    pub(super) fn strs<'t, T: 't>(
        &mut self,
        name: &'static str,
        items: &'t [T],
        text: impl Fn(&'t T) -> &'t str,
    ) {
        self.list(name, items, |encoding, buffer, item| match encoding {
            Encoding::Json => write_str(buffer, text(item)),
            Encoding::MsgPack => encode::write_str(buffer, text(item)).expect(VEC),
        });
    }

    /// A list of maps.
    pub(super) fn maps<T>(
        &mut self,
        name: &'static str,
        items: &[T],
        write: impl Fn(&mut MapWriter<'_>, &T),
    ) {
        self.list(name, items, |encoding, buffer, item| {
            let mut map = MapWriter::begin(encoding, buffer);
            write(&mut map, item);
            map.end();
        });
    }

    fn list<'t, T>(
        &mut self,
        name: &'static str,
        items: &'t [T],
        write: impl Fn(Encoding, &mut Vec<u8>, &'t T),
    ) {
        self.key(name);
        match self.encoding {
            Encoding::Json => self.buffer.push(b'['),
            Encoding::MsgPack => {
                let len = u32::try_from(items.len()).expect("a list of fewer than 2^32 entries");
                encode::write_array_len(self.buffer, len).expect(VEC);
            }
        }
        for (index, item) in items.iter().enumerate() {
            if index > 0 && self.encoding == Encoding::Json {
                self.buffer.push(b',');
            }
            write(self.encoding, self.buffer, item);
        }
        if self.encoding == Encoding::Json {
            self.buffer.push(b']');
        }
    }

    pub(super) fn hex(&mut self, name: &'static str, value: u64) {
        let mut digits = [0; 16];
        for (index, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(value >> (60 - 4 * index)) as usize & 15];
        }
        self.str(name, std::str::from_utf8(&digits).expect("hex digits are ASCII"));
    }

    /// Field names are plain ASCII words and need no escapes.
    fn key(&mut self, name: &'static str) {
        match self.encoding {
            Encoding::Json => {
                if self.fields > 0 {
                    self.buffer.push(b',');
                }
                self.buffer.push(b'"');
                self.buffer.extend_from_slice(name.as_bytes());
                self.buffer.extend_from_slice(b"\":");
            }
            Encoding::MsgPack => encode::write_str(self.buffer, name).expect(VEC),
        }
        self.fields += 1;
    }
}
