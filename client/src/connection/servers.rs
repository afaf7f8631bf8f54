//! The servers of an address, each tried by itself: one that takes a connection and then says nothing, as a
//! frozen one does, must not keep us from the next.

use std::time::Duration;

use tokio_postgres::{
    Config,
    config::{Host, LoadBalanceHosts},
};

/// How long it may take to connect, where the address does not say: to a server, and to one of several, whose
/// next may answer at once.
const ONE_SERVER: Duration = Duration::from_secs(10);
const ONE_OF_SEVERAL: Duration = Duration::from_secs(3);

/// How long one server may take until a session has begun.
pub fn patience(config: &Config) -> Duration {
    let usual = match count(config) {
        0 | 1 => ONE_SERVER,
        _ => ONE_OF_SEVERAL,
    };
    config.get_connect_timeout().copied().unwrap_or(usual)
}

/// How many servers the address names.
pub fn count(config: &Config) -> usize {
    config.get_hosts().len().max(config.get_hostaddrs().len())
}

/// A configuration for each server that the address names, in its order. The address itself where the driver
/// is to choose, or where it is not one that it takes.
pub fn each(config: &Config) -> Vec<Config> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let count = count(config);
    let ports = config.get_ports();
    let fits = |length: usize| length <= 1 || length == count;
    let is_chosen_by_driver = config.get_load_balance_hosts() != LoadBalanceHosts::Disable;
    if count <= 1 || is_chosen_by_driver || !fits(ports.len()) {
        return vec![config.clone()];
    }
    let server = |number: usize| {
        let mut server = without_servers(config);
        match hosts.get(number) {
            Some(Host::Tcp(name)) => {
                server.host(name);
            }
            Some(Host::Unix(path)) => {
                server.host_path(path);
            }
            None => {}
        }
        if let Some(address) = addresses.get(number) {
            server.hostaddr(*address);
        }
        if let Some(port) = ports.get(number).or(ports.first()) {
            server.port(*port);
        }
        server
    };
    (0..count).map(server).collect()
}

/// Everything else that the address says.
fn without_servers(config: &Config) -> Config {
    let mut copy = Config::new();
    copy.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    if let Some(user) = config.get_user() {
        copy.user(user);
    }
    if let Some(password) = config.get_password() {
        copy.password(password);
    }
    if let Some(database) = config.get_dbname() {
        copy.dbname(database);
    }
    if let Some(options) = config.get_options() {
        copy.options(options);
    }
    if let Some(name) = config.get_application_name() {
        copy.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        copy.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        copy.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        copy.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        copy.keepalives_retries(retries);
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_of(address: &str) -> Vec<Config> {
        each(&address.parse().unwrap())
    }

    #[test]
    fn each_server_has_its_own_port_and_all_that_the_address_says() {
        let all = "user=u password=p dbname=d options='-c a=b' application_name=n sslmode=require \
                   connect_timeout=2 tcp_user_timeout=3 keepalives_idle=4 keepalives_interval=5 \
                   keepalives_retries=6 target_session_attrs=read-write channel_binding=disable";
        let found = each_of(&format!("host=a,/tmp,c port=1,2,3 {all}"));
        let alone = ["host=a port=1", "host=/tmp port=2", "host=c port=3"];
        let expected: Vec<Config> = alone
            .iter()
            .map(|server| format!("{server} {all}").parse().unwrap())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_port_is_the_port_of_all() {
        let found = each_of("hostaddr=10.0.0.1,10.0.0.2 port=7 user=u");
        let expected: Vec<Config> = ["10.0.0.1", "10.0.0.2"]
            .iter()
            .map(|address| format!("hostaddr={address} port=7 user=u").parse().unwrap())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_driver_chooses_or_refuses_by_itself() {
        for address in [
            "host=a",
            "host=a,b load_balance_hosts=random",
            "host=a,b,c port=1,2",
        ] {
            assert_eq!(each_of(address).len(), 1, "{address}");
        }
    }
}
