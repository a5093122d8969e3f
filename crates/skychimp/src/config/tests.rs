use super::*;

fn load(
    folder: &Path,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let given = CommandLine {
        file: None,
        flags: flags
            .iter()
            .map(|(name, value)| (format!("--set {name}"), (*name).into(), (*value).into()))
            .collect(),
    };
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Config::load_from(folder, environment, &given)
}

fn wrong(environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), environment, &[])
        .unwrap_err()
        .0
        .join("\n")
}

/// R5: the defaults alone are a valid configuration, and every key is read.
#[test]
fn defaults_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let config = load(folder.path(), &[], &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.retry_base, Duration::from_mins(5));
    assert_eq!(config.shown().len(), keys::KEYS.len());
    assert_eq!(config.base_url(config.listen), "http://127.0.0.1:8080");
}

/// R5: precedence is file < .env < environment < flags.
#[test]
fn later_sources_outweigh_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at(FILE),
        "retry_base = \"1m\"\nretry_max = \"2h\"\ntick = \"2s\"\nlease = \"31s\"\n",
    )
    .unwrap();
    std::fs::write(
        at(".env"),
        "# a comment\nOTHER=1\nSKYCHIMP_RETRY_MAX=3h\nSKYCHIMP_TICK='3s'\nSKYCHIMP_LEASE=32s\n",
    )
    .unwrap();
    let environment = [
        ("SKYCHIMP_TICK", "4s"),
        ("SKYCHIMP_LEASE", "33s"),
        ("PATH", "/bin"),
    ];
    let config = load(folder.path(), &environment, &[("lease", "34s")]).unwrap();
    assert_eq!(config.retry_base, Duration::from_mins(1));
    assert_eq!(config.retry_max, Duration::from_hours(3));
    assert_eq!(config.tick, Duration::from_secs(4));
    assert_eq!(config.lease, Duration::from_secs(34));
    let sources: Vec<_> = config
        .shown()
        .into_iter()
        .filter(|shown| ["retry_max", "tick", "lease", "log"].contains(&shown.key))
        .map(|shown| (shown.key, shown.source.as_str()))
        .collect();
    assert_eq!(
        sources,
        [
            ("retry_max", "SKYCHIMP_RETRY_MAX in .env"),
            ("tick", "SKYCHIMP_TICK in the environment"),
            ("lease", "--set lease"),
            ("log", "unset"),
        ]
    );
}

/// R5: an unknown key is an error that names it and suggests the nearest valid one.
#[test]
fn unknown_keys_are_errors() {
    assert_eq!(
        wrong(&[("SKYCHIMP_SMPT_URL", "smtp://localhost")]),
        "unknown key SKYCHIMP_SMPT_URL (in the environment); did you mean SKYCHIMP_SMTP_URL?"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(FILE),
        "listne = \"x\"\n[smtp]\nurl = \"x\"\n",
    )
    .unwrap();
    let text = load(folder.path(), &[], &[]).unwrap_err().to_string();
    assert!(text.contains("unknown key listne (in "), "{text}");
    assert!(text.contains("did you mean listen?"), "{text}");
    assert!(text.contains("unknown key smtp (in "), "{text}");
    // only secrets can be read from files
    let text = wrong(&[("SKYCHIMP_LISTEN_FILE", "x")]);
    assert!(text.contains("did you mean SKYCHIMP_LISTEN?"), "{text}");
}

/// R5: sizes are parsed with their unit and checked against their limits.
#[test]
fn sizes_have_units() {
    let sizes = ["1kB", "500MB", "500 mb", "10GB"].map(|text| size(text, 1_000, 10_000_000_000));
    let bytes = [1_000, 500_000_000, 500_000_000, 10_000_000_000].map(Ok);
    assert_eq!(sizes, bytes);
    for wrong in [
        "",
        "500",
        "MB",
        "1.5GB",
        "-1MB",
        "0MB",
        "11GB",
        "99999999999999999999GB",
    ] {
        assert!(size(wrong, 1_000, 10_000_000_000).is_err(), "{wrong}");
    }
}

/// R5: all invalid values are reported together, each with its key and source.
#[test]
fn wrong_values_name_key_and_source() {
    let text = wrong(&[
        ("SKYCHIMP_LISTEN", "localhost"),
        ("SKYCHIMP_RETRY_BASE", "5"),
        ("SKYCHIMP_SMTP_URL", "smtp://user:s3cret@host?rat=1"),
        ("SKYCHIMP_BASE_URL", "example.org"),
        ("SKYCHIMP_MAIL_FROM", "Shop <nobody>"),
        ("SKYCHIMP_SECRET_KEY", "s3cret"),
        ("SKYCHIMP_DATABASE_URL", "mysql://root:s3cret@host/db"),
        ("SKYCHIMP_LOG_FORMAT", "xml"),
        ("SKYCHIMP_UPLOAD_LIMIT", "500"),
    ]);
    insta::assert_snapshot!(text);
    assert!(!text.contains("s3cret"), "{text}");
}

/// R5: secrets can be read from files and are never shown.
#[test]
fn secrets_come_from_files_and_stay_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smtp_url");
    std::fs::write(&file, "smtp://robot:s3cret@mail.example.org\n").unwrap();
    let key = "0123456789abcdef0123456789abcdef";
    let environment = [
        ("SKYCHIMP_SMTP_URL_FILE", file.to_str().unwrap()),
        ("SKYCHIMP_SECRET_KEY", key),
    ];
    let config = load(folder.path(), &environment, &[]).unwrap();
    assert_eq!(config.smtp.as_ref().unwrap().host, "mail.example.org");
    let shown = format!(
        "{config:?} {}",
        serde_json::to_string(&config.shown()).unwrap()
    );
    assert!(!shown.contains("s3cret") && !shown.contains(key), "{shown}");

    let twice = [environment[0], ("SKYCHIMP_SMTP_URL", "smtp://localhost")];
    let text = load(folder.path(), &twice, &[]).unwrap_err().to_string();
    assert!(text.contains("smtp_url is given twice"), "{text}");
    let missing = [("SKYCHIMP_SMTP_URL_FILE", "/nowhere/smtp_url")];
    let text = load(folder.path(), &missing, &[]).unwrap_err().to_string();
    assert!(
        text.contains("SKYCHIMP_SMTP_URL_FILE (in the environment): the file /nowhere/smtp_url"),
        "{text}"
    );
}

/// R5: an empty variable counts as unset, because container setups often produce one.
#[test]
fn empty_values_are_unset() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("SKYCHIMP_SMTP_URL", ""), ("SKYCHIMP_LISTEN", "")];
    let config = load(folder.path(), &environment, &[]).unwrap();
    assert!(config.smtp.is_none());
    assert_eq!(config.listen.port(), 8080);
}

/// R5: the sender is derived from the public URL.
#[test]
fn sender_follows_the_public_address() {
    let folder = tempfile::tempdir().unwrap();
    let from =
        |environment: &[(&str, &str)]| load(folder.path(), environment, &[]).unwrap().mail_from();
    assert_eq!(from(&[]).email, "noreply@skychimp.invalid");
    let public = [("SKYCHIMP_BASE_URL", "https://mail.example.org/")];
    assert_eq!(from(&public).email, "noreply@mail.example.org");
    let given = [("SKYCHIMP_MAIL_FROM", "\"Example Shop\" <News@example.org>")];
    let expected = MailFrom {
        name: "Example Shop".into(),
        email: "News@example.org".into(),
    };
    assert_eq!(from(&given), expected);
}

/// R5: the example file in the repository is up to date and valid.
#[test]
fn example_file_is_fresh_and_valid() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../skychimp.example.toml");
    assert_eq!(
        std::fs::read_to_string(kept).unwrap(),
        example::file(),
        "run `skychimp config example > skychimp.example.toml`"
    );
    let folder = tempfile::tempdir().unwrap();
    let active: Vec<_> = example::file()
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
        .filter(|line| !line.starts_with("smtp_ca"))
        .map(str::to_owned)
        .collect();
    std::fs::write(folder.path().join(FILE), active.join("\n")).unwrap();
    load(folder.path(), &[], &[]).unwrap();
}

/// R5: the table of settings in the documentation is up to date.
#[test]
fn table_of_settings_is_fresh() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&example::table()), "run `make generate`");
}

/// R5: the secret key is generated once, and only its owner can read it.
#[test]
fn secret_key_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = secret::kept_key(folder.path()).unwrap();
    assert_eq!(first.reveal().len(), 64);
    assert_eq!(secret::kept_key(folder.path()).unwrap(), first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("secret.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// R30: roles that need a second factor are a text or a list; the grace is in days.
#[test]
fn required_factor_is_read() {
    use skychimp_core::accounts::user::Role;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    std::fs::write(&file, "second_factor_required = [\"admin\", \"manager\"]").unwrap();
    let config = load(folder.path(), &[], &[]).unwrap();
    let required = &config.required_factor;
    assert!(required.applies_to(Role::Manager) && !required.applies_to(Role::User));
    assert_eq!(required.grace, Duration::from_hours(7 * 24));
    let environment = [
        ("SKYCHIMP_SECOND_FACTOR_REQUIRED", "content_manager"),
        ("SKYCHIMP_SECOND_FACTOR_GRACE", "0d"),
    ];
    let config = load(folder.path(), &environment, &[]).unwrap();
    assert!(config.required_factor.applies_to(Role::ContentManager));
    assert_eq!(config.required_factor.grace, Duration::ZERO);
    for (grace, right) in [
        ("12h", true),
        ("0s", true),
        ("365d", true),
        ("366d", false),
        ("week", false),
    ] {
        let environment = [("SKYCHIMP_SECOND_FACTOR_GRACE", grace)];
        let read = load(folder.path(), &environment, &[]);
        assert_eq!(read.is_ok(), right, "{grace}");
    }
    let text = wrong(&[("SKYCHIMP_SECOND_FACTOR_REQUIRED", "boss")]);
    assert!(
        text.contains("second_factor_required") && text.contains("boss"),
        "{text}"
    );
}
