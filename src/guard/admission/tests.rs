use super::*;

fn admission(change: impl FnOnce(&mut Config)) -> Admission {
    let mut config = Config::default();
    change(&mut config);
    Admission::new(&config)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn refusal(admission: &Admission, address: &str) -> Refusal {
    admission.admit(ip(address), Instant::now()).unwrap_err()
}

#[test]
fn a_place_is_free_again_when_its_permit_is_dropped() {
    let admission = admission(|config| config.max_clients = 2);
    let first = admission.admit(ip("10.0.0.1"), Instant::now()).unwrap();
    let _second = admission.admit(ip("10.0.0.2"), Instant::now()).unwrap();
    assert!(refusal(&admission, "10.0.0.3").contains("full"));
    drop(first);
    let _third = admission.admit(ip("10.0.0.3"), Instant::now()).unwrap();
    assert!(refusal(&admission, "10.0.0.4").contains("full"));
}

#[test]
fn one_address_gets_its_share_and_loopback_is_not_counted() {
    let admission = admission(|config| config.max_per_ip = 20);
    let _many: Vec<_> = (0..18).map(|_| admission.admit(ip("10.0.0.1"), Instant::now()).unwrap()).collect();
    let first = admission.admit(ip("10.0.0.1"), Instant::now()).unwrap();
    let second = admission.admit(ip("10.0.0.1"), Instant::now()).unwrap();
    assert!(refusal(&admission, "10.0.0.1").contains("too many"));
    let other = admission.admit(ip("10.0.0.2"), Instant::now()).unwrap();
    let loopback: Vec<_> = (0..10).map(|_| admission.admit(ip("::1"), Instant::now()).unwrap()).collect();
    drop(first);
    let later = Instant::now() + std::time::Duration::from_secs(10);
    let again = admission.admit(ip("10.0.0.1"), later).unwrap();
    drop((second, other, loopback, again, _many));
    let mut book = admission.book.lock();
    book.forget(Instant::now());
    assert_eq!(book.by_address.len(), 3, "they still pay for coming");
    book.forget(Instant::now() + std::time::Duration::from_secs(60));
    assert!(book.by_address.is_empty(), "no address is remembered for ever");
}

#[test]
fn an_address_that_comes_and_goes_is_slowed() {
    let rules = admission(|config| config.max_per_ip = 8);
    let comes_and_goes = || (0..100).filter(|_| rules.admit(ip("127.0.0.1"), Instant::now()).is_ok()).count();
    assert_eq!(comes_and_goes(), 8);
    assert!(refusal(&rules, "127.0.0.1").contains("try again in a second"));
    assert!(rules.admit(ip("127.0.0.2"), Instant::now()).is_ok());
    let unlimited = admission(|config| config.max_per_ip = 0);
    assert!((0..1000).all(|_| unlimited.admit(ip("127.0.0.1"), Instant::now()).is_ok()));
}

/// 64 addresses with 64 connections each would fill the room, and keep it full.
#[test]
fn the_share_of_an_address_gets_smaller_as_the_last_places_fill_up() {
    let admission = admission(|_| {});
    let now = Instant::now();
    let mut permits = Vec::new();
    for address in 1..=64 {
        let address = ip(&format!("10.0.1.{address}"));
        permits.extend((0..64).map_while(|_| admission.admit(address, now).ok()));
    }
    let places = Config::default().max_clients;
    assert!(permits.len() > places * 3 / 4, "as long as there is space, each has its 64: {}", permits.len());
    assert!(refusal(&admission, "10.0.1.1").contains("too many"));
    // Everyone else finds places, a few for each address, until nearly all are taken.
    let newcomers = (0..200).map(|n| admission.admit(ip(&format!("10.0.2.{n}")), now));
    assert!(newcomers.map(|permit| permits.extend(permit)).count() == 200 && permits.len() < places);
    for address in 0..=255 {
        let address = ip(&format!("10.0.3.{address}"));
        permits.extend((0..64).map_while(|_| admission.admit(address, now).ok()));
    }
    assert_eq!(permits.len(), places, "a single one always gets in while there is a place");
}

#[test]
fn a_64_of_another_network_is_one_address() {
    let admission = admission(|config| {
        config.allow = vec!["any".parse().unwrap()];
        config.max_per_ip = 2;
    });
    let mut here = admission.here.lock();
    here.networks = vec![IpNet::new(ip("2001:db8:1::"), 64).unwrap()];
    here.looked_up = Some(Instant::now());
    drop(here);
    let from = |address: &str| admission.admit(ip(address), Instant::now());
    let _far = ["2001:db8:2::1", "2001:db8:2:0:ffff::2"].map(|address| from(address).unwrap());
    assert!(from("2001:db8:2::3").is_err() && from("2001:db8:2:1::3").is_ok());
    let near = ["2001:db8:1::1", "2001:db8:1::1", "2001:db8:1::2", "10.0.0.1", "10.0.0.2"].map(from);
    assert!(near.iter().all(Result::is_ok));
    assert!(from("2001:db8:1::1").is_err() && from("2001:db8:1::2").is_ok());
}

#[test]
fn a_ban_holds_until_it_is_taken_back() {
    let admission = admission(|_| {});
    let net = crate::config::parse_net("10.1.2.3/16").unwrap();
    admission.ban(net, None);
    admission.ban(crate::config::parse_net("::ffff:10.1.0.0/112").unwrap(), None);
    assert!(refusal(&admission, "10.1.2.3").contains("banned"));
    assert!(admission.admit(ip("10.2.0.1"), Instant::now()).is_ok());
    assert_eq!(admission.bans(), [net]);
    assert!(admission.unban(net) && !admission.unban(net));
    assert!(admission.admit(ip("10.1.2.3"), Instant::now()).is_ok());
}

#[test]
fn a_ban_for_a_time_ends_by_itself_and_shortens_no_other() {
    let admission = admission(|_| {});
    let soon = Instant::now() + Duration::from_secs(3600);
    let net = IpNet::from(ip("10.1.2.3"));
    admission.ban(net, Some(soon));
    assert!(refusal(&admission, "10.1.2.3").contains("come back in a minute"));
    admission.ban(net, Some(Instant::now()));
    assert!(admission.admit(ip("10.1.2.3"), Instant::now()).is_ok() && admission.bans().is_empty());
    admission.ban(net, None);
    admission.ban(net, Some(Instant::now()));
    assert!(refusal(&admission, "10.1.2.3").contains("banned"));
}

#[test]
fn by_default_only_a_lan_may_connect() {
    let by_default = admission(|_| {});
    for local in [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.20",
        "169.254.7.7",
        "fe80::1",
        "fd12::1",
        "100.64.0.1",
        "100.127.255.255",
    ] {
        assert!(by_default.admit(ip(local), Instant::now()).is_ok(), "{local}");
    }
    for foreign in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "192.169.0.1"] {
        assert!(refusal(&by_default, foreign).contains("may not connect"), "{foreign}");
    }
    let any = admission(|config| config.allow = vec!["any".parse().unwrap()]);
    assert!(
        any.admit(ip("8.8.8.8"), Instant::now()).is_ok()
            && any.admit(ip("2001:db8::1"), Instant::now()).is_ok()
    );
}
