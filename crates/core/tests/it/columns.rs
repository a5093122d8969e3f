//! The table of columns: whatever is in it, every plain field of a recipient goes all the ways.

use std::io::Cursor;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::json;
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::letter::{
    FrozenMessage, Language, LetterTemplate, MessageContent, TemplateRecipient,
};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Clock;
use skychimp_core::recipients::export::{Export, ExportStyle};
use skychimp_core::recipients::import::{
    self, ColumnTarget, Delimiter, ErrorFile, Hints, ImportOptions, RowCounts, inspect,
};
use skychimp_core::recipients::recipient::{
    Recipient, RecipientCursor, RecipientDraft, RecipientField, RecipientFields, RecipientFilter,
    Search,
};
use skychimp_core::testing::{TestDb, execute, list, user};
use tokio_util::sync::CancellationToken;

use crate::support::at;

const NOW: &str = "2027-01-01T00:00:00Z";

/// A value in each field, none of them a part of another.
fn full(mark: &str) -> RecipientFields {
    let mut fields = RecipientFields::default();
    for field in RecipientField::ALL {
        fields[field] = format!("{mark} of {}", field.name());
    }
    fields
}

fn draft(email: &str, fields: RecipientFields) -> RecipientDraft {
    RecipientDraft {
        email: email.to_owned(),
        fields,
        ..RecipientDraft::default()
    }
}

pub async fn add(db: &Db, owner: UserId, email: &str, fields: RecipientFields) {
    let mut tx = db.write().await.unwrap();
    Recipient::create(&mut tx, owner, &draft(email, fields), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

pub async fn found(db: &Db, owner: UserId, search: &str) -> Vec<Recipient> {
    let filter = RecipientFilter {
        search: search.to_owned(),
        ..RecipientFilter::default()
    };
    let mut tx = db.read().await.unwrap();
    let page = Recipient::page(&mut tx, owner, &filter, RecipientCursor::First, 1_000).await;
    let rows = page.unwrap().rows;
    rows.into_iter().rev().map(|(row, _)| row).collect()
}

pub async fn exported(db: &Db, owner: UserId) -> String {
    let style = ExportStyle {
        delimiter: Delimiter::Comma,
        mark: false,
    };
    let filter = RecipientFilter::default();
    let mut export = Export::begin(db, owner, filter, style).await.unwrap();
    let mut file = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        file.extend(piece);
    }
    String::from_utf8(file).unwrap()
}

async fn import_with(
    db: &Db,
    owner: UserId,
    file: &str,
    errors: Option<ErrorFile<'_>>,
) -> RowCounts {
    let preview = inspect(file.as_bytes(), Hints::default()).unwrap();
    let options = ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    };
    let input = Cursor::new(file.to_owned().into_bytes());
    let (clock, stop) = (Clock::fixed(at(NOW)), CancellationToken::new());
    let outcome = import::run(db, owner, input, &options, errors, &clock, |_| {}, &stop).await;
    outcome.unwrap().groups
}

pub async fn import(db: &Db, owner: UserId, file: &str) -> RowCounts {
    import_with(db, owner, file, None).await
}

fn values(rows: Vec<Recipient>) -> Vec<(String, RecipientFields)> {
    rows.into_iter()
        .map(|row| (row.email, row.fields))
        .collect()
}

/// R8: every field is stored, changed, and found by those searches that are for it.
#[tokio::test]
async fn every_field_is_stored_and_searched() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    add(&db, owner, "a@example.org", full("First")).await;
    add(&db, owner, "b@example.org", RecipientFields::default()).await;
    let mut tx = db.write().await.unwrap();
    let read = Recipient::by_email(&mut tx, owner, "a@example.org").await;
    let read = read.unwrap().unwrap();
    assert_eq!(read.fields, full("First"));
    let new = draft("a@example.org", full("Second"));
    let changed = Recipient::update(&mut tx, owner, read.id, 1, &new, at(NOW)).await;
    assert!(changed.unwrap());
    tx.commit().await.unwrap();
    for field in RecipientField::ALL {
        let old = found(&db, owner, &format!("FIRST of {}", field.name())).await;
        assert_eq!(old, [], "{field:?}");
        let new = found(&db, owner, &format!("SECOND of {}", field.name())).await;
        let expected = usize::from(field.spec().search != Search::No);
        assert_eq!(new.len(), expected, "{field:?}");
    }
    let all = found(&db, owner, "").await;
    assert_eq!(all[0].fields, full("Second"));
    assert_eq!(all[1].fields, RecipientFields::default());
}

/// R8: every field is a column of the export, under its name, and the import knows it by that name
/// in any case.
#[tokio::test]
async fn every_field_is_exported_and_imported() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    add(&db, ann, "a@example.org", full("First")).await;
    add(&db, ann, "b@example.org", full("+7 900 123 45 67")).await;
    add(&db, ann, "c@example.org", full("=1+1")).await;
    add(&db, ann, "d@example.org", RecipientFields::default()).await;
    let file = exported(&db, ann).await;
    let names = RecipientField::ALL.map(RecipientField::name).join(",");
    assert_eq!(file.lines().next().unwrap(), format!("email,{names}"));
    assert_eq!(import(&db, bob, &file).await.added, 4);
    assert_eq!(
        values(found(&db, bob, "").await),
        values(found(&db, ann, "").await)
    );
    assert_eq!(import(&db, bob, &file.to_uppercase()).await.updated, 3);
    assert_eq!(import(&db, bob, &file).await.updated, 3);
    assert_eq!(import(&db, bob, &file).await.unchanged, 4);
    let preview = inspect(file.as_bytes(), Hints::default()).unwrap();
    let fields = RecipientField::ALL.map(ColumnTarget::Field);
    assert_eq!(preview.mapping()[1..], fields);
}

/// R8: a file that lacks a column, or has nothing in it, leaves that field as it is.
#[tokio::test]
async fn missing_columns_change_nothing() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    add(&db, owner, "a@example.org", full("First")).await;
    assert_eq!(
        import(&db, owner, "email\na@example.org\n").await.unchanged,
        1
    );
    for field in RecipientField::ALL {
        let before = found(&db, owner, "").await[0].fields.clone();
        let name = field.name();
        let empty = format!("email,{name}\na@example.org,\n");
        assert_eq!(import(&db, owner, &empty).await.unchanged, 1, "{name}");
        let new = format!("email,{name}\na@example.org,new\n");
        assert_eq!(import(&db, owner, &new).await.updated, 1, "{name}");
        let mut expected = before;
        "new".clone_into(&mut expected[field]);
        assert_eq!(found(&db, owner, "").await[0].fields, expected);
    }
}

/// R8: whatever text is in a field, an export imports back unchanged.
#[tokio::test]
async fn any_text_imports_back_unchanged() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let text = proptest::prop_oneof![
        "['=+@a5e|!(\\- \",;.]{0,12}",
        "\\+[0-9 ()\\-]{1,16}",
        "\\PC{0,40}",
    ];
    let mut runner = TestRunner::deterministic();
    for i in 0..300 {
        let mut fields = RecipientFields::default();
        for field in RecipientField::ALL {
            fields[field] = text.new_tree(&mut runner).unwrap().current();
        }
        add(&db, ann, &format!("r{i}@example.org"), fields).await;
    }
    let file = exported(&db, ann).await;
    assert_eq!(import(&db, ann, &file).await.unchanged, 300);
    assert_eq!(import(&db, bob, &file).await.added, 300);
    assert_eq!(
        values(found(&db, bob, "").await),
        values(found(&db, ann, "").await)
    );
}

/// R8: the file of errors is safe to open, and says what was in the cell.
#[tokio::test]
async fn error_file_is_guarded() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut file = Vec::new();
    let errors = ErrorFile::new(&mut file, |_| "-x: wrong".to_owned()).unwrap();
    let rows = "email\n=1+1\n+7 900 123 45 67\na@example.org\n";
    let groups = import_with(&db, owner, rows, Some(errors)).await;
    assert_eq!((groups.added, groups.invalid), (1, 2));
    assert_eq!(
        String::from_utf8(file).unwrap(),
        "line,value,reason\n2,'=1+1,'-x: wrong\n3,+7 900 123 45 67,'-x: wrong\n"
    );
}

fn phone(number: &str) -> RecipientFields {
    RecipientFields::from([(RecipientField::Phone, number)])
}

/// R8: an international number is stored in one form, and every number is found however its digits
/// are grouped.
#[tokio::test]
async fn phone_numbers_are_found() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    add(&db, owner, "a@example.org", phone("+7 (900) 123-45-67")).await;
    add(&db, owner, "b@example.org", phone("8 (900) 123-45-67")).await;
    add(&db, owner, "c@example.org", phone("+1-202-555-0123")).await;
    add(
        &db,
        owner,
        "d@example.org",
        RecipientFields::from_name("Room 900 123"),
    )
    .await;
    for (search, expected) in [
        ("900 123", "abd"),
        ("900-123", "ab"),
        ("9001234567", "ab"),
        ("+79001234567", "a"),
        ("79001234567", "a"),
        ("+7 900 123 45 67", "a"),
        ("8 (900) 123", "b"),
        ("89001234567", "b"),
        ("(202) 555", "c"),
        ("+1", "c"),
        ("900 124", ""),
    ] {
        let found = found(&db, owner, search).await;
        let found: String = found.iter().map(|row| &row.email[..1]).collect();
        assert_eq!(found, expected, "{search}");
    }
    let file = exported(&db, owner).await;
    assert!(file.contains("\na@example.org,,+79001234567,\n"), "{file}");
    assert!(
        file.contains("\nb@example.org,,8 (900) 123-45-67,\n"),
        "{file}"
    );
}

/// R8: an import knows the column by the names that people and other services give it.
#[test]
fn phone_columns_are_recognised() {
    let mapping = |head: &str| {
        let file = format!("{head}\na@example.org,1,2\n");
        inspect(file.as_bytes(), Hints::default())
            .unwrap()
            .mapping()
    };
    let phone = ColumnTarget::Field(RecipientField::Phone);
    for name in [
        "phone",
        "Phone Number",
        "Telephone",
        "Tel.",
        "mobile",
        "Mobile Phone",
        "Cell",
        "Телефон",
        "тел.",
        "Мобильный",
        "Моб. телефон",
        "Номер телефона",
        "Контактный телефон",
        "Phone 1 - Value",
    ] {
        assert_eq!(mapping(&format!("email,{name},city"))[1], phone, "{name}");
    }
    // one of two is the field, the other one is kept as well
    let two = mapping("Email,Телефон,Мобильный");
    assert_eq!(
        two[1..],
        [phone, ColumnTarget::Attribute("Мобильный".to_owned())]
    );
}

/// R8, R14: numbers that were attributes move into the field when they fit; nothing is lost.
#[tokio::test]
async fn phone_attributes_become_the_field() {
    let db = TestDb::before(&[103]).await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let long = "1".repeat(65);
    let cases = [
        (
            json!({"phone": "+7 (900) 123-45-67", "city": "Omsk"}),
            "+79001234567",
            json!({"city": "Omsk"}),
        ),
        (
            json!({"phone": 79_001_234_567_i64}),
            "79001234567",
            json!({}),
        ),
        (json!({"phone": " 8 900 123 "}), "8 900 123", json!({})),
        (
            json!({"phone": "+44 (0)20 7946 0958"}),
            "+44 (0)20 7946 0958",
            json!({}),
        ),
        (
            json!({"phone": ["1", "2"]}),
            "",
            json!({"phone": ["1", "2"]}),
        ),
        (json!({"phone": long}), "", json!({"phone": long})),
        (
            json!({"phone": "1\n2", "Phone": "x"}),
            "",
            json!({"phone": "1\n2", "Phone": "x"}),
        ),
        (json!({}), "", json!({})),
    ];
    let count = i64::try_from(cases.len()).unwrap();
    list(&db, owner, "All", 0, count, at(NOW)).await.unwrap();
    for (n, (before, ..)) in cases.iter().enumerate() {
        let sql = format!(
            "/* test */ UPDATE recipients SET attributes = '{before}'
             WHERE owner_id = $1 AND email_key = 'person{n}@example.org'"
        );
        execute(&db, Box::leak(sql.into_boxed_str()), owner)
            .await
            .unwrap();
    }
    db.migrate().await.unwrap();
    let after = found(&db, owner, "").await;
    for (row, (before, phone, attributes)) in after.iter().zip(&cases) {
        assert_eq!(row.fields[RecipientField::Phone], *phone, "{before}");
        assert_eq!(serde_json::to_value(&row.attributes).unwrap(), *attributes);
    }
    assert_eq!(found(&db, owner, "900 123-45").await.len(), 2);
    assert_eq!(found(&db, owner, "8900123").await.len(), 1);
    let bob = user(&db, "bob", Role::User).await.unwrap();
    assert_eq!(import(&db, bob, &exported(&db, owner).await).await.added, 8);
    let (ann, bob) = (found(&db, owner, "").await, found(&db, bob, "").await);
    assert!(
        ann.iter()
            .zip(&bob)
            .all(|(a, b)| a.attributes == b.attributes)
    );
    assert_eq!(values(ann), values(bob));
}

/// R12: letters have the number as `phone`. Field and attribute stand in for each other, in all
/// parts of a letter.
#[test]
fn letters_have_the_phone_number() {
    let source = "{{ phone }}|{{ attributes.phone }}|{{ attributes['Мобильный'] | default('no') }}";
    let content = |source: &str| MessageContent {
        subject: source.to_owned(),
        html: Some(format!("<p>{source}</p>")),
        text: Some(source.to_owned()),
        ..MessageContent::default()
    };
    // a letter of text and values alone is made in another way than one with conditions
    let sources = [
        source.to_owned(),
        format!("{{% if email %}}{source}{{% endif %}}"),
    ];
    for (field, attributes, expected) in [
        (
            "+79001234567",
            json!({}),
            "+79001234567|+79001234567|+79001234567",
        ),
        (
            "",
            json!({"phone": "8 900 <1>"}),
            "8 900 <1>|8 900 <1>|8 900 <1>",
        ),
        ("", json!({"phone": 79}), "79|79|79"),
        ("", json!({"phone": null}), "||no"),
        ("+7", json!({"phone": "", "Мобильный": "+8"}), "+7|+7|+8"),
        ("+7", json!({"phone": "+8"}), "+7|+8|+7"),
        ("", json!({}), "||no"),
    ] {
        let attributes = attributes.as_object().unwrap().clone();
        let person = TemplateRecipient {
            email: "ann@example.org",
            fields: &phone(field),
            attributes: &attributes,
        };
        for source in &sources {
            assert!(
                content(source)
                    .check()
                    .iter()
                    .all(|problem| problem.warning)
            );
            let frozen = FrozenMessage::new(&content(source), Language::En).unwrap();
            let template = LetterTemplate::compile(&frozen).unwrap();
            let letter = template.render(&person, "https://example.org/u/t").unwrap();
            assert_eq!(letter.subject, expected);
            assert!(letter.text.starts_with(expected), "{}", letter.text);
            let escaped = expected.replace('<', "&lt;").replace('>', "&gt;");
            assert!(letter.html.unwrap().contains(&escaped), "{escaped}");
        }
    }
}
