//! Errors of files, templates and settings are sentences in the language of the page.

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;

use crate::browser::{Browser, Site};

async fn upload(browser: &mut Browser, content: &str) -> (StatusCode, String) {
    let address = format!("/recipients/import/file?csrf={}", browser.token);
    let body = format!(
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n\r\n{content}\r\n--x--\r\n"
    );
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let answer = browser.send("POST", &address, &kind, body).await;
    (answer.status, answer.body)
}

/// R8: a workbook or a picture named .csv is refused with what to do, not offered as columns.
#[tokio::test]
async fn what_is_no_table_is_refused_by_what_it_is() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.language = "ru";
    ann.get("/recipients/import").await;
    for (content, said) in [
        ("PK\u{3}\u{4}\u{14}\0[Content_Types].xml", "Это книга Excel"),
        ("PK\u{3}\u{4}\u{14}\0people.csv", "Это архив"),
        ("%PDF-1.7", "Это документ"),
        ("GIF89a\0\0", "Это картинка"),
        ("email\0", "Этот файл не удаётся прочитать как текст"),
    ] {
        let (status, body) = upload(&mut ann, content).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        assert!(body.contains(said), "{said}: {body}");
    }
}

/// R12: an error of a template names line and character, and says what to do without the words of
/// the engine.
#[tokio::test]
async fn errors_of_templates_are_sentences() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.language = "ru";
    ann.get("/messages/new").await;
    for (html, said) in [
        (
            "<p>\n{{ name | shout }}",
            "HTML: Строка 2, символ 11: фильтра «shout» нет.",
        ),
        (
            "{{ name name }}",
            "HTML: Строка 1, символ 1: эту запись не удалось разобрать.",
        ),
        (
            "{{ name",
            "HTML: Строка 1, символ 1: «{{» открыто, но не закрыто.",
        ),
        (
            "{{ attributes.age + 1 }}",
            "HTML: Строка 1, символ 1: у некоторых получателей нужного значения нет",
        ),
        (
            "{% if name %}",
            "HTML: Строка 1, символ 1: эту запись не удалось разобрать.",
        ),
    ] {
        let form = [("subject", "Hi"), ("html", html)];
        let body = ann.post("/messages/check", &form).await.body;
        assert!(body.contains(said), "{said}: {body}");
        for word in ["expected", "unexpected", "undefined", "operator"] {
            assert!(!body.contains(word), "{word}: {body}");
        }
    }
}

/// R5: the page of settings says in its language where each value comes from.
#[tokio::test]
async fn settings_say_where_they_come_from() {
    let line = |key, source: &str| skychimp_web::SettingLine {
        key,
        value: Some("x".to_owned()),
        source: source.to_owned(),
    };
    let lines = vec![
        line("listen", "default"),
        line("tick", "unset"),
        line("base_url", "SKYCHIMP_BASE_URL in .env"),
        line("mail_from", "SKYCHIMP_MAIL_FROM in the environment"),
        line("smtp_url", "/etc/skychimp/skychimp.toml"),
    ];
    let site = Site::with(|settings| settings.shown = lines).await;
    site.user("ada", Role::Admin).await;
    let mut ada = site.login("ada").await;
    ada.language = "ru";
    let page = ada.get("/manage/settings").await.body;
    for said in [
        "по умолчанию",
        "не задано",
        "SKYCHIMP_BASE_URL в файле .env",
        "SKYCHIMP_MAIL_FROM в окружении",
        ">/etc/skychimp/skychimp.toml<",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    for english in ["in .env", "in the environment", ">default<", ">unset<"] {
        assert!(!page.contains(english), "{english}");
    }
}
