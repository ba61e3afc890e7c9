//! The proxies that requests to remotes go through, as the environment names them.
//!
//! The HTTP library reads the same variables in the same order; this module only tells people which
//! proxies are in use, and two environments apart.

use std::ffi::OsString;

use crate::hash::Fnv1a64;
use crate::status::ProxyStatus;

/// The variables that name proxies; those of one line mean the same, and the first that is set counts.
const NAMES: [[&str; 2]; 4] = [
    ["HTTP_PROXY", "http_proxy"],
    ["HTTPS_PROXY", "https_proxy"],
    ["ALL_PROXY", "all_proxy"],
    ["NO_PROXY", "no_proxy"],
];

/// Set for a program that a web server runs: there `HTTP_PROXY` is a header of the request, so
/// that nobody may believe it.
const CGI: &str = "REQUEST_METHOD";

/// The proxies of one environment. Neither `Debug` nor anything else shows a user or password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: String,
    https: String,
    except: String,
}

impl Proxies {
    /// Reads the variables.
    #[must_use]
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        if variable(CGI).is_some() {
            return Self::default();
        }
        let [http, https, all, except] = NAMES.map(|names| {
            let set = names.into_iter().find_map(&variable);
            set.and_then(|value| value.into_string().ok())
                .unwrap_or_default()
        });
        let usable = |own: String| {
            let chosen = if is_usable(&own) { own } else { all.clone() };
            Some(chosen)
                .filter(|url| is_usable(url))
                .unwrap_or_default()
        };
        let (http, https) = (usable(http), usable(https));
        // Exceptions from no proxy are none.
        let any = !http.is_empty() || !https.is_empty();
        Self {
            http,
            https,
            except: if any { except } else { String::new() },
        }
    }

    /// Returns a number that differs for other proxies, passwords included; `None` without any.
    ///
    /// It only tells environments of one user apart, over that user's own socket.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let mut hash = Fnv1a64::default();
        for part in [&self.http, &self.https, &self.except] {
            hash.write(part.as_bytes());
            hash.write(b"\n");
        }
        Some(format!("{:016x}", hash.finish()))
    }

    /// Describes the proxies without their users and passwords; `None` without any.
    #[must_use]
    pub fn status(&self) -> Option<ProxyStatus> {
        let set = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        (*self != Self::default()).then(|| ProxyStatus {
            http: set(&self.http).map(|url| without_user(&url)),
            https: set(&self.https).map(|url| without_user(&url)),
            no_proxy: set(&self.except),
        })
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Proxies").field(&self.status()).finish()
    }
}

/// Whether the HTTP library takes the URL for a proxy: one without a scheme is `http`, and SOCKS is
/// not supported.
fn is_usable(url: &str) -> bool {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let known = ["http", "https"]
                .iter()
                .any(|k| scheme.eq_ignore_ascii_case(k));
            known && !rest.is_empty()
        }
        None => !url.is_empty(),
    }
}

/// Leaves out everything before the last `@`, which is a user and a password.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{}", host.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            let found = variables.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn the_variables_count_as_for_the_http_library() {
        let found = proxies(&[
            ("https_proxy", "http://lower"),
            ("HTTPS_PROXY", "http://upper:3128/"),
            ("ALL_PROXY", "all:1"),
            ("no_proxy", "localhost,.example"),
        ]);
        let status = found.status().unwrap();
        assert_eq!(status.https.as_deref(), Some("http://upper:3128"));
        assert_eq!(status.http.as_deref(), Some("http://all:1"));
        assert_eq!(status.no_proxy.as_deref(), Some("localhost,.example"));
        for none in [
            &[("NO_PROXY", "*")][..],
            &[("ALL_PROXY", "socks5://host:1080")],
            &[("HTTPS_PROXY", ""), ("https_proxy", "http://lower")],
            &[("HTTP_PROXY", "http://evil"), ("REQUEST_METHOD", "GET")],
        ] {
            assert_eq!(proxies(none), Proxies::default(), "{none:?}");
            assert_eq!(proxies(none).fingerprint(), None);
        }
    }

    #[test]
    fn a_password_is_never_shown_and_another_one_is_another_proxy() {
        let one = proxies(&[("HTTPS_PROXY", "http://me:s3cret@proxy:3128")]);
        let other = proxies(&[("HTTPS_PROXY", "http://me:s3cre@t/x@proxy:3128")]);
        assert_ne!(one.fingerprint(), other.fingerprint());
        for proxies in [one, other] {
            let status = proxies.status().unwrap();
            assert_eq!(status.https.as_deref(), Some("http://proxy:3128"));
            assert_eq!(status.http, None);
            assert!(!format!("{proxies:?}").contains("s3cre"));
        }
    }
}
