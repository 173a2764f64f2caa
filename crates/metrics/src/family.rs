//! Creates families in a registry and resolves the children of each label once.

use std::marker::PhantomData;
use std::ops::Index;
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::Label;

/// Stands before every name of our own.
const PREFIX: &str = "roomcast";

/// The children of one family, one for each value of a label: `family[value].inc()`.
#[derive(Debug)]
pub struct ByLabel<L, M> {
    children: Arc<[M]>,
    label: PhantomData<L>,
}

impl<L: Label, M> ByLabel<L, M> {
    fn new(child: impl Fn(&'static str) -> M) -> Self {
        let children = L::ALL.iter().map(|value| child(value.as_str())).collect();
        Self { children, label: PhantomData }
    }
}

impl<L, M> Clone for ByLabel<L, M> {
    fn clone(&self) -> Self {
        Self { children: Arc::clone(&self.children), label: PhantomData }
    }
}

impl<L: Label, M> Index<L> for ByLabel<L, M> {
    type Output = M;

    fn index(&self, value: L) -> &M {
        &self.children[value.index()]
    }
}

/// Where the areas create their families. Names come without the prefix. A name that is invalid
/// or used twice is a mistake in this crate, found by the first test that makes a registry.
pub(crate) struct Families<'a> {
    registry: &'a Registry,
}

impl<'a> Families<'a> {
    pub(crate) fn new(registry: &'a Registry) -> Self {
        Self { registry }
    }

    pub(crate) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(opts(name, help)))
    }

    pub(crate) fn counters<L: Label>(&self, name: &str, help: &str) -> ByLabel<L, IntCounter> {
        let family = self.register(IntCounterVec::new(opts(name, help), &[L::NAME]));
        ByLabel::new(|value| family.with_label_values(&[value]))
    }

    /// A counter for each pair of two labels: `family[a][b]`.
    pub(crate) fn counters_by_two<A: Label, B: Label>(
        &self,
        name: &str,
        help: &str,
    ) -> ByLabel<A, ByLabel<B, IntCounter>> {
        let family = self.register(IntCounterVec::new(opts(name, help), &[A::NAME, B::NAME]));
        ByLabel::new(|a| ByLabel::new(|b| family.with_label_values(&[a, b])))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(opts(name, help)))
    }

    pub(crate) fn gauges<L: Label>(&self, name: &str, help: &str) -> ByLabel<L, IntGauge> {
        let family = self.gauges_by_name(name, help, &[L::NAME]);
        ByLabel::new(|value| family.with_label_values(&[value]))
    }

    /// A gauge whose value is no whole number.
    pub(crate) fn real_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::with_opts(opts(name, help)))
    }

    /// A gauge for each pair of two labels: `family[a][b]`.
    pub(crate) fn gauges_by_two<A: Label, B: Label>(
        &self,
        name: &str,
        help: &str,
    ) -> ByLabel<A, ByLabel<B, IntGauge>> {
        let family = self.gauges_by_name(name, help, &[A::NAME, B::NAME]);
        ByLabel::new(|a| ByLabel::new(|b| family.with_label_values(&[a, b])))
    }

    /// A family whose children are known when the node starts, not when it is compiled.
    pub(crate) fn gauges_by_name(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(opts(name, help), labels))
    }

    /// The same for values that are no whole numbers.
    pub(crate) fn real_gauges_by_name(&self, name: &str, help: &str, label: &str) -> GaugeVec {
        self.register(GaugeVec::new(opts(name, help), &[label]))
    }

    pub(crate) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(histogram_opts(name, help, buckets)))
    }

    pub(crate) fn histograms<L: Label>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> ByLabel<L, Histogram> {
        let opts = histogram_opts(name, help, buckets);
        let family = self.register(HistogramVec::new(opts, &[L::NAME]));
        ByLabel::new(|value| family.with_label_values(&[value]))
    }

    fn register<C: Collector + Clone + 'static>(&self, family: prometheus::Result<C>) -> C {
        let family = family.expect("names, labels and buckets are valid constants");
        self.registry.register(Box::new(family.clone())).expect("each name is used once");
        family
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

fn histogram_opts(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace(PREFIX).buckets(buckets.to_vec())
}
