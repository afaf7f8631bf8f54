//! The dashboard's listener: what the dashboard needs is checked, and its address taken, before
//! anything is started.

use std::net::SocketAddr;

use ::dashboard::{Access, Tokens, Visitors};
use axum::Router;
use message_store_client::{connection::Target, samples::Samples};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use web_server::{Limits, Server};

use crate::{
    config::Dashboard,
    error::{Error, Result},
    metrics,
};

/// A dashboard that can be served.
pub struct DashboardListener {
    config: Dashboard,
    tokens: Tokens,
    operators: Option<Target>,
    viewers: Option<Target>,
    listener: TcpListener,
}

impl DashboardListener {
    /// Takes the address; `None` where the dashboard is off.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Io`].
    pub async fn bind(config: &Dashboard) -> Result<Option<Self>> {
        if !config.enabled {
            return Ok(None);
        }
        let origin = "of the dashboard";
        let tokens = config.tokens(|name| std::env::var(name).ok());
        let tokens = tokens.map_err(|problem| Error::Config {
            origin: origin.to_owned(),
            problem,
        })?;
        Ok(Some(Self {
            operators: config.database.target(None, "[dashboard] url")?,
            viewers: config
                .viewers_database
                .target(None, "[dashboard] viewer_url")?,
            listener: listen(config).await?,
            tokens,
            config: config.clone(),
        }))
    }

    /// The pools of those who come. `own`: the database of a private cluster.
    ///
    /// # Errors
    /// [`Error::Config`] where a pool refuses its settings.
    pub fn visitors(&self, own: &Target) -> Result<Visitors> {
        let operators = self.operators.as_ref().unwrap_or(own);
        let viewers = self.viewers.as_ref().unwrap_or(operators);
        Ok(Visitors::open(operators, viewers)?)
    }

    /// Serves until shutdown, within `limits`.
    pub async fn serve(
        self,
        limits: Limits,
        visitors: Visitors,
        samples: Samples,
        requests: metrics::Requests,
        shutdown: CancellationToken,
    ) {
        let address = self.address().unwrap_or(self.config.listen);
        let Dashboard { proxy, hosts, .. } = self.config;
        let access = Access::new(self.tokens, proxy, hosts, address);
        let pages = ::dashboard::router(visitors, samples, access, shutdown.clone());
        let pages = metrics::watch(pages, requests);
        let nothing = Router::new();
        let server = Server::new("dashboard", self.listener, limits, pages, nothing);
        server.serve(shutdown).await;
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`Error::Io`] where the system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        let address = self.listener.local_addr();
        address.map_err(Error::io("read the dashboard's address"))
    }
}

/// Where nobody chose the address, any other port of it does as well.
async fn listen(config: &Dashboard) -> Result<TcpListener> {
    let wanted = config.listen;
    let mut bound = TcpListener::bind(wanted).await;
    let is_taken = bound
        .as_ref()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    if is_taken && !config.listen_is_chosen {
        warn!("{wanted} is taken; the dashboard uses another port ([dashboard] listen chooses)");
        bound = TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).await;
    }
    bound.map_err(Error::io(format!(
        "listen on {wanted} for the dashboard; choose another address with [dashboard] listen"
    )))
}
