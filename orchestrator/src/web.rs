//! The web server: health, and the demo's home page where it is built in.

use axum::{Router, middleware::map_response};
use message_store_client::database::Database;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use web_server::protect;

use crate::{
    config::Config,
    health::{self, Health},
};

/// What the web server serves. What its pages do between requests becomes tasks
/// of their own; they end at shutdown.
pub fn router(
    database: Database,
    config: &Config,
    health: Health,
    progressed: watch::Receiver<u64>,
    shutdown: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Router {
    let router = health::router(health);
    #[cfg(feature = "home-page")]
    let router = {
        let site = home_page::Site::new(database, config.videos.clone(), shutdown.clone());
        tasks.spawn(site.clone().follow(progressed));
        router.merge(home_page::router(site))
    };
    // An operator's build has no page that is live.
    #[cfg(not(feature = "home-page"))]
    let _ = (database, config, progressed, shutdown, tasks);
    router.layer(map_response(protect))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use message_store_client::connection::Target;
    use web_server::Server;

    /// The status of a GET, from a server whose database is not there.
    async fn status_of(path: &str) -> String {
        let url = "postgresql://nobody@localhost:1/nothing?connect_timeout=1";
        let target = Target::parse(url, "the test").unwrap();
        let config = Config::parse("").unwrap();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (_progress, progressed) = watch::channel(0);
        let database = Database::open(&target, 1).unwrap();
        let health = Health::default();
        let router = router(database, &config, health, progressed, &shutdown, &mut tasks);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = config.limits;
        let server = Server::new("test", listener, limits, router, Router::new());
        let server = tokio::spawn(server.serve(shutdown.clone()));
        let mut visitor = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        visitor.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        visitor.read_to_string(&mut answer).await.unwrap();
        shutdown.cancel();
        server.await.unwrap();
        tasks.join_all().await;
        let line = answer.lines().next().unwrap_or_default();
        line.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn every_build_serves_health() {
        assert_eq!(status_of("/healthz").await, "200");
        assert_eq!(status_of("/readyz").await, "503");
    }

    #[cfg(feature = "home-page")]
    #[tokio::test]
    async fn the_demo_is_built_in() {
        assert_eq!(status_of("/home.css").await, "200");
        assert_eq!(status_of("/").await, "503");
    }

    #[cfg(not(feature = "home-page"))]
    #[tokio::test]
    async fn an_operators_build_leaves_the_demo_out() {
        for path in ["/", "/home.css", "/home.js", "/events"] {
            assert_eq!(status_of(path).await, "404", "{path}");
        }
        let videos = Config::parse("[web]\nvideos = []").err().unwrap();
        assert!(videos.contains("videos"), "{videos}");
    }
}
