//! Frames to bytes and back, in both encodings. Decoding finds the fields of a map in one pass
//! (`object`), then types them (`field`); encoding appends to the caller's buffer (`writer`).

mod client_in;
mod client_out;
mod entries;
mod field;
mod object;
mod people_in;
mod people_out;
mod server_in;
mod server_out;
mod writer;

pub use server_out::{KeyVisibility, encode_message};

#[cfg(test)]
mod tests;
