//! Makes the certificate of a hub, signed by its own key, for `docks hub cert`.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::net::IpAddr;

use chrono::{DateTime, Datelike};
use docks_proto::hub_certificate::{CertificateRequest, CertificateResponse};
use nix::ifaddrs::getifaddrs;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// The last year that a certificate can name.
const LAST_YEAR: i32 = 9999;

/// Longest common name that X.509 allows.
const MAX_COMMON_NAME: usize = 64;

/// Serves the one request that `input` holds.
///
/// # Errors
///
/// When there is no request, or the response cannot be written.
pub fn serve(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let response = match make(&serde_json::from_str(&line)?, &own_names()) {
        Ok(made) => made,
        Err(reason) => CertificateResponse::Failed { reason },
    };
    let mut line = serde_json::to_vec(&response)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// Makes a certificate for servers that can sign no others; strict verifiers accept no other kind.
fn make(request: &CertificateRequest, own_names: &[String]) -> Result<CertificateResponse, String> {
    let mut seen = BTreeSet::new();
    let mut names = request.names.clone();
    names.extend_from_slice(own_names);
    names.retain(|name| seen.insert(name.to_ascii_lowercase()));
    let mut parameters =
        CertificateParams::new(names.clone()).map_err(|e| format!("a name is not valid: {e}"))?;
    let common_name = names.iter().find(|name| name.len() <= MAX_COMMON_NAME);
    let common_name = common_name.map_or("docks hub", String::as_str);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month, day) = date(request.from_s)?;
    parameters.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(request.until_s)?;
    parameters.not_after = date_time_ymd(year, month, day);
    let failed = |e: rcgen::Error| e.to_string();
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    Ok(CertificateResponse::Made {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        names,
    })
}

/// Returns year, month and day of a time.
fn date(unix_s: i64) -> Result<(i32, u8, u8), String> {
    let day = DateTime::from_timestamp(unix_s, 0)
        .filter(|day| (1970..=LAST_YEAR).contains(&day.year()))
        .ok_or("the period of validity is too long")?;
    let number = |n: u32| u8::try_from(n).expect("months and days are small");
    Ok((day.year(), number(day.month()), number(day.day())))
}

/// Lists the names and addresses by which other machines, and this one, may know this machine.
fn own_names() -> Vec<String> {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    let mut names = vec![host, "localhost".to_owned()];
    names.retain(|name| is_host_name(name));
    let interfaces = getifaddrs().into_iter().flatten();
    let mut addresses: BTreeSet<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
        })
        .filter(|address| !is_link_local(address))
        .collect();
    addresses.extend([
        IpAddr::from(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
    ]);
    names.extend(addresses.iter().map(ToString::to_string));
    names
}

/// Whether an address means something on one link only, so that no URL has it.
fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether the system's name for this machine can be in a certificate.
fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !name.is_empty() && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(names: &[&str]) -> CertificateRequest {
        CertificateRequest {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            from_s: 1_700_000_000,
            until_s: 1_900_000_000,
        }
    }

    #[test]
    fn names_are_in_the_certificate_once_and_its_key_is_new() {
        let own = ["hub".to_owned(), "127.0.0.1".to_owned()];
        let Ok(CertificateResponse::Made { key, names, .. }) =
            make(&request(&["HUB", "hub.example"]), &own)
        else {
            panic!("it can be made");
        };
        assert_eq!(names, ["HUB", "hub.example", "127.0.0.1"]);
        let Ok(CertificateResponse::Made { key: other, .. }) = make(&request(&[]), &own) else {
            panic!("it can be made");
        };
        assert_ne!(key, other);
    }

    #[test]
    fn what_cannot_be_in_a_certificate_is_refused() {
        assert!(make(&request(&["späti"]), &[]).is_err());
        let endless = CertificateRequest {
            until_s: i64::MAX,
            ..request(&["a"])
        };
        assert!(make(&endless, &[]).is_err());
    }

    #[test]
    fn this_machine_is_known_by_its_loopback_addresses() {
        let names = own_names();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(names.contains(&name.to_owned()), "{names:?}");
        }
    }
}
