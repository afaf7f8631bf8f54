//! Gauges of values that others keep, written when they are asked for.

use std::fmt::Result;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Where the values of a scrape go.
pub(super) struct Gauges<'a>(pub(super) DescriptorEncoder<'a>);

impl Gauges<'_> {
    /// One value without labels.
    pub(super) fn one<V>(&mut self, name: &str, help: &str, value: V) -> Result
    where
        V: EncodeGaugeValue + Copy,
    {
        let encoder = &mut self.0;
        let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(family)
    }

    /// A value for each set of labels; nothing where there is none.
    pub(super) fn many<L, V>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Result
    where
        L: EncodeLabelSet,
        V: EncodeGaugeValue + Copy,
    {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let encoder = &mut self.0;
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A counter that somebody else counts, without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> Result {
        let encoder = &mut self.0;
        let family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(family)
    }
}
