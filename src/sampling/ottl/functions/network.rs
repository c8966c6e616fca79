//! Addresses and networks of the Internet Protocol (Go's `net.ParseIP`, `net.ParseCIDR`).

use std::net::IpAddr;

use super::{Answer, Args, Prepared};
use crate::sampling::ottl::convert::readable;
use crate::sampling::ottl::error::EvalError;
use crate::sampling::ottl::operand::Operand;
use crate::sampling::ottl::value::Value;

/// A network: the bits that its addresses begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sampling::ottl) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|_| is_number)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            return None;
        }
        // An IPv4 network that is written as one of IPv6.
        Some(match address {
            IpAddr::V6(v6) if prefix >= 96 && v6.to_ipv4_mapped().is_some() => {
                Self { address: address.to_canonical(), prefix: prefix - 96 }
            }
            _ => Self { address, prefix },
        })
    }

    fn contains(self, address: IpAddr) -> bool {
        let keep = |bits: u32| if self.prefix == 0 { 0 } else { u128::MAX << (bits - self.prefix) };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differs = u128::from(network.to_bits() ^ address.to_bits());
                differs & keep(32) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()) & keep(128) == 0
            }
            _ => false,
        }
    }
}

/// The networks, if they are literals.
pub(super) fn prepare(arguments: &[Operand]) -> Result<Prepared, String> {
    let Some(Operand::Literal(Value::List(written))) = arguments.get(1) else {
        return Ok(Prepared::Nothing);
    };
    let network = |item: &Value<'_>| match item {
        Value::String(text) => {
            let text = readable(text);
            let message = format!("`{text}` is no network: for example `10.0.0.0/8`");
            Network::parse(&text).ok_or(message)
        }
        other => Err(format!("a network is a string, and no {}", other.type_name())),
    };
    written.items().iter().map(network).collect::<Result<_, _>>().map(Prepared::Networks)
}

/// What is no address is in no network.
pub(super) fn is_in_cidr<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let target = args.text(0)?;
    let parsed = std::str::from_utf8(&target).ok().and_then(|text| text.parse().ok());
    let Some(address): Option<IpAddr> = parsed else { return Ok(Value::Bool(false)) };
    if let Prepared::Networks(networks) = &args.call.prepared {
        return Ok(Value::Bool(networks.iter().any(|network| network.contains(address))));
    }
    let found = args.each_item(1, |item| {
        let Value::String(text) = &item else { return args.wrong_type(&item) };
        let unreadable = EvalError::Unreadable { function: args.name() };
        let network = Network::parse(&readable(text)).ok_or(unreadable)?;
        Ok(network.contains(address).then_some(()))
    })?;
    Ok(Value::Bool(found.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_the_addresses_that_begin_like_them() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("192.168.1.7/32", "192.168.1.7", true),
            ("192.168.1.7/32", "192.168.1.6", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.9.0.1", true),
            ("::/0", "10.0.0.1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ];
        for (network, address, expected) in cases {
            let found = Network::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(found, expected, "{address} in {network}");
        }
        for text in
            ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "/8", "010.0.0.0/8"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
