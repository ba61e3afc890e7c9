//! Tests of settings as a whole.

use std::path::Path;

use super::*;

const FILE: &str = r#"
[default]
api_url = "https://one.example/"
tenant_id = "t1"

[two]
api_url = "https://two.example"
tenant_id = "t2"
token = "Bearer tok2"
gcp_project = "p"
later = 7

[jobs]
harbor_jobs = "/srv/jobs"
"#;

fn file(text: &str) -> ConfigFile {
    ConfigFile::parse(Path::new("/h/config.toml"), text).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn named(name: &str) -> Flags {
    Flags {
        profile: some(name),
        ..Flags::default()
    }
}

fn api(api_url: &str, tenant: &str) -> Target {
    Target::DocksApi {
        api_url: api_url.to_owned(),
        tenant: tenant.to_owned(),
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let none = Environment::default();
    let file = file(FILE).with_preferences(Preferences {
        default_profile: some("two"),
        ..Preferences::default()
    });
    let over = Environment {
        profile: some("default"),
        ..Environment::default()
    };
    let chosen = |flags: &Flags, environment: &Environment| {
        let profile = resolve(flags, environment, &file).unwrap();
        (profile.name.clone(), profile.settings[0].origin.clone())
    };
    assert_eq!(chosen(&Flags::default(), &none).0, "two");
    assert_eq!(
        chosen(&Flags::default(), &over),
        ("default".to_owned(), Origin::Environment("DOCKS_PROFILE"))
    );
    assert_eq!(
        chosen(&named("jobs"), &over),
        ("jobs".to_owned(), Origin::Flag("--profile"))
    );
}

#[test]
fn the_environment_changes_single_keys_and_makes_the_profile_adhoc() {
    let plain = resolve(&named("two"), &Environment::default(), &file(FILE)).unwrap();
    assert!(!plain.adhoc && plain.owns_stored_tokens);
    assert_eq!(plain.target, api("https://two.example", "t2"));
    assert_eq!(plain.inline_token, Token::new("tok2"));

    let tenant = Environment {
        tenant_id: some("t9"),
        ..Environment::default()
    };
    let changed = resolve(&named("two"), &tenant, &file(FILE)).unwrap();
    assert_eq!(changed.target, api("https://two.example", "t9"));
    assert!(changed.adhoc);

    let same = Environment {
        api_url: some("https://TWO.example/"),
        ..Environment::default()
    };
    assert!(!resolve(&named("two"), &same, &file(FILE)).unwrap().adhoc);

    let token = Environment {
        token: some("Bearer other"),
        ..Environment::default()
    };
    let with_token = resolve(&named("two"), &token, &file(FILE)).unwrap();
    assert_eq!(with_token.inline_token, Token::new("other"));
    assert!(with_token.adhoc);
}

#[test]
fn a_stored_token_never_follows_an_address_from_the_environment() {
    for over in [
        Environment {
            api_url: some("https://evil.example"),
            ..Environment::default()
        },
        Environment {
            tenant_id: some("t1"),
            ..Environment::default()
        },
    ] {
        let profile = resolve(&named("two"), &over, &file(FILE)).unwrap();
        assert_eq!(profile.inline_token, None, "{over:?}");
        assert!(!profile.owns_stored_tokens, "{over:?}");
    }
}

#[test]
fn a_jobs_directory_comes_from_flag_environment_or_profile() {
    let over = Environment {
        harbor_jobs: Some("/env/jobs:/more/jobs:".into()),
        api_url: some("https://x.example"),
        ..Environment::default()
    };
    let dir =
        |flags: &Flags, environment: &Environment| match resolve(flags, environment, &file(FILE))
            .unwrap()
            .target
        {
            target @ (Target::HarborJobs { .. } | Target::HarborServer { .. }) => {
                Some(target.to_string())
            }
            Target::DocksApi { .. } => None,
        };
    let flag = Flags {
        harbor: vec!["/flag/jobs".into(), "/a".into(), "/flag/jobs".into()],
        ..Flags::default()
    };
    assert_eq!(dir(&flag, &over), Some("/a:/flag/jobs".into()));
    let from_environment = dir(&Flags::default(), &over);
    assert_eq!(from_environment, Some("/env/jobs:/more/jobs".into()));
    assert_eq!(dir(&named("jobs"), &over), Some("/srv/jobs".into()));
    assert_eq!(dir(&named("two"), &over), None);
    let relative = Flags {
        harbor: vec!["/a".into(), "jobs".into()],
        ..Flags::default()
    };
    assert!(matches!(
        resolve(&relative, &over, &file(FILE)),
        Err(SettingsError::RelativeJobs { .. })
    ));
    let here = Flags {
        default_harbor: Some("/here/jobs".into()),
        ..Flags::default()
    };
    assert_eq!(dir(&here, &over), Some("/env/jobs:/more/jobs".into()));
    let both = Flags {
        profile: some("two"),
        ..flag
    };
    assert_eq!(
        resolve(&both, &over, &file(FILE)),
        Err(SettingsError::TwoFlags("--profile", "--harbor"))
    );
}

#[test]
fn missing_settings_are_named() {
    let none = Environment::default();
    assert!(matches!(
        resolve(&Flags::default(), &none, &file("")),
        Err(SettingsError::NothingSetUp { .. })
    ));
    let Err(unknown) = resolve(&named("nope"), &none, &file(FILE)) else {
        panic!("an unknown profile was accepted");
    };
    assert!(unknown.hint().unwrap().contains("default, two, jobs"));
    assert!(matches!(
        resolve(
            &named("x"),
            &none,
            &file("[x]\napi_url = \"https://a.example\"\n")
        ),
        Err(SettingsError::NoTenant { .. })
    ));
    assert!(matches!(
        resolve(
            &named("x"),
            &none,
            &file("[x]\nharbor_jobs = \"/j\"\ntenant_id = \"t\"\n")
        ),
        Err(SettingsError::TwoTargets { .. })
    ));
    assert!(matches!(
        resolve(&named("x"), &none, &file("[x]\ntenant_id = [1]\n")),
        Err(SettingsError::WrongType { .. })
    ));
}

#[test]
fn ca_file_is_trusted_only_for_the_address_in_the_same_profile() {
    let text = "[x]\napi_url = \"https://hub.example\"\ntenant_id = \"t\"\nca_file = \"/ca.pem\"\n";
    let none = Environment::default();
    let trusted = |environment: &Environment| {
        let profile = resolve(&named("x"), environment, &file(text)).unwrap();
        profile.trust.ca_file
    };
    assert_eq!(trusted(&none), Some("/ca.pem".into()));
    let elsewhere = Environment {
        api_url: Some("https://other.example".into()),
        ..none.clone()
    };
    assert_eq!(trusted(&elsewhere), None);
    let relative = text.replace("/ca.pem", "ca.pem");
    assert!(matches!(
        resolve(&named("x"), &none, &file(&relative)),
        Err(SettingsError::RelativeCaFile { .. })
    ));
}

#[test]
fn a_pin_is_trusted_only_for_the_address_in_the_same_profile() {
    let pin = CertificatePin::of_der(b"certificate");
    let text =
        format!("[x]\napi_url = \"https://hub.example\"\ntenant_id = \"t\"\npin = \"{pin}\"\n");
    let none = Environment::default();
    let trusted = |environment: &Environment, text: &str| {
        let profile = resolve(&named("x"), environment, &file(text));
        profile.map(|profile| profile.trust.pin)
    };
    assert_eq!(trusted(&none, &text), Ok(Some(pin)));
    let elsewhere = Environment {
        api_url: Some("https://other.example".into()),
        ..none.clone()
    };
    assert_eq!(trusted(&elsewhere, &text), Ok(None));
    let cut = text.replace("sha256:", "sha256:0");
    assert!(matches!(
        trusted(&none, &cut),
        Err(SettingsError::BadPin { .. })
    ));
}

#[test]
fn insecure_applies_only_to_the_address_in_the_same_profile() {
    let text = "[x]\napi_url = \"http://hub.example\"\ntenant_id = \"t\"\ninsecure = \"true\"\n";
    let none = Environment::default();
    assert!(resolve(&named("x"), &none, &file(text)).unwrap().insecure);
    let without = text.replace("true", "false");
    assert!(matches!(
        resolve(&named("x"), &none, &file(&without)),
        Err(SettingsError::AddressError {
            source: AddressError::Plain,
            ..
        })
    ));
    let over = Environment {
        api_url: some("http://evil.example"),
        ..Environment::default()
    };
    assert!(matches!(
        resolve(&named("x"), &over, &file(text)),
        Err(SettingsError::AddressError { .. })
    ));
}

#[test]
fn an_unescaped_quote_is_reported_by_line_without_the_text() {
    let text = "[default]\napi_url = \"https://a.example\"\ntoken = \"SECRET\"x\"\n";
    let Err(error) = ConfigFile::parse(Path::new("/h/config.toml"), text) else {
        panic!("a broken file was accepted");
    };
    assert!(
        matches!(error, SettingsError::Broken { line: 3, .. }),
        "{error:?}"
    );
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("SECRET"));
}

#[test]
fn editing_preserves_comments_and_unknown_keys() {
    let path = Path::new("/h/config.toml");
    let old = "# mine\n[default] # here\nlater = 7 # why\ntenant_id = \"t1\"\n";
    let text = set_profile(
        path,
        old,
        "default",
        &[("tenant_id", Some("t2")), ("token", Some("abc"))],
    )
    .unwrap();
    assert!(text.contains("# mine") && text.contains("later = 7 # why"));
    let text = set_profile(path, &text, "new", &[("harbor_jobs", Some("/j"))]).unwrap();
    assert_eq!(file(&text).profile_names(), ["default", "new"]);
    let text = set_profile(path, &text, "default", &[("token", None)]).unwrap();
    assert!(!text.contains("abc"));
    let text = remove_profile(path, &text, "default").unwrap();
    assert_eq!(file(&text).profile_names(), ["new"]);
    assert!(set_profile(path, "", "a.b", &[]).is_err());
    assert!(set_profile(path, "", "a", &[("tenant_id", Some("x\"y"))]).is_err());
    assert!(remove_profile(path, "", "a").is_err());
}

#[test]
fn edited_preferences_are_read_back() {
    let path = Path::new("/h/docks.toml");
    let owner = TokenFileOwner {
        profile: "two".to_owned(),
        fingerprint: "00ff".to_owned(),
    };
    let text = set_default_profile(path, "# kept\n", Some("two")).unwrap();
    let text = record_token_file(path, &text, &owner).unwrap();
    let read = Preferences::parse(path, &text).unwrap();
    assert_eq!(read.default_profile.as_deref(), Some("two"));
    assert_eq!(read.token_file, Some(owner));
    let text = set_default_profile(path, &forget_token_file(path, &text).unwrap(), None).unwrap();
    let read = Preferences::parse(path, &text).unwrap();
    assert_eq!((read.default_profile, read.token_file), (None, None));
    assert!(text.contains("# kept"));
}

#[test]
fn debug_output_never_shows_a_token() {
    let environment = Environment {
        token: some("SECRET1"),
        ..Environment::default()
    };
    let file = file("[default]\ntenant_id = \"t\"\ntoken = \"SECRET2\"\n");
    let stored = file.profile("default").unwrap();
    let profile = resolve(&Flags::default(), &Environment::default(), &file).unwrap();
    let with = resolve(&Flags::default(), &environment, &file).unwrap();
    let all = format!("{environment:?} {stored:?} {profile:?} {with:?} {file:?}");
    assert!(!all.contains("SECRET"), "{all}");
}

#[test]
fn a_harbor_server_has_its_own_key_and_no_other() {
    let written = "[serve]\nharbor_server = \"http://127.0.0.1:8390/\"\ntoken = \"own\"\n\
         [bare]\nharbor_server = \"http://127.0.0.1:8391\"\n";
    let environment = Environment {
        token: Some("docks".into()),
        harbor_api_key: Some("harbor".into()),
        ..Environment::default()
    };
    let key = |flags: &Flags, environment: &Environment| {
        let profile = resolve(flags, environment, &file(written)).unwrap();
        let key = profile.inline_token.map(|token| token.expose().to_owned());
        (profile.target.to_string(), key, profile.adhoc)
    };
    let of_profile = |name: &str| Flags {
        profile: Some(name.into()),
        ..Flags::default()
    };
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let some = |key: &str| Some(key.to_owned());
    assert_eq!(
        key(&of_profile("serve"), &environment),
        (url(8390), some("own"), false)
    );
    assert_eq!(
        key(&of_profile("bare"), &environment),
        (url(8391), some("harbor"), true)
    );
    assert_eq!(
        key(&of_profile("bare"), &Environment::default()),
        (url(8391), None, false)
    );
    let named = Flags {
        harbor_server: Some(url(1)),
        ..Flags::default()
    };
    assert_eq!(key(&named, &environment), (url(1), some("harbor"), true));
    let by_variable = Environment {
        harbor_server: Some(url(2)),
        ..environment
    };
    assert_eq!(
        key(&Flags::default(), &by_variable),
        (url(2), some("harbor"), true)
    );
    let two = "[x]\nharbor_server = \"http://127.0.0.1:1\"\nharbor_jobs = \"/j\"\n";
    let refused = resolve(&of_profile("x"), &Environment::default(), &file(two));
    assert!(
        matches!(refused, Err(SettingsError::TwoTargets { .. })),
        "{refused:?}"
    );
    let plain = Flags {
        harbor_server: Some("http://10.0.0.1:8390".into()),
        ..Flags::default()
    };
    let refused = resolve(&plain, &Environment::default(), &file(""));
    assert!(
        matches!(refused, Err(SettingsError::AddressError { .. })),
        "{refused:?}"
    );
}
