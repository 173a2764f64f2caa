//! Payloads: validation and transcoding.
