//! The connection that waits for messages.

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::gauges::Gauges;
use crate::health::Health;

#[derive(Debug)]
pub(super) struct Connection {
    health: Health,
}

impl Connection {
    pub(super) fn new(health: Health) -> Self {
        Self { health }
    }
}

impl Collector for Connection {
    fn encode(&self, encoder: DescriptorEncoder) -> std::fmt::Result {
        let mut gauges = Gauges(encoder);
        gauges.one(
            "connected",
            "1 while the connection that waits for messages is up.",
            i64::from(self.health.is_connected()),
        )?;
        gauges.one(
            "ready",
            "1 while connected and every subscription of the configuration is started.",
            i64::from(self.health.missing().is_empty()),
        )?;
        gauges.counter(
            "reconnects",
            "How often the connection that waits for messages was reestablished.",
            self.health.reconnects(),
        )
    }
}
