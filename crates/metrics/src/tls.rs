//! Families of the certificate that the node shows its clients.

use prometheus::{IntCounter, IntGauge};

use crate::family::Families;

/// The certificate in force.
#[derive(Debug, Clone)]
pub struct TlsMetrics {
    /// When it ends, as Unix time in seconds; 0 without TLS.
    pub certificate_end: IntGauge,
    /// Pairs that were found in the files and not used.
    pub reload_failures: IntCounter,
}

impl TlsMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            certificate_end: families.gauge(
                "certificate_end_timestamp_seconds",
                "When the certificate in force ends, as Unix time; 0 without TLS.",
            ),
            reload_failures: families.counter(
                "certificate_reload_failures_total",
                "Certificates with keys that could not be read or do not fit; the old pair stays.",
            ),
        }
    }
}
