//! What kind of address it is, and so who may be behind it.
//!
//! An address that holds another one, as those of translators and tunnels do, is judged as the one that it holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the internet.
    Public,
    /// Into somebody's own network, such as the cluster's.
    Private,
    /// Back to us.
    Loopback,
    /// Where no plugin is; what it is instead.
    Never(&'static str),
}

/// Where clouds tell a machine its credentials, beside the link-local addresses: Alibaba, Azure, Oracle, and Amazon by IPv6.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Where this address leads.
pub(super) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => place_v6(address),
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if METADATA_V4.contains(&address) => Place::Never("a cloud's metadata service"),
        (0, ..) => Place::Never("unspecified"),
        (127, ..) => Place::Loopback,
        (169, 254, _) => Place::Never("link-local"),
        (224..=239, ..) => Place::Never("multicast"),
        (240.., ..) | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) => Place::Never("reserved"),
        // 100.64/10 is that of carriers, which some clouds give to pods; 198.18/15 that of laboratories.
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (198, 18 | 19, _) => {
            Place::Private
        }
        _ => Place::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    // Mapped, compatible, and translated addresses end with the one that they hold; a tunnel's has it behind its first part.
    let embedded = match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    match (address.segments(), embedded) {
        _ if address == METADATA_V6 => Place::Never("a cloud's metadata service"),
        _ if address.is_loopback() => Place::Loopback,
        (_, Some((high, low))) => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            place_v4(Ipv4Addr::new(a, b, c, d))
        }
        ([0x0064, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..], _) => Place::Private,
        ([0xfe80..=0xfebf, ..], _) => Place::Never("link-local"),
        ([0xff00..=0xffff, ..], _) => Place::Never("multicast"),
        ([0x2001, 0 | 0x0db8, ..], _) => Place::Never("reserved"),
        ([0x2000..=0x3fff, ..], _) => Place::Public,
        _ => Place::Never("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_told_by_where_it_leads() {
        use Place::{Loopback, Never, Private, Public};
        let rows = [
            ("93.184.216.34", Public),
            ("2606:2800:220:1::1", Public),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("198.18.0.1", Private),
            ("fd12:3456::1", Private),
            ("64:ff9b:1::1", Private),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("0.0.0.0", Never("unspecified")),
            ("0.1.2.3", Never("unspecified")),
            ("::", Never("unspecified")),
            ("169.254.169.254", Never("link-local")),
            ("::ffff:169.254.169.254", Never("link-local")),
            ("::169.254.169.254", Never("link-local")),
            ("64:ff9b::169.254.169.254", Never("link-local")),
            ("2002:a9fe:a9fe::1", Never("link-local")),
            ("::ffff:10.1.2.3", Private),
            ("64:ff9b::10.1.2.3", Private),
            ("2002:0a01:0203::1", Private),
            ("64:ff9b::93.184.216.34", Public),
            ("fe80::1", Never("link-local")),
            ("febf::1", Never("link-local")),
            ("fd00:ec2::254", Never("a cloud's metadata service")),
            ("100.100.100.200", Never("a cloud's metadata service")),
            ("168.63.129.16", Never("a cloud's metadata service")),
            ("224.0.0.1", Never("multicast")),
            ("ff02::1", Never("multicast")),
            ("255.255.255.255", Never("reserved")),
            ("240.0.0.1", Never("reserved")),
            ("192.0.2.1", Never("reserved")),
            ("2001:db8::1", Never("reserved")),
            ("2001::1", Never("reserved")),
            ("100::1", Never("reserved")),
            ("4000::1", Never("reserved")),
        ];
        for (address, wanted) in rows {
            assert_eq!(place(address.parse().unwrap()), wanted, "{address}");
        }
    }
}
