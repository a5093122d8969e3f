use serde_json::json;

use crate::support::{ANN, Home};

/// R8: an import reports its result, and an export can be imported back unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn import_tells_and_export_imports_back() {
    let home = Home::new().await;
    home.user(ANN);
    home.file(
        "customers.csv",
        "Почта;ФИО;Комментарий;Город\nanna@example.com;Анна;важная;Томск\nnobody;Никто;;\nANNA@example.com;Снова;;\nbob@example.com;Bob;\"a; b\";York\n",
    );
    let import = |file: &str| {
        home.json(&[
            "recipients",
            "import",
            file,
            "--owner",
            ANN,
            "--list",
            "All",
            "--errors",
            "bad.csv",
            "--json",
        ])
    };
    let told = import("customers.csv");
    for (group, count) in [
        ("added", 2),
        ("updated", 0),
        ("unchanged", 0),
        ("duplicate", 1),
        ("invalid", 1),
        ("suppressed", 0),
    ] {
        assert_eq!(told[group], count, "{group}: {told}");
    }
    assert_eq!(told["errors"][0]["line"], 3);
    assert_eq!(told["errors"][0]["value"], "nobody");
    assert!(told["errors"][0]["reason"].is_string());
    let errors = std::fs::read_to_string(home.path("bad.csv")).unwrap();
    assert!(
        errors.starts_with("line,value,reason\n3,nobody,"),
        "{errors}"
    );

    let export = home
        .run(&["recipients", "export", "--owner", ANN])
        .done()
        .stdout;
    let mut rows = csv::Reader::from_reader(export.as_bytes());
    let head = rows.headers().unwrap().clone();
    let anna = rows.records().next().unwrap().unwrap();
    for (column, value) in [
        ("email", "anna@example.com"),
        ("name", "Анна"),
        ("comment", "важная"),
        ("Город", "Томск"),
    ] {
        let place = head.iter().position(|name| name == column).unwrap();
        assert_eq!(&anna[place], value, "{export}");
    }
    home.file("export.csv", &export);
    let again = import("export.csv");
    assert_eq!(
        (&again["unchanged"], &again["updated"]),
        (&json!(2), &json!(0)),
        "{again}"
    );
}

/// R8: a file that cannot be imported is rejected with a reason and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn useless_files_are_refused() {
    let home = Home::new().await;
    home.user(ANN);
    let import = |file: &str, owner: &str| {
        home.run(&[
            "recipients",
            "import",
            file,
            "--owner",
            owner,
            "--list",
            "All",
        ])
    };
    assert!(
        import("none.csv", ANN)
            .with_code(1)
            .stderr
            .contains("none.csv")
    );
    home.file("names.csv", "name,city\nAnn,York\n");
    assert!(
        import("names.csv", ANN)
            .with_code(2)
            .stderr
            .contains("no email column")
    );
    assert!(
        import("names.csv", "bob@example.org")
            .with_code(1)
            .stderr
            .contains("bob@example.org")
    );
    let export = home.run(&["recipients", "export", "--owner", ANN, "--list", "All"]);
    assert!(export.with_code(1).stderr.contains("All"));
}
