//! Keys that come, go and are waited for.
