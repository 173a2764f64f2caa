//! Which connections may come in, and what they may do: tokens and their keys, policies, bans,
//! rates, origins.
//!
//! Pure: no sockets, no tasks, no files. Bytes of files, random bytes and the time come in as
//! values, so every rule here is tested without a node. It must not know HTTP or Redis.

pub mod api_key;
pub mod capability;
pub mod credential;
pub mod identity;
mod json;
pub mod jwks;
pub mod keys;
pub mod orders;
pub mod origin;
pub mod pattern;
pub mod policy;
pub mod rate;
pub mod ticket;
pub mod token;

#[cfg(test)]
mod testing;
