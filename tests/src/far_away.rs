//! A server that can be cut off as a machine is: without a word.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use tokio::net::UnixStream;

use crate::cluster::{Cluster, output_of};
use crate::database::Database;
use crate::guardian::Guardian;

/// A cluster at an address of a network of its own. As root, one in a process. The network ends with us.
pub struct FarAway {
    network: String,
    address: Ipv4Addr,
    port: u16,
    _guardian: Guardian,
}

impl FarAway {
    /// Another way to the server of `cluster`.
    pub fn to(cluster: &Cluster) -> Self {
        let id = std::process::id();
        let network = format!("far{id}");
        // Addresses that are set aside for examples, four for each network.
        let [here, there] =
            [1, 2].map(|number| Ipv4Addr::new(198, 51, 100, (id % 64) as u8 * 4 + number));
        let guardian = Guardian::start(r#"ip netns delete "$1""#, [&network]);
        for step in [
            format!("netns add {network}"),
            format!("link add {network} type veth peer name eth0 netns {network}"),
            format!("address add {here}/30 dev {network}"),
            format!("link set {network} up"),
            format!("-n {network} address add {there}/30 dev eth0"),
            format!("-n {network} link set eth0 up"),
        ] {
            ip(&step);
        }
        let listener = listen_in(&network, there);
        let port = listener.local_addr().unwrap().port();
        let socket = cluster.socket_dir().join(".s.PGSQL.5432");
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self {
            network,
            address: there,
            port,
            _guardian: guardian,
        }
    }

    /// The address of a database there, as routers have it.
    pub fn address(&self, database: &Database<'_>) -> String {
        format!(
            "host={} port={} dbname={}",
            self.address, self.port, database.name
        )
    }

    /// From now on nothing arrives, and nothing is answered.
    pub fn cut_off(&self) {
        ip(&format!("-n {} link set eth0 down", self.network));
    }
}

/// A socket stays in the network in which it was made.
fn listen_in(network: &str, address: Ipv4Addr) -> TcpListener {
    let network = File::open(format!("/run/netns/{network}")).unwrap();
    let listening = std::thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET).unwrap();
        TcpListener::bind((address, 0)).unwrap()
    });
    let listener = listening.join().unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn ip(arguments: &str) {
    output_of(Command::new("ip").args(arguments.split(' ')));
}
