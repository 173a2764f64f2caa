//! MessagePack to JSON, streaming. Appends only; the caller takes back what a failure left.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::msgpack::{Item, MsgPackReader, nested};
use crate::data::{DataError, MAX_DATA_DEPTH};

/// Appends the JSON form of one MessagePack value.
pub(crate) fn write(value: &[u8], out: &mut Vec<u8>) -> Result<(), DataError> {
    let mut reader = MsgPackReader::new(value);
    write_value(&mut reader, out, MAX_DATA_DEPTH)?;
    reader.end()
}

fn write_value(
    reader: &mut MsgPackReader<'_>,
    out: &mut Vec<u8>,
    levels: usize,
) -> Result<(), DataError> {
    match reader.item()? {
        Item::Array(len) => {
            let levels = nested(levels, 1)?;
            out.push(b'[');
            for index in 0..len {
                if index > 0 {
                    out.push(b',');
                }
                write_value(reader, out, levels)?;
            }
            out.push(b']');
            Ok(())
        }
        Item::Map(len) => {
            let levels = nested(levels, 1)?;
            out.push(b'{');
            for index in 0..len {
                if index > 0 {
                    out.push(b',');
                }
                write_key(reader.item()?, out, levels)?;
                out.push(b':');
                write_value(reader, out, levels)?;
            }
            out.push(b'}');
            Ok(())
        }
        scalar => write_scalar(scalar, out, levels),
    }
}

/// A key that is no string becomes a string that holds its JSON text.
fn write_key(key: Item<'_>, out: &mut Vec<u8>, levels: usize) -> Result<(), DataError> {
    if let Item::Str(key) = key {
        write_str(out, key);
        return Ok(());
    }
    let mut text = Vec::new();
    write_scalar(key, &mut text, levels)?;
    write_str(out, std::str::from_utf8(&text).expect("JSON text is UTF-8"));
    Ok(())
}

fn write_scalar(item: Item<'_>, out: &mut Vec<u8>, levels: usize) -> Result<(), DataError> {
    match item {
        Item::Nil => out.extend_from_slice(b"null"),
        Item::Bool(true) => out.extend_from_slice(b"true"),
        Item::Bool(false) => out.extend_from_slice(b"false"),
        Item::Uint(value) => write_json(out, &value),
        Item::Int(value) => write_json(out, &value),
        // serde_json writes `null` for what is not finite.
        Item::F32(value) => write_json(out, &f64::from(value)),
        Item::F64(value) => write_json(out, &value),
        Item::Str(text) => write_str(out, text),
        Item::Bin(bytes) => {
            nested(levels, 1)?;
            out.extend_from_slice(b"{\"$bin\":\"");
            write_base64(bytes, out);
            out.extend_from_slice(b"\"}");
        }
        Item::Ext(kind, bytes) => {
            nested(levels, 2)?;
            out.extend_from_slice(b"{\"$ext\":[");
            write_json(out, &kind);
            out.extend_from_slice(b",\"");
            write_base64(bytes, out);
            out.extend_from_slice(b"\"]}");
        }
        Item::Array(_) | Item::Map(_) => return Err(DataError::BadKey),
    }
    Ok(())
}

/// Appends a JSON string.
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    write_json(out, text);
}

/// Appends the JSON form of a string or number.
pub(crate) fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a Vec takes any string or number");
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // Padded base64 writes four bytes for every three begun.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the slice has the exact length");
}
