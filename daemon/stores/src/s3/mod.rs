//! S3 and compatible stores: `s3://bucket/key`.
//!
//! Credentials are found where Amazon's own programs find them: the environment, the profile's keys,
//! the shared files and the program that they name, or a role of the container, the cluster or the
//! machine.

mod credential_process;
mod shared_files;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use crate::connector::Connector;
use crate::environment::StoreEnvironment;
use crate::provider::{BoxedError, Provider, Signing, retry_config};
use credential_process::CredentialProcess;
use shared_files::SharedProfile;

/// Endpoint and credentials of S3.
#[derive(Clone, Default)]
pub(crate) struct S3Settings {
    /// Options for the builder, secrets included.
    options: Vec<(AmazonS3ConfigKey, String)>,
    /// Whether there are credentials, in the options or from a program.
    has_credentials: bool,
    /// A program that prints keys.
    process: Option<Arc<CredentialProcess>>,
    /// Whether the profile of the shared files signs in with SSO.
    sso: bool,
    /// Whether this machine runs on EC2, whose metadata server provides credentials.
    on_ec2: bool,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("has_credentials", &self.has_credentials)
            .field("on_ec2", &self.on_ec2)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    /// Looks in the order of Amazon's own programs, with the profile's keys before their files.
    pub(crate) fn from_environment(environment: StoreEnvironment<'_>) -> Self {
        let shared = SharedProfile::read(environment);
        let region = environment.setting(&["AWS_REGION", "AWS_DEFAULT_REGION"], "aws_region");
        let endpoint = environment.setting(
            &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
            "aws_endpoint_url",
        );
        let mut options = Vec::new();
        let mut set = |key, value: Option<String>| options.extend(value.map(|value| (key, value)));
        set(
            AmazonS3ConfigKey::Region,
            region.or_else(|| shared.get("region")),
        );
        let endpoint = endpoint.or_else(|| shared.get("endpoint_url"));
        // The user configured the endpoint, so plain `http` to it is intended.
        let plain = endpoint
            .as_ref()
            .is_some_and(|url| url.starts_with("http://"));
        set(AmazonS3ConfigKey::Endpoint, endpoint);
        if plain {
            options.push((
                AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp),
                "true".to_owned(),
            ));
        }
        let found = keys(environment, &shared);
        let process = match found {
            Some(_) => None,
            None => shared.get("credential_process").map(CredentialProcess::new),
        };
        let found = found.or_else(|| role(environment).filter(|_| process.is_none()));
        let has_credentials = found.is_some() || process.is_some();
        options.extend(found.unwrap_or_default());
        let disabled = environment.variables.text("AWS_EC2_METADATA_DISABLED");
        Self {
            options,
            has_credentials,
            process: process.map(Arc::new),
            sso: shared.get("sso_session").is_some() || shared.get("sso_start_url").is_some(),
            on_ec2: environment.machine.contains("Amazon EC2")
                && disabled.is_none_or(|value| !value.eq_ignore_ascii_case("true")),
        }
    }
}

type Options = Vec<(AmazonS3ConfigKey, String)>;

/// Returns the first complete pair of keys; halves of different pairs do not work together.
fn keys(environment: StoreEnvironment<'_>, shared: &SharedProfile) -> Option<Options> {
    let of_environment = |name: &str| environment.variables.text(&format!("AWS_{name}"));
    let of_profile = |name: &str| {
        let key = format!("aws_{}", name.to_ascii_lowercase());
        environment.keys.get(&key).map(str::to_owned)
    };
    let of_shared = |name: &str| shared.get(&format!("aws_{}", name.to_ascii_lowercase()));
    let pair = |get: &dyn Fn(&str) -> Option<String>| {
        let mut found = vec![
            (AmazonS3ConfigKey::AccessKeyId, get("ACCESS_KEY_ID")?),
            (
                AmazonS3ConfigKey::SecretAccessKey,
                get("SECRET_ACCESS_KEY")?,
            ),
        ];
        found.extend(get("SESSION_TOKEN").map(|token| (AmazonS3ConfigKey::Token, token)));
        Some(found)
    };
    pair(&of_environment)
        .or_else(|| pair(&of_profile))
        .or_else(|| pair(&of_shared))
}

/// Returns the options of a role that the cluster or container grants.
fn role(environment: StoreEnvironment<'_>) -> Option<Options> {
    use AmazonS3ConfigKey as K;
    let all = |wanted: &[(K, &str)]| {
        let found = wanted
            .iter()
            .map(|(key, name)| Some((*key, environment.variables.text(name)?)));
        found.collect::<Option<Options>>()
    };
    let web = all(&[
        (K::WebIdentityTokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        (K::RoleArn, "AWS_ROLE_ARN"),
    ])
    .map(|mut web| {
        let name = environment.variables.text("AWS_ROLE_SESSION_NAME");
        web.extend(name.map(|name| (K::RoleSessionName, name)));
        web
    });
    web.or_else(|| {
        all(&[(
            K::ContainerCredentialsRelativeUri,
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        )])
    })
    .or_else(|| {
        all(&[
            (
                K::ContainerCredentialsFullUri,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
            (
                K::ContainerAuthorizationTokenFile,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            ),
        ])
    })
}

impl Provider for S3Settings {
    fn signing_modes(&self) -> &'static [Signing] {
        match (self.has_credentials, self.on_ec2) {
            (true, _) => &[Signing::Configured],
            (false, true) => &[Signing::Unsigned, Signing::Machine],
            (false, false) => &[Signing::Unsigned],
        }
    }

    fn build(
        &self,
        bucket: &str,
        signing: Signing,
        connector: Connector,
    ) -> Result<Arc<dyn ObjectStore>, BoxedError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_http_connector(connector)
            .with_retry(retry_config())
            .with_skip_signature(signing == Signing::Unsigned);
        for (key, value) in &self.options {
            builder = builder.with_config(*key, value);
        }
        if let Some(process) = &self.process {
            builder = builder.with_credentials(Arc::<CredentialProcess>::clone(process));
        }
        Ok(Arc::new(builder.build()?))
    }

    fn is_bucket_name(&self, bucket: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        (3..=255).contains(&bucket.len())
            && bucket.bytes().all(allowed)
            && bucket.as_bytes()[0].is_ascii_alphanumeric()
    }

    fn credentials_hint(&self) -> &'static str {
        if self.sso && !self.has_credentials {
            return "this AWS profile signs in with SSO, which only Amazon's own program supports: add \
                    `credential_process = aws configure export-credentials --profile NAME` to a \
                    profile of ~/.aws/config and name that one in AWS_PROFILE";
        }
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to one of \
         ~/.aws/credentials, or `aws_access_key_id` and `aws_secret_access_key` in the profile"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::settings_from;

    fn value(settings: &S3Settings, wanted: AmazonS3ConfigKey) -> Option<&str> {
        let found = settings.options.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| value.as_str())
    }

    const CREDENTIALS: (&str, &str) = (
        "/h/.aws/credentials",
        "[default]\naws_access_key_id = file\naws_secret_access_key=fs\n# x\n[work]\n\
         aws_access_key_id=work\naws_secret_access_key=ws\n",
    );

    #[test]
    fn both_keys_come_from_the_first_place_that_has_a_pair() {
        use AmazonS3ConfigKey::{AccessKeyId, SecretAccessKey};
        let home = ("HOME", "/h");
        let own = [("aws_access_key_id", "p"), ("aws_secret_access_key", "ps")];
        let id = ("AWS_ACCESS_KEY_ID", "e");
        let secret = ("AWS_SECRET_ACCESS_KEY", "es");
        for (variables, keys, expected) in [
            (&[home, id, secret][..], &own[..], ("e", "es")),
            (&[home, id], &own, ("p", "ps")),
            (&[home], &[], ("file", "fs")),
            (&[home, ("AWS_PROFILE", "work")], &[], ("work", "ws")),
            (&[home], &[("aws_profile", "work")], ("work", "ws")),
        ] {
            let settings = settings_from(
                variables,
                keys,
                &[CREDENTIALS],
                S3Settings::from_environment,
            );
            let found = (
                value(&settings, AccessKeyId).unwrap(),
                value(&settings, SecretAccessKey).unwrap(),
            );
            assert_eq!(found, expected);
            assert_eq!(settings.signing_modes(), [Signing::Configured]);
            assert!(!format!("{settings:?}").contains(expected.1));
        }
        let none = settings_from(&[id], &[], &[], S3Settings::from_environment);
        assert_eq!(none.signing_modes(), [Signing::Unsigned]);
    }

    #[test]
    fn a_program_is_used_if_no_keys_are_set_and_the_hint_for_sso_says_what_to_do() {
        let text = "[default]\ncredential_process = give keys\n[profile sso]\nsso_session = x\n";
        let (home, config) = (("HOME", "/h"), ("/h/.aws/config", text));
        let settings = settings_from(&[home], &[], &[config], S3Settings::from_environment);
        assert!(settings.process.is_some());
        assert_eq!(settings.signing_modes(), [Signing::Configured]);
        let keys = [("aws_access_key_id", "p"), ("aws_secret_access_key", "ps")];
        let settings = settings_from(&[home], &keys, &[config], S3Settings::from_environment);
        assert!(settings.process.is_none());
        let named = [home, ("AWS_PROFILE", "sso")];
        let settings = settings_from(&named, &[], &[config], S3Settings::from_environment);
        assert_eq!(settings.signing_modes(), [Signing::Unsigned]);
        assert!(settings.credentials_hint().contains("export-credentials"));
    }

    #[test]
    fn endpoint_and_region_of_a_named_profile_are_found() {
        use AmazonS3ConfigKey::{Endpoint, Region};
        let config = (
            "/h/.aws/config",
            "[profile lab]\nregion = eu-west-1\ns3 =\n  region = nested\nendpoint_url = http://minio:9000\n",
        );
        let variables = [("HOME", "/h"), ("AWS_PROFILE", "lab")];
        let settings = settings_from(&variables, &[], &[config], S3Settings::from_environment);
        assert_eq!(value(&settings, Region), Some("eu-west-1"));
        assert_eq!(value(&settings, Endpoint), Some("http://minio:9000"));
    }
}
