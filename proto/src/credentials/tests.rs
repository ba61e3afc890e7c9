//! Tests of tokens: the order of look-up, and that no profile gets another's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::*;
use crate::paths::{PathVariables, Paths};
use crate::settings::{Environment, Flags, TokenFileOwner, record_token_file, resolve};

#[derive(Default)]
struct FakeKeyring(Mutex<BTreeMap<String, String>>);

impl FakeKeyring {
    fn with(profile: &str, token: &str) -> Self {
        let keyring = Self::default();
        keyring.set(&keyring_user(profile), token).unwrap();
        keyring
    }
}

impl Keyring for FakeKeyring {
    fn get(&self, user: &str) -> Result<Option<String>, KeyringError> {
        Ok(self.0.lock().unwrap().get(user).cloned())
    }

    fn set(&self, user: &str, secret: &str) -> Result<(), KeyringError> {
        let mut all = self.0.lock().unwrap();
        all.insert(user.to_owned(), secret.to_owned());
        Ok(())
    }

    fn delete(&self, user: &str) -> Result<bool, KeyringError> {
        Ok(self.0.lock().unwrap().remove(user).is_some())
    }
}

struct Home {
    _dir: tempfile::TempDir,
    paths: Paths,
}

fn home(config: &str, token_file: Option<&str>) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::resolve(&PathVariables {
        docks_home: Some(dir.path().join("docks")),
        ..PathVariables::default()
    })
    .unwrap();
    files::write_private(&paths.config_file(), config).unwrap();
    if let Some(text) = token_file {
        files::write_private(&paths.token_file(), text).unwrap();
    }
    Home { _dir: dir, paths }
}

fn look(
    home: &Home,
    name: &str,
    environment: &Environment,
    keyring: &dyn Keyring,
) -> Result<FoundToken, CredentialError> {
    let flags = Flags {
        profile: Some(name.to_owned()),
        ..Flags::default()
    };
    let file = files::load(&home.paths).unwrap();
    let profile = resolve(&flags, environment, &file).unwrap();
    find_token(&profile, &file, keyring, &home.paths.token_file())
}

fn token(result: Result<FoundToken, CredentialError>) -> String {
    result.unwrap().token.expose().to_owned()
}

const NONE: NoKeyring = NoKeyring("test");
const ONE: &str = "[default]\ntenant_id = \"t1\"\n";
const TWO: &str = "[a]\ntenant_id = \"tA\"\n[b]\ntenant_id = \"tB\"\n";
// {"tenant_id":"tA"}
const JWT_OF_A: &str = "h.eyJ0ZW5hbnRfaWQiOiJ0QSJ9.s";

#[test]
fn tokens_are_looked_for_in_the_documented_order() {
    let own = "[default]\ntenant_id = \"t1\"\ntoken = \"from-profile\"\n";
    let home_own = home(own, Some("from-file\n"));
    let keyring = FakeKeyring::with("default", "from-keyring");
    let over = Environment {
        token: Some("from-environment".to_owned()),
        ..Environment::default()
    };
    let plain = Environment::default();
    assert_eq!(
        token(look(&home_own, "default", &over, &keyring)),
        "from-environment"
    );
    assert_eq!(
        token(look(&home_own, "default", &plain, &keyring)),
        "from-profile"
    );
    let home = home(ONE, Some("from-file\n"));
    assert_eq!(
        token(look(&home, "default", &plain, &keyring)),
        "from-keyring"
    );
    let found = look(&home, "default", &plain, &NONE).unwrap();
    assert_eq!(found.token.expose(), "from-file");
    assert_eq!(
        found.location,
        TokenLocation::TokenFile(home.paths.token_file())
    );
}

#[test]
fn the_token_in_the_keyring_is_used_for_its_own_profile_only() {
    let home = home(TWO, None);
    let keyring = FakeKeyring::with("a", "tokA");
    let plain = Environment::default();
    assert_eq!(token(look(&home, "a", &plain, &keyring)), "tokA");
    assert!(matches!(
        look(&home, "b", &plain, &keyring),
        Err(CredentialError::NotSignedIn { .. })
    ));
}

#[test]
fn the_token_file_serves_one_profile_only() {
    let plain = Environment::default();
    let opaque = home(TWO, Some("opaque"));
    for name in ["a", "b"] {
        let Err(error) = look(&opaque, name, &plain, &NONE) else {
            panic!("profile {name} got a token that may be another's");
        };
        assert!(matches!(error, CredentialError::NotThisProfile { .. }));
        assert!(error.hint().unwrap().contains(&format!("-p {name}")));
        assert!(!format!("{error} {error:?}").contains("opaque"));
    }
    let named = home(TWO, Some(JWT_OF_A));
    assert_eq!(token(look(&named, "a", &plain, &NONE)), JWT_OF_A);
    assert!(matches!(
        look(&named, "b", &plain, &NONE),
        Err(CredentialError::NotThisProfile { .. })
    ));
}

#[test]
fn a_tenant_at_two_addresses_does_not_share_the_token_file() {
    let config =
        "[a]\ntenant_id = \"tA\"\n[b]\napi_url = \"https://b.example\"\ntenant_id = \"tA\"\n";
    let home = home(config, Some(JWT_OF_A));
    for name in ["a", "b"] {
        assert!(matches!(
            look(&home, name, &Environment::default(), &NONE),
            Err(CredentialError::NotThisProfile { .. })
        ));
    }
}

#[test]
fn profiles_of_the_same_remote_and_jobs_directories_do_not_count_as_others() {
    let config = "[a]\ntenant_id = \"tA\"\n[b]\napi_url = \"https://api.docks.thecontextlab.ai/\"\n\
                  tenant_id = \"tA\"\n[j]\nharbor_jobs = \"/j\"\n[empty]\n";
    let home = home(config, Some("opaque"));
    for name in ["a", "b"] {
        assert_eq!(
            token(look(&home, name, &Environment::default(), &NONE)),
            "opaque"
        );
    }
}

#[test]
fn a_recorded_owner_keeps_the_token_file_until_its_token_changes() {
    let home = home(TWO, Some("opaque\n"));
    let path = crate::settings::preferences_file(&home.paths);
    let owner = TokenFileOwner {
        profile: "b".to_owned(),
        fingerprint: fingerprint("Bearer opaque"),
    };
    let text = record_token_file(&path, "", &owner).unwrap();
    files::write_private(&path, &text).unwrap();
    let plain = Environment::default();
    assert_eq!(token(look(&home, "b", &plain, &NONE)), "opaque");
    assert!(look(&home, "a", &plain, &NONE).is_err());
    files::write_private(&home.paths.token_file(), "newer").unwrap();
    assert!(look(&home, "b", &plain, &NONE).is_err());
}

#[test]
fn stored_tokens_do_not_follow_the_environment_to_another_remote() {
    let home = home(ONE, Some("from-file"));
    let keyring = FakeKeyring::with("default", "from-keyring");
    for over in [
        Environment {
            api_url: Some("https://evil.example".to_owned()),
            ..Environment::default()
        },
        Environment {
            tenant_id: Some("t2".to_owned()),
            ..Environment::default()
        },
    ] {
        assert!(matches!(
            look(&home, "default", &over, &keyring),
            Err(CredentialError::OtherRemote { .. })
        ));
    }
}

#[test]
fn a_provider_notices_a_new_login_and_looks_again_after_a_refusal() {
    let home = home(ONE, Some("first"));
    let target = Target::DocksApi {
        api_url: "https://api.docks.thecontextlab.ai".to_owned(),
        tenant: "t1".to_owned(),
    };
    let provider = TokenProvider::new(
        home.paths.clone(),
        "default".to_owned(),
        target,
        Box::new(NONE),
    );
    let first = provider.token(None).unwrap();
    assert_eq!(first.expose(), "first");
    files::write_private(&home.paths.token_file(), "second").unwrap();
    assert_eq!(provider.token(None).unwrap().expose(), "second");
    assert_eq!(provider.token(Some(&first)).unwrap().expose(), "second");
    files::write_private(&home.paths.config_file(), "[default]\ntenant_id = \"t2\"\n").unwrap();
    assert!(matches!(
        provider.token(None),
        Err(CredentialError::OtherRemote { .. })
    ));
}

#[test]
fn written_files_are_private_even_if_they_replace_public_ones() {
    let home = home(ONE, None);
    let path = home.paths.config_file();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    files::write_private(&path, TWO).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let home = home(ONE, None);
    let folder = home.paths.home.join("blocked");
    fs::create_dir(&folder).unwrap();
    // The target is a directory, so the last step, the rename, cannot succeed.
    assert!(files::write_private(&folder, "x").is_err());
    assert!(folder.is_dir());
    assert_eq!(fs::read_dir(&home.paths.home).unwrap().count(), 2);
}

#[test]
fn the_keyring_is_not_used_when_disabled_or_without_a_bus() {
    for environment in [
        Environment {
            use_keyring: Some("False".to_owned()),
            session_bus: Some("unix:path=/nowhere".to_owned()),
            ..Environment::default()
        },
        #[cfg(target_os = "linux")]
        Environment::default(),
    ] {
        let off = keyring_off(&environment).unwrap();
        assert!(matches!(off.get("token-x"), Err(KeyringError::Off(_))));
    }
    let with_bus = Environment {
        session_bus: Some("unix:path=/run/bus".to_owned()),
        ..Environment::default()
    };
    assert!(keyring_off(&with_bus).is_none());
}
