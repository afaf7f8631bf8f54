//! The addresses we listen on: bound before anything is started, so that a
//! clash is known at once.

use std::{
    io::{ErrorKind, Write},
    net::SocketAddr,
};

use tokio::net::TcpListener;
use tracing::warn;

use crate::{
    config::Config,
    error::{Error, Result},
};

mod dashboard;

pub use self::dashboard::DashboardListener;

/// What the web server is there for in this build.
const WEB_PAGE: &str = if cfg!(feature = "home-page") {
    "the home page"
} else {
    "health"
};

/// The bound addresses.
pub struct Listeners {
    /// The home page and health.
    pub web: TcpListener,
    /// Metrics and health, where the configuration asks for them.
    pub metrics: Option<TcpListener>,
    /// The dashboard, where it is on.
    pub dashboard: Option<DashboardListener>,
}

impl Listeners {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// [`Error::Io`] naming the address and the key that chooses another.
    pub async fn bind(config: &Config) -> Result<Self> {
        let metrics = match config.metrics {
            Some(metrics) => Some(bind_metrics(metrics.listen).await?),
            None => None,
        };
        let web = bind_web(config.listen, config.listen_is_chosen).await?;
        let dashboard = DashboardListener::bind(&config.dashboard).await?;
        Ok(Self {
            web,
            metrics,
            dashboard,
        })
    }

    /// Says where they are: a line each on standard output, for people and for
    /// programs that started us on any free port.
    ///
    /// # Errors
    /// [`Error::Io`] where the system does not tell an address.
    pub fn announce(&self) -> Result<()> {
        let web = address(&self.web)?;
        let mut lines = if cfg!(feature = "home-page") {
            format!("Home page: http://{web}/\n")
        } else {
            format!("Health: http://{web}/healthz\n")
        };
        if let Some(metrics) = &self.metrics {
            let metrics = address(metrics)?;
            lines.push_str(&format!("Metrics: http://{metrics}/metrics\n"));
        }
        if let Some(dashboard) = &self.dashboard {
            lines.push_str(&format!(
                "Dashboard: http://{}/admin\n",
                dashboard.address()?
            ));
        }
        // A closed standard output is no reason to end.
        let _ = std::io::stdout().write_all(lines.as_bytes());
        Ok(())
    }
}

async fn bind_web(wanted: SocketAddr, is_chosen: bool) -> Result<TcpListener> {
    match TcpListener::bind(wanted).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && !is_chosen => {
            warn!("{wanted} is taken; using another port (choose one with --listen)");
            let mut any_port = wanted;
            any_port.set_port(0);
            let action = format!("listen on {any_port}");
            TcpListener::bind(any_port).await.map_err(Error::io(action))
        }
        bound => bound.map_err(Error::io(format!(
            "listen on {wanted} for {WEB_PAGE}; choose another address with --listen"
        ))),
    }
}

async fn bind_metrics(wanted: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(wanted).await;
    bound.map_err(Error::io(format!(
        "listen on {wanted} for metrics; choose another address with [metrics] listen"
    )))
}

fn address(listener: &TcpListener) -> Result<SocketAddr> {
    let address = listener.local_addr();
    address.map_err(Error::io("read an address we listen on"))
}
