//! The ways to ask as one of the credentials.

use docks_proto::client::Request;
use docks_proto::freshness::CachePolicy;
use docks_proto::routes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::model::{Model, Owner};
use super::remote::{IdentityRemote, PEOPLE, SECRET, TENANTS};

/// One way to ask, as one of the credentials.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) tenant: &'static str,
    pub(super) owner: Owner,
    /// The token that the remote must receive.
    pub(super) token: Option<String>,
    /// The person whose view the remote shows for it; `None` if it refuses the token.
    pub(super) person: Option<&'static str>,
}

impl Asker {
    /// Picks one way to ask.
    pub(super) fn pick(rng: &mut fastrand::Rng, model: &Model, remote: &IdentityRemote) -> Self {
        let profile = &model.profiles[rng.usize(..model.profiles.len())];
        let at_address = vec![(routes::API_URL, remote.url())];
        let by_name = match (profile.name, rng.bool()) {
            // It is the default profile.
            ("default", true) => vec![],
            (name, _) => vec![(routes::PROFILE, name.to_owned())],
        };
        let guest = Some(model.guest.clone());
        let (brought, mut headers, tenant) = match rng.u8(..20) {
            10..14 => (guest, at_address, "ten"),
            14..16 => (guest, by_name, profile.tenant),
            // A profile's own token in a request is the profile's.
            16..18 if profile.token.is_some() => {
                (profile.token.clone(), at_address, profile.tenant)
            }
            18 => {
                let earlier = &profile.tokens[rng.usize(..profile.tokens.len())];
                (Some(earlier.clone()), at_address, profile.tenant)
            }
            19 => {
                let unknown = format!("{SECRET}unknown");
                (
                    Some(unknown),
                    at_address,
                    TENANTS[rng.usize(..TENANTS.len())],
                )
            }
            _ => (None, by_name, profile.tenant),
        };
        if rng.bool() || headers.iter().any(|(name, _)| *name == routes::API_URL) {
            headers.push((routes::TENANT, tenant.to_owned()));
        }
        let owner = match &brought {
            Some(token) => model.owner_of(token, tenant),
            None => Owner::Profile(profile.name),
        };
        if let Some(token) = brought {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        let token = model.current_token(&owner);
        let person = token.as_ref().and_then(|token| {
            let person = remote.world().accepted.get(token).copied();
            person.filter(|person| PEOPLE.contains(&(person, tenant)))
        });
        Self {
            headers,
            tenant,
            owner,
            token,
            person,
        }
    }

    /// Builds a request of this asker.
    pub(super) fn request(&self, method: &str, path: &str, policy: CachePolicy) -> Request {
        let mut request = match method {
            "POST" => Request::post(path.to_owned()),
            _ => Request::get(path.to_owned()),
        };
        request.headers = self.header_map();
        if let Some(value) = policy.to_header_value() {
            request.headers.insert(header::CACHE_CONTROL, value);
        }
        request
    }

    /// Returns the headers that say what is meant, and who asks.
    pub(super) fn header_map(&self) -> HeaderMap {
        let headers = self.headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        headers.collect()
    }
}
