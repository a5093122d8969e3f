use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::recipients::recipient::{Listed, Recipient, RecipientField};
use skychimp_core::testing::{count, do_jobs};

use crate::browser::{Browser, Site};

async fn add(browser: &mut Browser, email: &str) -> StatusCode {
    browser
        .post("/recipients/new", &[("email", email), ("name", "Ivan")])
        .await
        .status
}

/// The path of the first recipient in the list.
fn first(body: &str) -> String {
    let (_, rest) = body
        .split_once("<td class=\"cell-main\"><a href=\"")
        .unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Uploads a file as a browser does; returns the path of the import.
async fn upload(browser: &mut Browser, text: &str) -> String {
    let address = format!("/recipients/import/file?csrf={}", browser.token);
    let body = format!(
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{text}\r\n--x--\r\n"
    );
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let answer = browser.send("POST", &address, &kind, body).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    answer.location().to_owned()
}

/// R8, R15: the empty page suggests an import; a recipient is created, found, changed and deleted.
#[tokio::test]
async fn recipient_lives() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    assert!(
        ann.get("/recipients")
            .await
            .body
            .contains("/recipients/import")
    );
    ann.get("/recipients/new").await;
    let fields = [
        ("email", "ivan@example.org"),
        ("name", "Иван"),
        ("attr_key", "город"),
        ("attr_value", "Тверь"),
        ("attr_key", "age"),
        ("attr_value", "42"),
        ("attr_key", ""),
        ("attr_value", ""),
    ];
    let done = ann.post("/recipients/new", &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert!(
        ann.get("/recipients?q=zzz")
            .await
            .body
            .contains("Nothing found")
    );
    let found = ann.get("/recipients?q=%D0%98%D0%92%D0%90%D0%9D").await;
    let address = first(&found.body);
    let edit = ann.get(&address).await;
    assert!(edit.body.contains("Тверь") && edit.body.contains("value=\"1\""));
    let change = [
        ("version", "1"),
        ("email", "ivan@example.org"),
        ("name", "Пётр"),
    ];
    assert_eq!(ann.post(&address, &change).await.location(), "/recipients");
    let late = ann.post(&address, &change).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let mut tx = site.db.read().await.unwrap();
    let ivan = Recipient::by_email(&mut tx, owner, "ivan@example.org")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((ivan.fields.name(), ivan.version), ("Пётр", 2));
    drop(tx);
    let gone = ann.post(&format!("{address}/delete"), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert_eq!(ann.get(&address).await.status, StatusCode::NOT_FOUND);
}

/// R8: every plain field is in the form, in the list when it is to be there, and a choice of the
/// import.
#[tokio::test]
async fn every_field_has_its_places() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let empty = ann.get("/recipients/new").await;
    let values = RecipientField::ALL.map(|field| (field, format!("Value of {}", field.name())));
    let mut form = vec![("email", "ivan@example.org")];
    for (field, value) in &values {
        let label = format!("for=\"{}\"", field.name());
        assert!(empty.body.contains(&label), "{label}");
        form.push((field.name(), value.as_str()));
        let sentence = format!("recipients-{}", field.name());
        assert!(!empty.body.contains(&sentence), "{sentence}");
    }
    let done = ann.post("/recipients/new", &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let list = ann.get("/recipients").await.body;
    let edit = ann.get(&first(&list)).await.body;
    let import = upload(&mut ann, "email,x\na@example.org,1\n").await;
    let import = ann.get(&import).await.body;
    for (field, value) in values {
        assert!(edit.contains(&value), "{field:?}");
        let listed = field.spec().listed != Listed::No;
        assert_eq!(list.contains(&value), listed, "{field:?}");
        let choice = format!("<option value=\"{}\">", field.name());
        assert!(import.contains(&choice), "{field:?}");
    }
}

/// R7: what is wrong is said at its field, and what was typed is still there.
#[tokio::test]
async fn errors_are_at_their_fields() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/new").await;
    let wrong = ann
        .post(
            "/recipients/new",
            &[("email", "nobody"), ("name", "Ann & Co")],
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("id=\"email-error\"") && wrong.body.contains("Ann &#38; Co"));
    assert_eq!(add(&mut ann, "a@example.org").await, StatusCode::SEE_OTHER);
    assert_eq!(
        add(&mut ann, "A@example.org").await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let twice = [("name", "Customers")];
    assert_eq!(
        ann.post("/lists/new", &twice).await.status,
        StatusCode::SEE_OTHER
    );
    let again = ann.post("/lists/new", &twice).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.body.contains("id=\"name-error\""));
}

/// R32, R33: other users' recipients, lists and imports are not found; forms without a token are
/// rejected.
#[tokio::test]
async fn things_of_others_are_not_found() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/new").await;
    add(&mut ann, "a@example.org").await;
    let recipient = first(&ann.get("/recipients").await.body);
    let list = ann
        .post("/lists/new", &[("name", "A")])
        .await
        .location()
        .to_owned();
    let import = upload(&mut ann, "email\nb@example.org\n").await;
    assert_eq!(ann.get(&import).await.status, StatusCode::OK);
    let mut bob = site.login("bob").await;
    for address in [
        &recipient,
        &list,
        &import,
        &format!("{import}/live"),
        &format!("{import}/errors.csv"),
    ] {
        assert_eq!(
            bob.get(address).await.status,
            StatusCode::NOT_FOUND,
            "{address}"
        );
    }
    for address in [&recipient, &list, &import] {
        let fields = [("version", "1"), ("email", "x@example.org"), ("name", "x")];
        assert_eq!(
            bob.post(address, &fields).await.status,
            StatusCode::NOT_FOUND,
            "{address}"
        );
        let delete = format!("{address}/delete");
        assert_eq!(
            bob.post(&delete, &[]).await.status,
            StatusCode::NOT_FOUND,
            "{delete}"
        );
        assert_eq!(
            ann.post_raw(&delete, &[], &[]).await.status,
            StatusCode::FORBIDDEN,
            "{delete}"
        );
    }
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let forged = ann
        .send("POST", "/recipients/import/file", &kind, "--x--".to_owned())
        .await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    for address in [
        "/recipients",
        "/lists",
        "/suppressions",
        "/recipients/import",
    ] {
        assert_eq!(
            site.stranger().get(address).await.status,
            StatusCode::SEE_OTHER,
            "{address}"
        );
    }
}

/// R8: a file is uploaded, its columns are corrected, it is imported, and its errors are shown and
/// can be downloaded.
#[tokio::test]
async fn file_is_imported() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/import").await;
    let import = upload(
        &mut ann,
        "почта;имя;город\na@example.org;Анна;Тверь\nnobody;Б;\nc@example.org;В;\n;Г;Тула\n",
    )
    .await;
    let columns = ann.get(&import).await;
    assert!(columns.body.contains("a@example.org") && columns.body.contains("value=\"город\""));
    let wrong = ann
        .post(
            &import,
            &[("action", "start"), ("target", "name"), ("key", "")],
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = [
        ("action", "start"),
        ("target", "email"),
        ("key", ""),
        ("target", "name"),
        ("key", ""),
        ("target", "attribute"),
        ("key", "city"),
        ("new_list", "Customers"),
    ];
    assert_eq!(
        ann.post(&import, &right).await.status,
        StatusCode::SEE_OTHER
    );
    let waiting = ann.get(&import).await;
    assert!(
        waiting.body.contains("Waiting for its turn"),
        "{}",
        waiting.body
    );
    do_jobs(&site.db, site.clock.now()).await.unwrap();
    // The stream of progress ends when the import does.
    let live = ann.get(&format!("{import}/live")).await;
    assert!(live.body.contains("event: reload"), "{}", live.body);
    let done = ann.get(&import).await;
    assert!(
        done.body.contains("Import completed") && done.body.contains("nobody"),
        "{}",
        done.body
    );
    let errors = ann.get(&format!("{import}/errors.csv")).await;
    assert!(
        errors.body.contains("3,nobody,The address has no @.")
            && errors.body.contains(",No address."),
        "{}",
        errors.body
    );
    let found = ann.get("/recipients").await;
    assert!(found.body.contains("c@example.org"));
    let export = ann.get("/recipients/export").await;
    let mut export =
        csv::Reader::from_reader(export.body.trim_start_matches('\u{feff}').as_bytes());
    let head = export.headers().unwrap().clone();
    assert_eq!((&head[0], &head[head.len() - 1]), ("email", "city"));
    let anna = export.records().map(Result::unwrap).next().unwrap();
    assert_eq!((&anna[0], &anna[1]), ("a@example.org", "Анна"));
    assert_eq!(&anna[head.len() - 1], "Тверь");
}

/// R5, R8: a file larger than the setting allows is refused and not kept.
#[tokio::test]
async fn large_files_are_not_kept() {
    let site = Site::with(|settings| settings.upload_limit = 100).await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let page = ann.get("/recipients/import").await;
    assert!(page.body.contains("100"), "{}", page.body);
    let kept = "SELECT count(*) FROM files WHERE expires_at IS NULL";
    upload(&mut ann, "email\na@example.org\n").await;
    assert_eq!(count(&site.db, kept).await.unwrap(), 1);
    let address = format!("/recipients/import/file?csrf={}", ann.token);
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let body = format!(
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{}\r\n--x--\r\n",
        "a@example.org\n".repeat(10)
    );
    let refused = ann.send("POST", &address, &kind, body).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(count(&site.db, kept).await.unwrap(), 1);
}

/// R8, R17: a file that one node took in is imported by another one, and any node serves the rows
/// that were rejected.
#[tokio::test]
async fn any_node_continues_an_import() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/import").await;
    let import = upload(&mut ann, "email\na@example.org\nnobody\n").await;
    let mut other = site.another_node().stranger();
    other.cookies = ann.cookies.clone();
    let columns = other.get(&import).await;
    assert!(columns.body.contains("a@example.org"), "{}", columns.body);
    let fields = [("action", "start"), ("target", "email"), ("key", "")];
    other.post(&import, &fields).await;
    do_jobs(&site.db, site.clock.now()).await.unwrap();
    let errors = ann.get(&format!("{import}/errors.csv")).await;
    assert!(errors.body.contains("3,nobody,"), "{}", errors.body);
}

/// R3, R8: many recipients are added to a list and deleted together; an address is suppressed and
/// subscribed again.
#[tokio::test]
async fn many_are_changed_at_once() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/new").await;
    for i in 0..3 {
        add(&mut ann, &format!("r{i}@example.org")).await;
    }
    let list = ann
        .post("/lists/new", &[("name", "A")])
        .await
        .location()
        .to_owned();
    let id = list.rsplit('/').next().unwrap();
    let all = [("action", "add"), ("to", id), ("all", "1"), ("q", "r")];
    ann.post("/recipients/bulk", &all).await;
    let page = ann.get(&format!("/recipients?list={id}")).await;
    assert!(
        page.body.contains("3 recipients added to the list") && page.body.contains("3 recipients<")
    );
    ann.post("/suppressions", &[("email", "R1@example.org")])
        .await;
    let gets_nothing = ann
        .get(&format!("/recipients?list={id}&state=suppressed"))
        .await;
    assert!(
        gets_nothing.body.contains("r1@example.org")
            && !gets_nothing.body.contains("r2@example.org")
    );
    let lift = [("email", "r1@example.org"), ("reason", "asked by phone")];
    let removed = ann.post("/suppressions/remove", &lift).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER);
    ann.post("/recipients/bulk", &[("action", "delete"), ("all", "1")])
        .await;
    assert!(
        ann.get("/recipients")
            .await
            .body
            .contains("No recipients yet")
    );
}
